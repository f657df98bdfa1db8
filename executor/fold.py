"""The executor's journal, record by record -> its state. Pure: no clock, no network, no file.

What is not in the journal did not happen; what is in it is remembered by whoever reads it, in the
same way: the running executor applies each record after writing it, a restarted one applies them
all. So there is one way to know anything, and recovery is the ordinary start.
"""

from collections.abc import Callable, Iterable

from executor.exposure import DAY_MS
from executor.flights import Flight, LegOrder
from executor.forgetting import (
    forget_fills,
    forget_flights,
    forget_paces,
    forget_strangers,
    forget_tokens,
)
from executor.ledger import Change, Fill, Holding
from executor.modes import check_step
from executor.snapshot import RESTORES
from executor.state import MINUTE_MS, Mark, Pace, State, Turn
from executor.wire import ORDER_TYPES
from shm.codes import (
    BasketKind,
    Cause,
    Exchange,
    FillStatus,
    FlightState,
    LegReason,
    LegState,
    MarketKind,
    MarketState,
    Mode,
    Outcome,
    Purpose,
    Side,
)
from shm.journal_record import Entry
from shm.layout import Market
from shm.records import Kind
from shm.records import Market as MarketRecord
from shm.units import format_token


def apply(state: State, entry: Entry) -> list[Turn]:
    """Take one record in; the flights that it turned."""
    return _FOLDS[entry.kind](state, entry)


def apply_all(state: State, entries: Iterable[Entry]) -> State:
    """Take many in, as a start does."""
    for entry in entries:
        apply(state, entry)
    return state


# --- one function a kind of record --------------------------------------------------------------


def _opened(state: State, entry: Entry) -> list[Turn]:
    """A process starts: what the one before it had on its way is in doubt."""
    row = entry.payload
    at_ms = entry.wall_ns // 1_000_000
    state.run += 1
    state.wallet = row.wallet
    if row.system != state.system:
        state.last_signal = 0
        state.system = row.system
    if state.run == 1:
        state.ledger.opening_usd_e6 = row.opening_cash_usd_e6
    state.mode, state.cause, state.mode_since_ms = Mode.BOOT, Cause.START, at_ms
    state.bound_leaving(row.boot_id, entry.mono_ns)
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
            turns += state.settle(flight, at_ms)
    return turns


def _market(state: State, entry: Entry) -> list[Turn]:
    market = market_of(entry.payload)
    for token, outcome in ((market.yes_token, Outcome.YES), (market.no_token, Outcome.NO)):
        state.tokens[format_token(token)] = (market, outcome)
    return []


def market_of(row: MarketRecord) -> Market:
    """The facts of a market as everybody else knows them; slug and delay are not remembered."""
    return Market(
        key=row.key,
        lower_usd_e6=row.lower_usd_e6,
        upper_usd_e6=row.upper_usd_e6,
        expiry_ms=row.expiry_ms,
        min_size_e6=row.min_size_e6,
        fingerprint=row.fingerprint,
        condition=row.condition,
        yes_token=row.yes_token,
        no_token=row.no_token,
        row=row.row,
        group=row.group,
        kind=MarketKind(row.kind),
        state=MarketState.ACTIVE,
        exchange=Exchange(row.exchange),
        tick_e4=row.tick_e4,
        fee_rate_e6=row.fee_rate_e6,
        taker_delay_ms=0,
        coin=row.coin.ljust(8, b"\0"),  # as in shared memory, so that they compare as equal
        slug=b"",
    )


def _basket(state: State, entry: Entry) -> list[Turn]:
    row = entry.payload
    flight = Flight(
        id=entry.flight,
        signal=row.signal,
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
        state.last_signal = max(state.last_signal, flight.signal)
        _count_basket(state, flight)
    else:
        state.flights[flight.parent].repairs.append(flight)
    return []


def _count_basket(state: State, flight: Flight) -> None:
    if state.told_again:
        return  # the snapshot says what was left of it (Kind.PACE)
    pace = state.pace.setdefault(flight.group, Pace())
    minute = flight.created_ms // MINUTE_MS
    pace.last_ms = max(pace.last_ms, flight.created_ms)
    pace.by_minute[minute] = pace.by_minute.get(minute, 0) + 1
    for old in [known for known in pace.by_minute if known <= minute - 60]:
        del pace.by_minute[old]
    _forget_when_due(state, flight.created_ms)


def _intent(state: State, entry: Entry) -> list[Turn]:
    row = entry.payload
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
            token=format_token(row.token),
            other=_other(state, format_token(row.token)),
            order_type=ORDER_TYPES[row.order_type - 1],
        )
    )
    state.flight_by_order[order_hash] = flight.id
    state.orders_intended += 1
    day = flight.created_ms // DAY_MS
    if day > state.orders_day:
        state.orders_day, state.orders_today = day, 0
    state.orders_today += 1
    return []


def _other(state: State, token: str) -> str:
    """The opposite token: a market's facts are written before any order for it; else none."""
    if token not in state.tokens:
        return ""
    market, outcome = state.tokens[token]
    return format_token(market.no_token if outcome is Outcome.YES else market.yes_token)


def _sent(state: State, entry: Entry) -> list[Turn]:
    flight = state.flights[entry.flight]
    before = flight.state
    flight.sent_ms, flight.left_ns = entry.payload.at_ms, entry.mono_ns
    for leg in flight.legs:
        if leg.state is LegState.INTENT:
            leg.move(LegState.SENT)
    flight.move(FlightState.SENT)
    return [Turn(flight, before)]


def _said(state: State, entry: Entry) -> list[Turn]:
    """A reply, or what the resolver proved: the state of one order."""
    flight = state.flights[entry.flight]
    leg = flight.legs[entry.leg]
    then = LegState(entry.payload.state)
    if entry.kind is Kind.VERDICT and leg.state is LegState.FILLED:
        return []  # its fill was seen before this was written down, and says more
    if then is not leg.state:
        leg.move(then, LegReason(entry.payload.reason))
    if flight.state is FlightState.INTENT and then is LegState.NEVER_LANDED:
        flight.move(FlightState.RESOLVING)  # it was withheld: nobody will say that it was sent
    if entry.kind is Kind.REPLY and then in _TAKEN:
        state.outcomes.append(_TAKEN[then])
        if then is LegState.REFUSED and entry.payload.reason == LegReason.CLOSED:
            state.closed_ms[flight.legs[entry.leg].token] = entry.payload.at_ms
    return state.settle(flight, entry.payload.at_ms)


_TAKEN = {LegState.FILLED: True, LegState.LANDED: True, LegState.KILLED: True,
          LegState.REFUSED: False}  # fmt: skip
"""Whether the venue took an order; of a doubt nothing is known."""


def _fill(state: State, entry: Entry) -> list[Turn]:
    row = entry.payload
    fill = Fill(
        trade=row.trade.rstrip(b"\0").decode("ascii", "replace"),
        order="0x" + row.order_hash.hex(),
        token=format_token(row.token),
        side=Side(row.side),
        price_e4=row.price_e4,
        size_e6=row.size_e6,
        fee_usd_e6=row.fee_usd_e6,
        status=FillStatus(row.status),
        maker=bool(row.maker),
        at_ms=row.at_ms,
    )
    change = state.ledger.apply(fill)
    if change is Change.VOIDED:
        state.failed_ms[fill.trade, fill.order] = fill.at_ms
    elif change is Change.REVIVED:
        state.failed_ms.pop((fill.trade, fill.order), None)
    flight = state.flight_of(fill.order)
    if flight is None:
        state.strangers.add(fill.order)
        return []
    if change in _MOVES:  # what was decided about the position was about another one
        state.flights.get(flight.parent, flight).held = False
    return state.settle(flight, entry.payload.at_ms)


_MOVES = {Change.COUNTED, Change.VOIDED, Change.REVIVED}


def _ended(state: State, entry: Entry) -> list[Turn]:
    """The decision to keep what filled to the end."""
    flight = state.flights[entry.flight]
    flight.held = True
    return state.settle(flight, entry.payload.at_ms)


def _mode(state: State, entry: Entry) -> list[Turn]:
    then, cause = Mode(entry.payload.mode), Cause(entry.payload.cause)
    check_step(state.mode, then, cause)
    if then is Mode.HALTED:
        state.halt = cause
    elif then is Mode.ARMED:
        state.halt = Cause.NONE  # and not before: who dies on the way there halts again
    if state.mode is Mode.HALTED and then is not Mode.HALTED:
        # The operator has seen it: what was counted towards it begins anew, but not a day's loss.
        state.outcomes.clear()
        state.forgiven_ms = entry.wall_ns // 1_000_000
        state.peak_usd_e6 = 0
    if cause is Cause.OPERATOR:
        state.arm_nonce = max(state.arm_nonce, entry.payload.nonce)
    state.mode, state.cause = then, cause
    state.mode_since_ms = entry.wall_ns // 1_000_000
    return []


def _mark(state: State, entry: Entry) -> list[Turn]:
    """The worth of everything, once an hour and at the start of a day."""
    mark = Mark(entry.payload.at_ms, entry.payload.worth_usd_e6)
    state.marks = [old for old in state.marks if old.at_ms > mark.at_ms - DAY_MS]
    state.marks.append(mark)
    state.peak_usd_e6 = max(state.peak_usd_e6, mark.worth_usd_e6)
    day = mark.at_ms // DAY_MS
    if day > state.day:  # a clock that goes back does not begin the day again
        state.day, state.day_open_usd_e6 = day, mark.worth_usd_e6
    return []


def _forget_when_due(state: State, now_ms: int) -> None:
    """Once a minute at most. Only after records that no snapshot tells again."""
    if now_ms > state.forgot_ms + MINUTE_MS:
        state.forgot_ms = now_ms
        forget_flights(state, now_ms)
        forget_fills(state, now_ms)
        forget_strangers(state)
        forget_paces(state, now_ms)


def _compared(state: State, entry: Entry) -> list[Turn]:
    """A comparison with the venue; an accepted difference moves the opening, and is no profit."""
    now_ms = entry.wall_ns // 1_000_000
    _forget_when_due(state, now_ms)
    forget_tokens(state, now_ms)  # here, where no basket stands half told
    adopted = entry.payload.adopted_usd_e6
    state.ledger.opening_usd_e6 += adopted
    _move_worth(state, adopted)
    return []


def _adopted(state: State, entry: Entry) -> list[Turn]:
    """Cash or shares that came or went by other hands; what shares had cost goes with them."""
    row = entry.payload
    before = state.worth_usd_e6()
    state.ledger.opening_usd_e6 += row.usd_e6
    if row.size_e6:
        holding = state.ledger.holdings.setdefault(format_token(row.token), Holding())
        if 0 < -row.size_e6 <= holding.size_e6:
            left_e6 = holding.size_e6 + row.size_e6
            holding.cost_usd_e6 = holding.cost_usd_e6 * left_e6 // holding.size_e6
        holding.size_e6 += row.size_e6
    _move_worth(state, state.worth_usd_e6() - before)
    return []


def _move_worth(state: State, usd_e6: int) -> None:
    """Losses are counted from what there would have been then."""
    state.marks = [Mark(m.at_ms, m.worth_usd_e6 + usd_e6) for m in state.marks]
    state.peak_usd_e6 += usd_e6 if state.peak_usd_e6 else 0
    state.day_open_usd_e6 += usd_e6 if state.day else 0


def _redeemed(state: State, entry: Entry) -> list[Turn]:
    """A market has ended and its tokens were paid out."""
    row = entry.payload
    holding = state.ledger.holdings.setdefault(format_token(row.token), Holding())
    holding.size_e6 -= row.size_e6
    holding.cost_usd_e6 -= row.paid_usd_e6
    state.ledger.cash_change_usd_e6 += row.paid_usd_e6
    return []


def _nothing(_state: State, _entry: Entry) -> list[Turn]:
    """Records for people: they change nothing that anyone decides by."""
    return []


_FOLDS: dict[Kind, Callable[[State, Entry], list[Turn]]] = {
    **RESTORES,
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
    Kind.ADOPTED: _adopted,
    Kind.REDEEMED: _redeemed,
    Kind.CANCEL: _nothing,
    Kind.LIMITS: _nothing,
    Kind.STRANGER: _nothing,
    Kind.CHECKPOINT: _nothing,
    Kind.LOSS: _nothing,
}
