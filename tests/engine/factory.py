"""Market rows for the engine's tests."""

from itertools import pairwise

from shm.codes import Exchange, MarketKind, MarketState
from shm.layout import Market

OPEN_LOWER = -(1 << 63)
OPEN_UPPER = (1 << 63) - 1


def market(
    row: int,
    kind: MarketKind,
    lower: int | None = None,
    upper: int | None = None,
    *,
    group: int = 1,
    fingerprint: int = 1,
    fee_rate_e6: int = 70_000,
    state: MarketState = MarketState.ACTIVE,
) -> Market:
    """A market whose bounds are given in dollars."""
    return Market(
        key=row + 1000,
        lower_usd_e6=OPEN_LOWER if lower is None else lower * 10**6,
        upper_usd_e6=OPEN_UPPER if upper is None else upper * 10**6,
        expiry_ms=1_795_453_200_000,
        min_size_e6=5_000_000,
        fingerprint=fingerprint,
        condition=bytes([row % 256]) * 32,
        yes_token=(2 * row + 1).to_bytes(32, "big"),
        no_token=(2 * row + 2).to_bytes(32, "big"),
        row=row,
        group=group,
        kind=kind,
        state=state,
        exchange=Exchange.NEG_RISK if kind is MarketKind.RANGE else Exchange.STANDARD,
        tick_e4=10,
        fee_rate_e6=fee_rate_e6,
        taker_delay_ms=0,
        coin=b"BTC",
        slug=f"market-{row}".encode(),
    )


def ladder(strikes: list[int], *, first_row: int = 0, group: int = 1) -> list[Market]:
    """Above markets at the strikes and the ranges between them, with the open brackets."""
    rows: list[Market] = []

    def add(kind: MarketKind, lower: int | None, upper: int | None) -> None:
        rows.append(market(first_row + len(rows), kind, lower, upper, group=group))

    for strike in strikes:
        add(MarketKind.ABOVE, strike, None)
    add(MarketKind.BELOW, None, strikes[0])
    for lower, upper in pairwise(strikes):
        add(MarketKind.RANGE, lower, upper)
    add(MarketKind.TOP, strikes[-1], None)
    return rows
