"""A state as journal records: what a new segment begins with, instead of the whole history. Pure.

Folding them gives the same state (a property test compares digests). Fills that are final and
belong to nothing that is still looked at become sums; flights that are still looked at are told
again, each record with the time of what it tells.
"""

from collections.abc import Callable, Iterable, Iterator

from executor.flights import Flight, LegOrder
from executor.ledger import FINAL, Fill, Holding
from executor.state import Pace, State, Sums, Turn
from executor.wire import ORDER_TYPES
from shm import records, snapshot_records
from shm.codes import Cause, FillStatus, FlightState, LegReason, LegState, Mode, PartialReason, Side
from shm.journal_record import Draft, Entry
from shm.layout import MAX_LEGS, Market
from shm.payloads import trade_id
from shm.records import Kind
from shm.units import format_token

ON_THE_WAY = {LegState.INTENT, LegState.SENT}
"""States of orders whose reply is outstanding: no snapshot is made meanwhile."""


def may_be_taken(state: State) -> bool:
    """Whether nothing is at this moment between decision and reply."""
    legs = (leg for flight in state.flights.values() for leg in flight.legs)
    return not any(leg.state in ON_THE_WAY for leg in legs)


def snapshot(state: State) -> list[Draft]:
    """The records."""
    assert may_be_taken(state), "a snapshot in the middle of a flight"
    told = [fill for fill in state.ledger.fills.values() if _is_told(state, fill)]
    return [
        # Also first: nothing is forgotten, nor any pace counted, while it is told.
        draft(Kind.FIGURES, _figures(state)),
        *(draft(Kind.MARKET, market_row(market)) for market in _markets(state)),
        *_holdings(state, told),
        *_names(state, told),
        *_flights(state, told),
        *(draft(Kind.FILL, fill_row(f)) for f in told if state.flight_of(f.order) is None),
        *(draft(Kind.MARK, records.Mark(m.at_ms, m.worth_usd_e6)) for m in state.marks),
        *_paces(state),
        draft(Kind.FIGURES, _figures(state)),
    ]


def draft(kind: Kind, row: object, flight: int = 0, leg: int = 0) -> Draft:
    """A record to be written."""
    return Draft(kind, flight, leg, row)  # type: ignore[arg-type]  # any of the payload rows


def _is_told(state: State, fill: Fill) -> bool:
    """Whether a fill is told again: it may still change, or a flight or a stranger needs it."""
    needed = state.flight_of(fill.order) is not None or fill.order in state.strangers
    return needed or fill.status not in FINAL


def _markets(state: State) -> Iterator[Market]:
    seen: set[int] = set()
    for market, _ in state.tokens.values():
        if market.key not in seen:
            seen.add(market.key)
            yield market


def market_row(market: Market) -> records.Market:
    """A market's facts as a record."""
    return records.Market(**{name: getattr(market, name) for name in records.Market._fields})


def _base(holding: Holding, fills: Iterable[Fill]) -> Holding:
    """A holding without some of the fills that it consists of."""
    base = Holding(holding.size_e6, holding.cost_usd_e6, holding.fee_usd_e6, holding.fills)
    for fill in fills:
        base.add(fill, -1)
    return base


def _holdings(state: State, told: list[Fill]) -> Iterator[Draft]:
    for token, holding in state.ledger.holdings.items():
        base = _base(holding, (f for f in told if f.token == token and f.counts))
        yield draft(
            Kind.HOLDING,
            snapshot_records.Holding(
                size_e6=base.size_e6,
                cost_usd_e6=base.cost_usd_e6,
                fee_usd_e6=base.fee_usd_e6,
                fills=base.fills,
                token=word(token),
            ),
        )


def _names(state: State, told: list[Fill]) -> Iterator[Draft]:
    again = {(fill.trade, fill.order) for fill in told}
    for key, fill in state.ledger.fills.items():
        if key not in again:
            name = (trade_id(fill.trade), hash_bytes(fill.order))
            row = snapshot_records.Counted(fill.at_ms, fill.status, *name)
            yield draft(Kind.COUNTED, row)


def _flights(state: State, told: list[Fill]) -> Iterator[Draft]:
    for flight in state.flights.values():
        yield draft(Kind.BASKET, basket_row(flight), flight.id)
        for place, leg in enumerate(flight.legs):
            yield draft(Kind.INTENT, _intent_row(leg), flight.id, place)
        hashes = {leg.order_hash for leg in flight.legs}
        for fill in told:
            if fill.order in hashes:
                yield draft(Kind.FILL, fill_row(fill), flight.id)
    for flight in state.flights.values():
        yield draft(Kind.STANDS, _stands_row(flight), flight.id)


def _stands_row(flight: Flight) -> snapshot_records.Stands:
    return snapshot_records.Stands(
        sent_ms=flight.sent_ms,
        last_ms=flight.last_ms,
        naked_ms=flight.naked_ms,
        state=flight.state,
        reason=flight.reason,
        held=flight.held,
        restarted=flight.restarted,
        leg_state=bytes(leg.state for leg in flight.legs).ljust(MAX_LEGS, b"\0"),
        leg_reason=bytes(leg.reason for leg in flight.legs).ljust(MAX_LEGS, b"\0"),
    )


def basket_row(flight: Flight) -> records.Basket:
    """A flight, apart from its orders, as a record."""
    return records.Basket(
        signal=flight.signal,
        basket=flight.basket,
        parent=flight.parent,
        payout_e4=flight.payout_e4,
        size_e6=flight.size_e6,
        reserved_usd_e6=flight.reserved_usd_e6,
        limit_net_e8=flight.limit_net_e8,
        created_ms=flight.created_ms,
        group=flight.group,
        kind=flight.kind,
        purpose=flight.purpose,
        leg_count=len(flight.legs),
    )


def _intent_row(leg: LegOrder) -> records.Intent:
    """An order without what was signed: that stands in the segment in which it was sent."""
    return records.Intent(
        salt=0,
        maker_amount=0,
        taker_amount=0,
        timestamp_ms=0,
        size_e6=leg.size_e6,
        row=leg.row,
        price_e4=leg.price_e4,
        outcome=leg.outcome,
        side=leg.side,
        exchange=0,
        order_type=ORDER_TYPES.index(leg.order_type) + 1,
        signature_type=0,
        order_hash=hash_bytes(leg.order_hash),
        token=word(leg.token),
        signature=bytes(65),
    )


def fill_row(fill: Fill) -> records.Fill:
    """A fill as a record."""
    return records.Fill(
        at_ms=fill.at_ms,
        size_e6=fill.size_e6,
        fee_usd_e6=fill.fee_usd_e6,
        price_e4=fill.price_e4,
        side=fill.side,
        status=fill.status,
        maker=fill.maker,
        trade=trade_id(fill.trade),
        order_hash=hash_bytes(fill.order),
        token=word(fill.token),
    )


def _paces(state: State) -> Iterator[Draft]:
    """What is left of it: baskets that a snapshot tells again are not counted by it."""
    for group, pace in state.pace.items():
        for minute, count in sorted(pace.by_minute.items()):
            yield draft(Kind.PACE, snapshot_records.Pace(minute, pace.last_ms, group, count))


def _figures(state: State) -> snapshot_records.Figures:
    ledger = state.ledger
    taken = sum(bit << i for i, bit in enumerate(state.outcomes))
    return snapshot_records.Figures(
        opening_usd_e6=ledger.opening_usd_e6,
        cash_change_usd_e6=ledger.cash_change_usd_e6,
        fee_usd_e6=ledger.fee_usd_e6,
        profit_usd_e6=state.sums.profit_usd_e6,
        orphan_usd_e6=state.sums.orphan_usd_e6,
        peak_usd_e6=state.peak_usd_e6,
        day_open_usd_e6=state.day_open_usd_e6,
        day=state.day,
        orders_day=state.orders_day,
        forgot_ms=state.forgot_ms,
        forgiven_ms=state.forgiven_ms,
        mode_since_ms=state.mode_since_ms,
        system=state.system,
        arm_nonce=state.arm_nonce,
        last_signal=state.last_signal,
        orders_intended=state.orders_intended,
        orders_today=state.orders_today,
        run=state.run,
        mode=state.mode,
        cause=state.cause,
        halt=state.halt,
        outcomes=len(state.outcomes),
        taken=taken.to_bytes(8, "little"),
        wallet=state.wallet,
    )


def word(token: str) -> bytes:
    """A token id as its 32 bytes."""
    return int(token).to_bytes(32, "big")


def hash_bytes(order_hash: str) -> bytes:
    """An order's hash as its 32 bytes."""
    return bytes.fromhex(order_hash[2:])


# --- and back -----------------------------------------------------------------------------------


def _holding(state: State, entry: Entry) -> list[Turn]:
    row = entry.payload
    state.ledger.holdings[format_token(row.token)] = Holding(
        row.size_e6, row.cost_usd_e6, row.fee_usd_e6, row.fills
    )
    return []


def _counted(state: State, entry: Entry) -> list[Turn]:
    """A fill that is final and part of the holdings: only its name is still needed."""
    row = entry.payload
    trade = row.trade.rstrip(b"\0").decode("ascii", "replace")
    order = "0x" + row.order_hash.hex()
    status = FillStatus(row.status)
    fill = Fill(trade, order, "0", Side.BUY, 0, 0, 0, status, at_ms=row.at_ms)
    state.ledger.fills[trade, order] = fill
    if status is FillStatus.FAILED:
        state.failed_ms[trade, order] = row.at_ms
    return []


def _stands(state: State, entry: Entry) -> list[Turn]:
    """How a flight stood: its orders and fills have been told before."""
    row, flight = entry.payload, state.flights[entry.flight]
    flight.state, flight.reason = FlightState(row.state), PartialReason(row.reason)
    flight.held, flight.restarted = bool(row.held), bool(row.restarted)
    flight.sent_ms, flight.last_ms, flight.naked_ms = row.sent_ms, row.last_ms, row.naked_ms
    for leg, said, why in zip(flight.legs, row.leg_state, row.leg_reason, strict=False):
        leg.state, leg.reason = LegState(said), LegReason(why)
    return []


def _pace(state: State, entry: Entry) -> list[Turn]:
    row = entry.payload
    pace = state.pace.setdefault(row.group, Pace())
    pace.last_ms = row.last_ms
    pace.by_minute[row.minute] = row.baskets
    return []


def _restore_figures(state: State, entry: Entry) -> list[Turn]:
    row, ledger = entry.payload, state.ledger
    state.told_again = not state.told_again
    ledger.opening_usd_e6, ledger.cash_change_usd_e6 = row.opening_usd_e6, row.cash_change_usd_e6
    ledger.fee_usd_e6 = row.fee_usd_e6
    state.run, state.wallet, state.system = row.run, row.wallet, row.system
    state.mode, state.cause = Mode(row.mode), Cause(row.cause)
    state.mode_since_ms, state.halt = row.mode_since_ms, Cause(row.halt)
    state.arm_nonce, state.last_signal = row.arm_nonce, row.last_signal
    state.orders_intended = row.orders_intended
    state.orders_day, state.orders_today = row.orders_day, row.orders_today
    state.forgot_ms, state.forgiven_ms = row.forgot_ms, row.forgiven_ms
    state.peak_usd_e6, state.day, state.day_open_usd_e6 = (
        row.peak_usd_e6, row.day, row.day_open_usd_e6,
    )  # fmt: skip
    state.sums = Sums(row.profit_usd_e6, row.orphan_usd_e6)
    state.outcomes.clear()
    bits = int.from_bytes(row.taken, "little")
    state.outcomes.extend(bool(bits >> i & 1) for i in range(row.outcomes))
    return []


RESTORES: dict[Kind, Callable[[State, Entry], list[Turn]]] = {
    Kind.HOLDING: _holding,
    Kind.COUNTED: _counted,
    Kind.FIGURES: _restore_figures,
    Kind.PACE: _pace,
    Kind.STANDS: _stands,
}
"""What executor/fold.py does with these kinds."""
