"""Everything the executor knows, as a fold over its journal. Pure: no clock, no network, no file.

What is not in the journal did not happen; what is in it is remembered by whoever reads it, in the
same way: the running executor applies each record after writing it, a restarted one applies them
all. So there is one way to know anything, and recovery is the ordinary start.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from executor.exposure import DAY_MS, Exposure, Token, exposure_of, worth_usd_e6
from executor.flights import (
    FLIGHT_OPEN,
    Flight,
    LegOrder,
    settle,
    tally,
    unconfirmed,
)
from executor.ledger import Change, Fill, Holding, Ledger
from executor.modes import check_step
from executor.wire import OrderType
from shm.codes import (
    BasketKind,
    Cause,
    FillStatus,
    FlightState,
    LegReason,
    LegState,
    Mode,
    Outcome,
    PartialReason,
    Purpose,
    Side,
)
from shm.records import Entry, Kind, market_of

HOUR_MS = 3_600_000
OUTCOMES_REMEMBERED = 50
FORGET_AFTER_MS = 2 * DAY_MS
"""A flight that has ended and is confirmed is no longer looked at after this."""
ORDER_TYPES: tuple[OrderType, ...] = ("GTC", "GTD", "FOK", "FAK")
REPAIR_BIT = 1 << 63


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
class State:
    """See the module."""

    ledger: Ledger = field(default_factory=Ledger)
    flights: dict[int, Flight] = field(default_factory=dict)
    """By id, repairs included; oldest first."""
    tokens: dict[str, Token] = field(default_factory=dict)
    """Every token of a market that was ever traded or known: late fills have to find it."""
    wallet: bytes = b""
    run: int = 0
    """Executor processes that have written to the journal."""
    system: int = 0
    """Which shared memory the last one worked on: signal numbers begin anew with it."""
    mode: Mode = Mode.BOOT
    cause: Cause = Cause.NONE
    mode_since_ms: int = 0
    halt: Cause = Cause.NONE
    """Why trading is halted: outlives the process, until the operator ends it."""
    arm_nonce: int = 0
    """Of the operator's last word: none is ever taken twice."""
    last_signal: int = 0
    orders_intended: int = 0
    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=OUTCOMES_REMEMBERED))
    """Of the last orders: whether the venue took them."""
    failures_ms: deque[int] = field(default_factory=deque)
    """When trades failed on chain, within the last hour."""
    marks: list[Mark] = field(default_factory=list)
    """Hourly, of the last 24 hours and the start of the day."""
    peak_usd_e6: int = 0
    day_open_usd_e6: int = 0
    """What everything was worth at the start of the UTC day."""
    day: int = 0
    sums: Sums = field(default_factory=Sums)
    strangers: set[str] = field(default_factory=set)
    """Hashes of orders of this wallet that are not ours and have filled."""
    sent_ms: deque[tuple[int, int]] = field(default_factory=deque)
    """(when, group) of the baskets of the last hour."""
    orders_by_day: dict[int, int] = field(default_factory=dict)
    """Orders of today and yesterday."""
    _flight_of: dict[str, int] = field(default_factory=dict)
    """By order hash."""

    # --- the fold ---------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> list[Turn]:
        """Take one record in; the flights that it turned."""
        return _FOLDS[entry.kind](self, entry)

    def apply_all(self, entries: Iterable[Entry]) -> None:
        """Take many in, as a start does."""
        for entry in entries:
            self.apply(entry)

    # --- what is asked of it ----------------------------------------------------------------------

    @property
    def open_flights(self) -> list[Flight]:
        """Flights that are not over."""
        return [flight for flight in self.flights.values() if flight.open]

    @property
    def reserved_usd_e6(self) -> int:
        """What open flights may still cost; fills that are in count twice meanwhile."""
        return sum(
            flight.reserved_usd_e6
            for flight in self.flights.values()
            if flight.state in FLIGHT_OPEN - {FlightState.NAKED}
        )

    @property
    def free_cash_usd_e6(self) -> int:
        """Cash less reservations."""
        return self.ledger.cash_usd_e6 - self.reserved_usd_e6

    def flight_of(self, order_hash: str) -> Flight | None:
        """The flight that an order belongs to."""
        number = self._flight_of.get(order_hash)
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

    def settle(self, flight: Flight, now_ms: int) -> list[Turn]:
        """Bring a flight, and the one that it repairs, up to what the ledger shows."""
        turns = []
        for one in (flight, self.flights.get(flight.parent)):
            if one is not None:
                before = one.state
                if settle(one, self.ledger, now_ms):
                    turns.append(Turn(one, before))
        return turns

    def digest(self) -> bytes:
        """Equal for equal states, whatever way led there."""
        parts: Sequence[Any] = (
            self.ledger.opening_usd_e6,
            self.ledger.cash_change_usd_e6,
            self.ledger.fee_usd_e6,
            sorted((t, h.size_e6, h.cost_usd_e6, h.fee_usd_e6, h.fills)
                   for t, h in self.ledger.holdings.items() if h.fills or h.size_e6),
            sorted((key, int(fill.status)) for key, fill in self.ledger.fills.items()),
            [_picture(flight) for flight in self.flights.values()],
            (self.wallet, self.run, self.system, self.mode, self.cause, self.mode_since_ms),
            (self.halt, self.arm_nonce, self.last_signal, self.orders_intended),
            list(self.outcomes), list(self.failures_ms), self.marks,
            (self.peak_usd_e6, self.day_open_usd_e6, self.day),
            (self.sums.profit_usd_e6, self.sums.orphan_usd_e6),
            sorted(self.strangers), list(self.sent_ms), sorted(self.orders_by_day.items()),
        )  # fmt: skip
        return blake2b(repr(parts).encode(), digest_size=32).digest()


def _picture(flight: Flight) -> tuple[Any, ...]:
    legs = [(leg.order_hash, int(leg.state), int(leg.reason)) for leg in flight.legs]
    repairs = [repair.id for repair in flight.repairs]
    return (flight.id, int(flight.state), int(flight.reason), flight.held, flight.naked_ms,
            flight.restarted, flight.sent_ms, legs, repairs)  # fmt: skip


# --- one function a kind of record --------------------------------------------------------------


def _opened(state: State, entry: Entry) -> list[Turn]:
    """A process starts: what the one before it had on its way is in doubt."""
    row = entry.row
    state.run += 1
    state.wallet = row.wallet
    if row.system != state.system:
        state.last_signal = 0
        state.system = row.system
    if state.run == 1:
        state.ledger.opening_usd_e6 = row.opening_cash_usd_e6
    state.mode, state.cause, state.mode_since_ms = Mode.BOOT, Cause.START, _ms(entry)
    turns = []
    for flight in state.open_flights:
        before = flight.state
        flight.sent_ns = 0
        for leg in flight.legs:
            if leg.state in {LegState.INTENT, LegState.SENT}:
                leg.move(LegState.DOUBT, LegReason.TRANSPORT)
                flight.restarted = True
        if before in {FlightState.INTENT, FlightState.SENT}:
            flight.move(FlightState.RESOLVING)
            turns.append(Turn(flight, before))
            turns += state.settle(flight, _ms(entry))
    return turns


def _market(state: State, entry: Entry) -> list[Turn]:
    market = market_of(entry.row)
    for token, outcome in ((market.yes_token, Outcome.YES), (market.no_token, Outcome.NO)):
        state.tokens[str(int.from_bytes(token, "big"))] = (market, outcome)
    return []


def _basket(state: State, entry: Entry) -> list[Turn]:
    row = entry.row
    flight = Flight(
        id=entry.flight,
        purpose=Purpose(row.purpose),
        basket=row.basket,
        kind=BasketKind(row.kind),
        group=row.group,
        parent=row.parent,
        payout_e4=row.payout_e4,
        size_e6=row.size_e6,
        reserved_usd_e6=row.reserved_usd_e6,
        limit_net_e8=row.limit_net_e8,
        created_ms=row.created_ms,
    )
    state.flights[flight.id] = flight
    if flight.purpose is Purpose.BASKET:
        state.last_signal = max(state.last_signal, flight.id)
        state.sent_ms.append((flight.created_ms, flight.group))
        while state.sent_ms[0][0] < flight.created_ms - HOUR_MS:
            state.sent_ms.popleft()
    else:
        state.flights[flight.parent].repairs.append(flight)
    return []


def _intent(state: State, entry: Entry) -> list[Turn]:
    row = entry.row
    order_hash = "0x" + row.order_hash.hex()
    flight = state.flights[entry.flight]
    flight.legs.append(
        LegOrder(
            row=row.row,
            outcome=Outcome(row.outcome),
            side=Side(row.side),
            price_e4=row.price_e4,
            size_e6=row.size_e6,
            order_hash=order_hash,
            token=str(int.from_bytes(row.token, "big")),
            order_type=ORDER_TYPES[row.order_type],
        )
    )
    state._flight_of[order_hash] = flight.id  # noqa: SLF001  # these functions are its methods
    state.orders_intended += 1
    day = flight.created_ms // DAY_MS
    state.orders_by_day[day] = state.orders_by_day.get(day, 0) + 1
    for old in [known for known in state.orders_by_day if known < day - 1]:
        del state.orders_by_day[old]
    return []


def _sent(state: State, entry: Entry) -> list[Turn]:
    flight = state.flights[entry.flight]
    before = flight.state
    flight.sent_ms = _ms(entry)
    for leg in flight.legs:
        if leg.state is LegState.INTENT:
            leg.move(LegState.SENT)
    flight.move(FlightState.SENT)
    return [Turn(flight, before)]


def _said(state: State, entry: Entry) -> list[Turn]:
    """A reply, or what the resolver proved: the state of one order."""
    flight = state.flights[entry.flight]
    leg = flight.legs[entry.row.leg]
    then = LegState(entry.row.state)
    if then is not leg.state:
        leg.move(then, LegReason(entry.row.reason))
    if entry.kind is Kind.REPLY and then in _TAKEN:
        state.outcomes.append(_TAKEN[then])
    return state.settle(flight, _ms(entry))


_TAKEN = {LegState.FILLED: True, LegState.LANDED: True, LegState.KILLED: True,
          LegState.REFUSED: False}  # fmt: skip
"""Whether the venue took an order; of a doubt nothing is known."""


def _fill(state: State, entry: Entry) -> list[Turn]:
    row = entry.row
    fill = Fill(
        trade=row.trade.rstrip(b"\0").decode("ascii", "replace"),
        order="0x" + row.order_hash.hex(),
        token=str(int.from_bytes(row.token, "big")),
        side=Side(row.side),
        price_e4=row.price_e4,
        size_e6=row.size_e6,
        fee_usd_e6=row.fee_usd_e6,
        status=FillStatus(row.status),
        maker=bool(row.maker),
    )
    if state.ledger.apply(fill) is Change.VOIDED:
        state.failures_ms.append(_ms(entry))
        while state.failures_ms[0] < _ms(entry) - HOUR_MS:
            state.failures_ms.popleft()
    flight = state.flight_of(fill.order)
    if flight is None:
        state.strangers.add(fill.order)
        return []
    return state.settle(flight, _ms(entry))


def _ended(state: State, entry: Entry) -> list[Turn]:
    """The decision to keep what filled to the end."""
    flight = state.flights[entry.flight]
    flight.held = True
    return state.settle(flight, _ms(entry))


def _mode(state: State, entry: Entry) -> list[Turn]:
    then, cause = Mode(entry.row.mode), Cause(entry.row.cause)
    check_step(state.mode, then, cause)
    if then is Mode.HALTED:
        state.halt = cause
    elif state.mode is Mode.HALTED:
        state.halt = Cause.NONE
    if cause is Cause.OPERATOR:
        state.arm_nonce = max(state.arm_nonce, entry.row.nonce)
    state.mode, state.cause, state.mode_since_ms = then, cause, _ms(entry)
    return []


def _mark(state: State, entry: Entry) -> list[Turn]:
    """The worth of everything, once an hour and at the start of a day."""
    mark = Mark(_ms(entry), entry.row.worth_usd_e6)
    state.marks = [old for old in state.marks if old.at_ms > mark.at_ms - DAY_MS]
    state.marks.append(mark)
    state.peak_usd_e6 = max(state.peak_usd_e6, mark.worth_usd_e6)
    day = mark.at_ms // DAY_MS
    if day > state.day:  # a clock that goes back does not begin the day again
        state.day, state.day_open_usd_e6 = day, mark.worth_usd_e6
    _forget(state, mark.at_ms)
    return []


def _forget(state: State, now_ms: int) -> None:
    for flight in list(state.flights.values()):
        over = not flight.open and not unconfirmed(flight, state.ledger)
        if not over or flight.parent or flight.created_ms > now_ms - FORGET_AFTER_MS:
            continue
        if flight.state is FlightState.PARTIAL:
            continue  # what is kept alone stays in sight until it is paid or sold
        sums = tally(flight, state.ledger)
        state.sums.profit_usd_e6 += sums.locked_profit_usd_e6
        for one in (flight, *flight.repairs):
            del state.flights[one.id]


def _compared(state: State, entry: Entry) -> list[Turn]:
    """A comparison with the venue; an accepted difference moves the opening, and is no profit."""
    adopted = entry.row.adopted_usd_e6
    state.ledger.opening_usd_e6 += adopted
    state.marks = [Mark(m.at_ms, m.worth_usd_e6 + adopted) for m in state.marks]
    state.peak_usd_e6 += adopted if state.peak_usd_e6 else 0
    state.day_open_usd_e6 += adopted if state.day else 0
    return []


def _redeemed(state: State, entry: Entry) -> list[Turn]:
    """A market has ended and its tokens were paid out."""
    row = entry.row
    holding = state.ledger.holdings.setdefault(_token(row.token), Holding())
    holding.size_e6 -= row.size_e6
    holding.cost_usd_e6 -= row.paid_usd_e6
    state.ledger.cash_change_usd_e6 += row.paid_usd_e6
    return []


# --- what a checkpoint says instead of a history --------------------------------------------------


def _holding(state: State, entry: Entry) -> list[Turn]:
    row = entry.row
    state.ledger.holdings[_token(row.token)] = Holding(
        row.size_e6, row.cost_usd_e6, row.fee_usd_e6, row.fills
    )
    return []


def _counted(state: State, entry: Entry) -> list[Turn]:
    """A fill that is final and part of the holdings: only its name is still needed."""
    row = entry.row
    trade = row.trade.rstrip(b"\0").decode("ascii", "replace")
    order = "0x" + row.order_hash.hex()
    status = FillStatus(row.status)
    fill = Fill(trade, order, "0", Side.BUY, 0, 0, 0, status)
    state.ledger.fills[trade, order] = fill
    return []


def _figures(state: State, entry: Entry) -> list[Turn]:
    row = entry.row
    ledger = state.ledger
    ledger.opening_usd_e6, ledger.cash_change_usd_e6 = row.opening_usd_e6, row.cash_change_usd_e6
    ledger.fee_usd_e6 = row.fee_usd_e6
    state.run, state.wallet, state.system = row.run, row.wallet, row.system
    state.mode, state.cause = Mode(row.mode), Cause(row.cause)
    state.mode_since_ms, state.halt = row.mode_since_ms, Cause(row.halt)
    state.arm_nonce, state.last_signal = row.arm_nonce, row.last_signal
    state.orders_intended = row.orders_intended
    state.peak_usd_e6, state.day, state.day_open_usd_e6 = (
        row.peak_usd_e6, row.day, row.day_open_usd_e6,
    )  # fmt: skip
    state.sums = Sums(row.profit_usd_e6, row.orphan_usd_e6)
    return []


def _nothing(_state: State, _entry: Entry) -> list[Turn]:
    """Records for people: they change nothing that anyone decides by."""
    return []


def _token(word: bytes) -> str:
    return str(int.from_bytes(word, "big"))


def _ms(entry: Entry) -> int:
    return entry.wall_ns // 1_000_000


_FOLDS: dict[Kind, Callable[[State, Entry], list[Turn]]] = {
    Kind.OPENED: _opened,
    Kind.MARKET: _market,
    Kind.BASKET: _basket,
    Kind.INTENT: _intent,
    Kind.SENT: _sent,
    Kind.REPLY: _said,
    Kind.VERDICT: _said,
    Kind.FILL: _fill,
    Kind.ENDED: _ended,
    Kind.MODE: _mode,
    Kind.MARK: _mark,
    Kind.COMPARED: _compared,
    Kind.REDEEMED: _redeemed,
    Kind.HOLDING: _holding,
    Kind.COUNTED: _counted,
    Kind.FIGURES: _figures,
    Kind.CANCEL: _nothing,
    Kind.LIMITS: _nothing,
    Kind.STRANGER: _nothing,
    Kind.CHECKPOINT: _nothing,
}
