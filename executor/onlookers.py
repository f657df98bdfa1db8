"""Whoever is told what happens: the engine by reports, people by counters, tables and the log."""

import time
from collections.abc import Iterable

from executor.chronicle import Chronicle
from executor.flights import Flight, Tally, in_words, tally
from executor.reporting import KIND_OF_END, Reports
from executor.showing import Picture
from executor.situation import Surroundings
from executor.state import State, Turn
from shm.codes import FlightState, Purpose
from shm.fabric import Counters
from shm.layout import ExecutorStats, Market
from shm.stage import Stage

SHOW_EVERY_S = 0.2
ALL_EVERY_S = 1.0
FLIGHTS_SPARE = 1_024
"""Ends are remembered for all flights that are, and for so many more before they are sifted."""
_COUNTER_OF = {
    FlightState.COMPLETE: "baskets_complete",
    FlightState.PARTIAL: "baskets_partial",
    FlightState.MISSED: "baskets_missed",
    FlightState.UNWOUND: "repairs_unwound",
}
"""How often flights came to an end. An end is not for ever (executor/flights.py): one that a flight
comes to again is not counted again."""


class Onlookers:
    """See the module."""

    def __init__(self, stage: Stage, counters: Counters[ExecutorStats], reports: Reports) -> None:
        self._stage = stage
        self._counters = counters
        self._reports = reports
        self._picture = Picture(stage.fabric)
        self._turned: list[Flight] = []
        self._strange: set[int] = set()
        """Flights of an earlier system: this engine's signals have other numbers."""
        self._counted: dict[int, set[FlightState]] = {}
        """By flight: the ends that it has been counted at."""
        self._state: State | None = None
        self._version = -1
        self._shown_s = 0.0

    def know(self, markets: Iterable[Market]) -> None:
        """Which market each row belongs to from now on."""
        self._picture.know(markets)
        self._version = -1

    def begin(self, state: State) -> None:
        """The ledger is open: draw what an earlier process left."""
        self._state = state
        self._counted = {f.id: {f.state} for f in state.flights.values() if not f.open}
        self._picture.draw_flights(state.flights.values(), state)

    def earlier(self, flights: Iterable[Flight]) -> None:
        """These flights answer signals of an engine that is gone."""
        self._strange.update(flight.id for flight in flights)

    def turned(self, turn: Turn) -> None:
        """A flight changed its state: count it, report it, say it."""
        flight = turn.flight
        state = self._state
        self._turned.append(flight)
        if flight.purpose is not Purpose.BASKET or flight.state not in KIND_OF_END:
            return
        if state is None:
            return
        sums = tally(flight, state.ledger)
        if flight.id not in self._strange:
            self._reports.ended(flight, sums)
        if self._first_time(flight):
            self._count(flight, sums)
        if flight.state in {FlightState.NAKED, FlightState.PARTIAL, FlightState.UNWOUND}:
            self._stage.log.warning("%s: %s", flight.state.name.lower(), in_words(flight))

    def _first_time(self, flight: Flight) -> bool:
        """Whether a flight comes to this end for the first time; it is the first time only once."""
        known = self._counted.setdefault(flight.id, set())
        first = flight.state not in known
        known.add(flight.state)
        assert self._state is not None
        if len(self._counted) > 2 * len(self._state.flights) + FLIGHTS_SPARE:
            flights = self._state.flights
            self._counted = {id_: ends for id_, ends in self._counted.items() if id_ in flights}
        return first

    def _count(self, flight: Flight, sums: Tally) -> None:
        counter = _COUNTER_OF.get(flight.state)
        if counter is not None:
            already = self._counted[flight.id] - {flight.state, FlightState.NAKED}
            self._counters.add(counter)
            self._counters.add("orders_filled", 0 if already else sums.legs_filled)
        if flight.state is FlightState.COMPLETE and flight.repairs:
            self._counters.add("repairs_completed")
        if flight.state is FlightState.PARTIAL:
            self._counters.add(f"partial_{flight.reason.name.lower()}")

    def show(self, chronicle: Chronicle, around: Surroundings, *, now: bool = False) -> None:
        """Draw what has changed, a few times a second."""
        at_s = time.monotonic()
        since_s = at_s - self._shown_s
        changed = chronicle.version != self._version
        if not now and not (changed and since_s > SHOW_EVERY_S) and since_s < ALL_EVERY_S:
            return
        self._shown_s, self._version = at_s, chronicle.version
        state = chronicle.state
        if not state.run:
            return
        turned, self._turned = self._turned, []
        self._picture.draw_flights({flight.id: flight for flight in turned}.values(), state)
        self._picture.draw_flights(state.open_flights, state)
        self._picture.draw_positions(around.derived.stock)
        sums = {
            "worst_usd_e6": around.worth_usd_e6,
            "orders_on_wire": around.signs.orders_on_wire,
            "journal_seq": chronicle.seq,
            "durable_seq": chronicle.durable_seq,
        }
        self._picture.draw_account(state, around.derived.exposure, sums)
