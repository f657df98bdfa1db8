"""Everything the executor knows: what its journal adds up to, and the questions asked of it.

Changed by executor/fold.py alone, one record at a time.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from executor.exposure import DAY_MS, Exposure, Token, exposure_of, worth_usd_e6
from executor.flights import FLIGHT_OPEN, Flight, settle, tally
from executor.ledger import Ledger
from executor.resolver import Unheard
from shm.codes import Cause, FlightState, Mode, Purpose

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
OUTCOMES_REMEMBERED = 50
NAMES_MS = 2 * DAY_MS
"""A final fill that the venue repeats within this is known to have been counted."""
_RESERVING = FLIGHT_OPEN - {FlightState.NAKED}
"""What is naked has its fills: they have been paid."""


class Turn(NamedTuple):
    """A flight that changed its state."""

    flight: Flight
    before: FlightState


class Mark(NamedTuple):
    """What everything was worth at the worst, at some time."""

    at_ms: int
    worth_usd_e6: int


@dataclass(slots=True)
class Sums:
    """Results of flights that are not looked at any more."""

    profit_usd_e6: int = 0
    orphan_usd_e6: int = 0


@dataclass(slots=True)
class Pace:
    """How often baskets of one ladder were sent."""

    last_ms: int = 0
    by_minute: dict[int, int] = field(default_factory=dict)
    """Of the last hour."""


@dataclass(slots=True)
class State:
    """See the module."""

    ledger: Ledger = field(default_factory=Ledger)
    flights: dict[int, Flight] = field(default_factory=dict)
    """By id, repairs included; oldest first."""
    tokens: dict[str, Token] = field(default_factory=dict)
    """Every token of a market that was ever traded or known: late fills have to find it."""
    closed_ms: dict[str, int] = field(default_factory=dict)
    """By token: when the venue last refused an order because its market takes none. In no snapshot:
    it counts only until the next facts of the markets, and a start asks for them anew."""
    wallet: bytes = b""
    run: int = 0
    """Executor processes that have written to the journal."""
    system: int = 0
    """Which shared memory the last one worked on: signal numbers begin anew with it."""
    boot_id: bytes = b""
    """Of the machine, when it began: monotonic times of another boot say nothing. In no snapshot,
    and neither is a flight's `left_ns`: a restart behind one counts from itself."""
    mode: Mode = Mode.BOOT
    cause: Cause = Cause.NONE
    mode_since_ms: int = 0
    halt: Cause = Cause.NONE
    """Why trading is halted: outlives the process, until the operator ends it."""
    arm_nonce: int = 0
    """Largest one of the operator's words so far: told for the record, decided by nowhere."""
    last_signal: int = 0
    orders_intended: int = 0
    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=OUTCOMES_REMEMBERED))
    """Of the last orders: whether the venue took them."""
    marks: list[Mark] = field(default_factory=list)
    """Hourly, of the last 24 hours and the start of the day."""
    peak_usd_e6: int = 0
    day_open_usd_e6: int = 0
    """What everything was worth at the start of the UTC day."""
    day: int = 0
    sums: Sums = field(default_factory=Sums)
    strangers: set[str] = field(default_factory=set)
    """Hashes of orders of this wallet that are not ours and have filled."""
    orders_day: int = 0
    orders_today: int = 0
    """Orders of that UTC day."""
    pace: dict[int, Pace] = field(default_factory=dict)
    """By group: when its baskets were sent."""
    failed_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    """By fill: when its trade was heard to have failed on chain; of the last two days."""
    forgiven_ms: int = 0
    """When the operator last ended a halt: what failed before has been seen."""
    forgot_ms: int = 0
    """When flights that are over were last forgotten."""
    flight_by_order: dict[str, int] = field(default_factory=dict)
    """By order hash: the flight's id."""
    told_again: bool = False
    """A snapshot is being read: between the figures that it begins with and those that end it."""

    @property
    def open_flights(self) -> list[Flight]:
        """Flights that are not over."""
        return [flight for flight in self.flights.values() if flight.open]

    @property
    def names_since_ms(self) -> int:
        """Since when every fill that counted is known by name: older ones would count again."""
        return self.forgot_ms - NAMES_MS

    @property
    def reserved_usd_e6(self) -> int:
        """What open flights may still cost; fills that are in count twice meanwhile."""
        return sum(
            flight.reserved_usd_e6 for flight in self.flights.values() if flight.state in _RESERVING
        )

    @property
    def free_cash_usd_e6(self) -> int:
        """Cash less reservations."""
        return self.ledger.cash_usd_e6 - self.reserved_usd_e6

    def flight_of(self, order_hash: str) -> Flight | None:
        """The flight that an order belongs to."""
        number = self.flight_by_order.get(order_hash)
        return None if number is None else self.flights.get(number)

    def exposure(self) -> Exposure:
        """What could be lost."""
        return exposure_of(self.flights.values(), self.ledger, self.tokens, self.strangers)

    def worth_usd_e6(self) -> int:
        """Cash, and what everything held pays at least."""
        return worth_usd_e6(self.ledger, self.tokens)

    def profit_usd_e6(self) -> int:
        """Of all baskets that were completed or unwound, fees included."""
        live = (tally(f, self.ledger).locked_profit_usd_e6 for f in self._baskets())
        return self.sums.profit_usd_e6 + sum(live)

    def orphan_usd_e6(self) -> int:
        """What legs cost that are kept without their basket."""
        live = (tally(f, self.ledger).orphan_cost_usd_e6 for f in self._baskets())
        return self.sums.orphan_usd_e6 + sum(live)

    def _baskets(self) -> Iterable[Flight]:
        return (f for f in self.flights.values() if f.purpose is Purpose.BASKET)

    def failures(self, now_ms: int) -> int:
        """Trades of the last hour that failed on chain."""
        since_ms = max(now_ms - HOUR_MS, self.forgiven_ms)
        return sum(at_ms > since_ms for at_ms in self.failed_ms.values())

    def unproven(self) -> bool:
        """Whether an order was given up without a proof since the operator last ended a halt."""
        return any(
            trade.startswith(Unheard.UNPROVEN) and at_ms > self.forgiven_ms
            for (trade, _), at_ms in self.failed_ms.items()
        )

    def unsettled_ms(self, now_ms: int, *, after_ms: int = -1) -> int:
        """How long the oldest fill waits that counts and is not confirmed; 0 if there is none.

        Of those heard of after a moment: who ends a halt has seen the others (`forgiven_ms`).
        """
        fills = self.ledger.unconfirmed.values()
        waiting = [fill.at_ms for fill in fills if fill.at_ms > after_ms]
        return now_ms - min(waiting) if waiting else 0

    def orders_on(self, day: int) -> int:
        """Orders of today."""
        return self.orders_today if day == self.orders_day else 0

    def baskets_in_hour(self, group: int, now_ms: int) -> int:
        """Baskets of a ladder within the last sixty minutes."""
        pace = self.pace.get(group)
        if pace is None:
            return 0
        since = now_ms // MINUTE_MS - 60
        return sum(count for minute, count in pace.by_minute.items() if minute > since)

    def settle(self, flight: Flight, now_ms: int) -> list[Turn]:
        """Bring a flight, and the one that it repairs, up to what the ledger shows."""
        turns = []
        for one in (flight, self.flights.get(flight.parent)):
            if one is not None:
                before = one.state
                if settle(one, self.ledger, now_ms):
                    turns.append(Turn(one, before))
        return turns

    def bound_leaving(self, boot_id: bytes, mono_ns: int) -> None:
        """Who sent what is open is gone: it had left by now, if no SENT of this boot says earlier.

        So the settle window needs no clock that can be set, and the next restart does not begin it
        anew.
        """
        rebooted, self.boot_id = boot_id != self.boot_id, boot_id
        for flight in self.flights.values():
            if rebooted or not 0 < flight.left_ns <= mono_ns:
                flight.left_ns = mono_ns

    def digest(self) -> bytes:
        """Equal for equal states, whatever way led there."""
        return blake2b(repr(self.picture()).encode(), digest_size=32).digest()

    def picture(self) -> Sequence[Any]:
        """Everything that anyone decides by, in plain numbers and words."""
        return (
            self.ledger.opening_usd_e6,
            self.ledger.cash_change_usd_e6,
            self.ledger.fee_usd_e6,
            sorted((t, h.size_e6, h.cost_usd_e6, h.fee_usd_e6, h.fills)
                   for t, h in self.ledger.holdings.items() if h.fills or h.size_e6),
            sorted((key, int(fill.status)) for key, fill in self.ledger.fills.items()),
            [_picture(flight) for flight in self.flights.values()],
            (self.wallet, self.run, self.system, self.mode, self.cause, self.mode_since_ms),
            (self.halt, self.arm_nonce, self.last_signal, self.orders_intended),
            list(self.outcomes), self.marks,
            (self.peak_usd_e6, self.day_open_usd_e6, self.day),
            (self.sums.profit_usd_e6, self.sums.orphan_usd_e6),
            sorted(self.strangers),
            (self.orders_day, self.orders_today, self.forgot_ms, self.forgiven_ms),
            sorted((g, p.last_ms, sorted(p.by_minute.items())) for g, p in self.pace.items()),
            sorted(self.failed_ms.items()),
        )  # fmt: skip


def _picture(flight: Flight) -> tuple[Any, ...]:
    legs = [(leg.order_hash, int(leg.state), int(leg.reason)) for leg in flight.legs]
    repairs = [repair.id for repair in flight.repairs]
    return (flight.id, int(flight.state), int(flight.reason), flight.held, flight.naked_ms,
            flight.restarted, flight.sent_ms, legs, repairs)  # fmt: skip
