"""Finds out what the replies and the user channel did not say: reads, judges, tells.

Reads the venue's trades after each reconnect of the user channel, when a fill is late, and when the
chain's word about a trade is; looks for each order in doubt by its hash, among the open orders,
among the trades and in the balance of its token (executor/resolver.py judges). An order that was
called filled and whose trade never appears is looked for in the same way. Never sends an order
again.

What is waited for is counted by CLOCK_MONOTONIC, as a wall clock may be set in the midst of it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from executor.chronicle import Chronicle
from executor.failpoints import reach
from executor.flights import LEG_UNDECIDED, Flight, LegOrder, awaited
from executor.ledger import Fill
from executor.resolver import Seen, balance_counts, proof, unheard
from executor.snapshot import draft, fill_row
from executor.venue import Unavailable, Venue
from executor.wire import OpenOrder, Trade
from shm import records
from shm.codes import FillStatus
from shm.records import Kind
from shm.settings import ExecutorSettings

TRADES_MARGIN_MS = 60_000
"""REST is asked for trades since this long before what is looked for."""
CONFIRM_EVERY_MS = 5_000
"""How often the chain's word is asked for, when the user channel does not bring it."""
HASHES_AT_ONCE = 12
TakeTrades = Callable[[Sequence[Trade]], None]


class Prover:
    """See the module. `look` is called every turn; one reading at a time."""

    def __init__(
        self,
        venue: Venue,
        chronicle: Chronicle,
        take: TakeTrades,
        say: Callable[[str], None],
    ) -> None:
        self._venue = venue
        self._chronicle = chronicle
        self._take = take
        self._say = say
        self._reading: asyncio.Future[bool] | None = None
        self._read_ms = 0
        self._nothing: dict[str, Seen] = {}
        """By order hash: the first reading after the window that found nothing."""
        self._began_ms = _now_ms()
        self._asked_ms: dict[str, int] = {}
        """By order hash: when the venue was last asked for it; who waits longest comes first."""
        self.missed = True
        """The user channel was away: it may have missed something;"""
        self._owed = False
        """and the trades could not be read when they were asked for that."""

    def look(self, settings: ExecutorSettings) -> "asyncio.Future[bool] | None":
        """Begin a reading if one is due; its task, if it has just begun."""
        if self._reading is not None and not self._reading.done():
            return None
        if self._chronicle.blocked:  # what was found already waits to be written
            return None
        if not self._due(_now_ms(), settings):
            return None
        self._reading = asyncio.ensure_future(self.read(settings))
        return self._reading

    def _due(self, now_ms: int, settings: ExecutorSettings) -> bool:
        if self.missed:
            return True
        since_ms = now_ms - self._read_ms
        if self._owed or self._late(now_ms, settings):
            return since_ms >= settings.fill_wait_ms
        waiting = self._chronicle.state.unsettled_ms(_wall_ms()) > CONFIRM_EVERY_MS
        return waiting and since_ms >= CONFIRM_EVERY_MS

    def _late(self, now_ms: int, settings: ExecutorSettings) -> list[Flight]:
        """Flights that still wait for proof although it should be there."""
        state = self._chronicle.state
        before_ms = now_ms - settings.fill_wait_ms
        return [
            flight
            for flight in state.open_flights
            if self._left_ms(flight) < before_ms
            and (undecided(flight) or awaited(flight, state.ledger))
        ]

    def _left_ms(self, flight: Flight) -> int:
        """When its orders had left at the latest."""
        return flight.left_ns // 1_000_000 or self._began_ms

    async def read(self, settings: ExecutorSettings) -> bool:
        """One reading; whether the venue answered."""
        self._owed, self.missed = self._owed or self.missed, False
        late = self._late(_now_ms(), settings)
        trades = await self._trades()
        self._read_ms = _now_ms()
        if isinstance(trades, Unavailable):
            self._say(f"trades: {trades.reason}")
            return False
        self._owed = False
        self._take(trades)
        open_ones = self._open_ones(late, settings)
        if not open_ones:
            self._nothing.clear()
            return True
        return await self._judge(open_ones, trades, settings)

    def _open_ones(
        self, late: Sequence[Flight], settings: ExecutorSettings
    ) -> list[tuple[Flight, int]]:
        """Orders that are asked for by name: in doubt, or not heard of when they should have been.

        Flight and place in it; who has waited longest for an answer comes first.
        """
        now_ms = _now_ms()
        ledger = self._chronicle.state.ledger
        found = []
        for flight in late:
            overdue = now_ms >= self._left_ms(flight) + settings.doubt_settle_ms
            waits = undecided(flight) + (awaited(flight, ledger) if overdue else [])
            found += [(flight, place) for place, leg in enumerate(flight.legs) if leg in waits]
        found.sort(key=lambda known: self._asked_ms.get(known[0].legs[known[1]].order_hash, 0))
        names = {flight.legs[place].order_hash for flight, place in found}
        self._asked_ms = {name: at for name, at in self._asked_ms.items() if name in names}
        return found

    async def _trades(self) -> list[Trade] | Unavailable:
        """The venue's list since before whatever is looked for was sent.

        That may be longer ago than fills are known by name: of what is so old only trades of orders
        that we still have are taken, whose fills are known; others would count a second time.
        """
        state = self._chronicle.state
        names_ms, since_ms = state.names_since_ms, self._since_ms()
        trades = await self._venue.trades(max(0, since_ms, names_ms) // 1_000)
        if since_ms >= names_ms or isinstance(trades, Unavailable):
            return trades
        older = await self._venue.trades(max(0, since_ms) // 1_000)
        if isinstance(older, Unavailable):
            return older
        return trades + [
            one for one in older if not state.flight_by_order.keys().isdisjoint(names_of(one))
        ]

    def _since_ms(self) -> int:
        state = self._chronicle.state
        times = [
            flight.created_ms
            for flight in state.open_flights
            if undecided(flight) or awaited(flight, state.ledger)
        ]
        times += [fill.at_ms for fill in state.ledger.unconfirmed.values()]
        return min(times, default=_wall_ms()) - TRADES_MARGIN_MS

    async def _judge(
        self,
        open_ones: Sequence[tuple[Flight, int]],
        trades: Sequence[Trade],
        settings: ExecutorSettings,
    ) -> bool:
        resting = await self._venue.open_orders()
        if isinstance(resting, Unavailable):
            self._say(f"open orders: {resting.reason}")
            return False
        named: set[str] = set().union(*map(names_of, trades))
        ledger = self._chronicle.state.ledger
        answered = True
        for flight, place in open_ones[:HASHES_AT_ONCE]:
            leg = flight.legs[place]
            self._asked_ms[leg.order_hash] = _now_ms()
            order = await self._venue.order(leg.order_hash)
            held = await self._held(flight, leg, settings.doubt_settle_ms)
            trouble = next((one for one in (order, held) if isinstance(one, Unavailable)), None)
            if trouble is not None:  # one that cannot be read does not hide the others
                self._say(f"order {leg.order_hash[:10]}…: {trouble.reason}")
                answered = False
                continue
            assert not isinstance(order, Unavailable)
            assert not isinstance(held, Unavailable)
            if self._chronicle.blocked:  # what has been seen since may be another answer
                return False
            seen = _seen(leg, order, resting, named, held)
            if leg.state in LEG_UNDECIDED:  # a fill may have come while we asked
                self._tell(flight, place, seen, settings.doubt_settle_ms)
            elif leg in awaited(flight, ledger):
                self._give_up(flight, place, seen, settings.doubt_settle_ms)
        if resting:  # baskets and repairs fill at once or not at all: whatever rests should not
            await self._venue.cancel_all()
        return answered

    async def _held(
        self, flight: Flight, leg: LegOrder, window_ms: int
    ) -> bool | Unavailable | None:
        """Whether the venue has another number of the order's token than the ledger.

        None: now is not the time to ask.
        """
        if leg.state in LEG_UNDECIDED:
            sent_ms = self._left_ms(flight)
            if not balance_counts(_now_ms(), sent_ms=sent_ms, window_ms=window_ms):
                return None
        size_e6 = await self._venue.position_e6(leg.token)
        if isinstance(size_e6, Unavailable):
            return size_e6
        return size_e6 != self._chronicle.state.ledger.size_e6(leg.token)

    def _give_up(self, flight: Flight, place: int, seen: Seen, window_ms: int) -> None:
        """Book what was called filled and never appeared as a trade that failed."""
        leg, sent_ms = flight.legs[place], self._left_ms(flight)
        earlier = self._nothing.get(leg.order_hash)
        found = unheard(seen, earlier, sent_ms=sent_ms, window_ms=window_ms)
        self._remember(leg, seen, sent_ms + window_ms)
        if found is None:
            return
        known = self._chronicle.state.ledger.of_order(leg.order_hash)
        fill = Fill(
            trade=f"{found}{leg.order_hash[2:26]}",
            order=leg.order_hash,
            token=leg.token,
            side=leg.side,
            price_e4=leg.price_e4,
            size_e6=leg.size_e6 - known.size_e6 - known.voided_e6,
            fee_usd_e6=0,
            status=FillStatus.FAILED,
            at_ms=_wall_ms(),
        )
        self._say(f"order {leg.order_hash[:10]}… was called filled and has no trade: {found.name}")
        reach("verdict-unwritten")
        self._chronicle.tell([draft(Kind.FILL, fill_row(fill), flight.id)])
        reach("verdict-written")

    def _remember(self, leg: LegOrder, seen: Seen, window_end_ms: int) -> None:
        """Keep the first reading after the window that found nothing, as long as nothing is."""
        if not seen.nothing:
            self._nothing.pop(leg.order_hash, None)
        elif seen.at_ms >= window_end_ms:
            self._nothing.setdefault(leg.order_hash, seen)

    def _tell(self, flight: Flight, place: int, seen: Seen, window_ms: int) -> None:
        leg, sent_ms = flight.legs[place], self._left_ms(flight)
        proven = proof(
            leg, seen, self._nothing.get(leg.order_hash), sent_ms=sent_ms, window_ms=window_ms
        )
        self._remember(leg, seen, sent_ms + window_ms)
        if proven is None:
            return
        self._nothing.pop(leg.order_hash, None)
        row = records.Verdict(_wall_ms(), proven.evidence, proven.state, proven.reason)
        reach("verdict-unwritten")
        self._chronicle.tell([draft(Kind.VERDICT, row, flight.id, place)])
        reach("verdict-written")


def names_of(trade: Trade) -> set[str]:
    """Every order that a trade names."""
    makers = {maker.order_id.lower() for maker in trade.maker_orders or ()}
    return {trade.taker_order_id.lower(), *makers}


def undecided(flight: Flight) -> list[LegOrder]:
    """Orders of a flight whose fate is unknown."""
    return [leg for leg in flight.legs if leg.state in LEG_UNDECIDED]


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _seen(
    leg: LegOrder,
    order: OpenOrder | None,
    resting: Sequence[OpenOrder],
    named: set[str],
    held: bool | None,
) -> Seen:
    return Seen(
        at_ms=_now_ms(),
        order=order,
        rests=any(one.id.lower() == leg.order_hash for one in resting),
        traded=leg.order_hash in named,
        held=held,
    )
