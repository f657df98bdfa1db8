"""Settings about money at risk: limits, journal, and what the simulation puts in their place."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from shm.ranges import Bps, Count, Millis, Seconds, Section, UsdE6


class RiskSettings(Section, frozen=True):
    """Limits at the last hop before money moves. None can be zero or left out: no "0 = unlimited".

    The defaults are meant for real money. Where the money is simulated, `SIM_PRESET` stands in for
    those that a demonstration would only run into; what the settings file says goes before both.
    """

    max_order_usd_e6: UsdE6 = 25_000_000
    max_order_equity_bps: Bps = 100
    """Of equity: the smaller of the two counts."""
    max_order_shares: Count = 500
    collar_ticks: Annotated[int, Meta(ge=1, le=1_000)] = 3
    """Most that a limit may stand beyond the best opposite quote, in ticks"""
    collar_bps: Bps = 200
    """and in hundredths of a percent of it: the larger of the two counts."""
    max_edge_bps: Bps = 800
    """Net edge of a dollar of payout that is too good to be true"""
    max_edge_age_ms: Millis = 3_000
    """and how long the same edge may be seen before it is not believed any more."""
    quarantine_ms: Millis = 60_000
    """How long nothing of its ladder is bought then: the whole of its books may be wrong."""
    max_market_usd_e6: UsdE6 = 50_000_000
    """What may be lost on one market,"""
    max_group_usd_e6: UsdE6 = 100_000_000
    """on one ladder,"""
    max_day_usd_e6: UsdE6 = 200_000_000
    """on all ladders of a coin that end on one day,"""
    max_total_usd_e6: UsdE6 = 500_000_000
    max_total_equity_bps: Bps = 2_500
    """and altogether (the smaller of the two): unconfirmed, in doubt and on its way count whole."""
    max_naked_usd_e6: UsdE6 = 25_000_000
    """Legs without their basket: how much,"""
    max_naked_ms: Millis = 3_000
    """and how long until one has been completed, unwound, or is kept to the end."""
    cash_margin_bps: Bps = 200
    """Of free cash, never planned with."""
    orders_per_second: Annotated[int, Meta(ge=1, le=1_000)] = 5
    orders_burst: Annotated[int, Meta(ge=1, le=1_000)] = 15
    orders_per_day: Count = 2_000
    group_pause_ms: Millis = 2_000
    """Between two baskets of one ladder,"""
    group_per_hour: Count = 20
    """and how many an hour."""
    max_doubt_group: Count = 1
    """Baskets of one ladder with an order whose fate is unknown,"""
    max_doubt: Count = 3
    """and altogether, with which everything halts."""
    max_quote_age_ms: Millis = 30_000
    """Since a frame last spoke of a leg's book, at the moment of sending."""
    max_feed_silence_ms: Millis = 750
    """Since ingest last proved that it works, at the moment of sending."""
    max_metadata_age_s: Seconds = 60
    """Since discovery last confirmed the facts of the markets."""
    clock_block_ms: Millis = 500
    """Difference to the venue's clock that holds orders back,"""
    clock_halt_ms: Millis = 2_000
    """and that halts."""
    max_loss_usd_e6: UsdE6 = 50_000_000
    """In a UTC day, and in any 24 hours; half of it leaves only orders that reduce."""
    max_loss_equity_bps: Bps = 200
    """Of equity: the smaller of the two counts."""
    max_drawdown_bps: Bps = 500
    """From the highest equity so far."""
    max_refusals: Annotated[int, Meta(ge=1, le=1_000)] = 5
    """Orders in a row that the venue refuses,"""
    max_refusal_bps: Bps = 3_000
    """and of the last fifty."""
    max_settlement_failures: Annotated[int, Meta(ge=1, le=100)] = 2
    """Trades an hour that fail on chain."""
    max_unsettled_s: Seconds = 300
    """Until a matched trade is confirmed."""
    tolerance_size_e6: Annotated[int, Meta(ge=1, le=10**6)] = 10_000
    """Difference between our ledger and the venue's that is dust: shares,"""
    tolerance_usd_e6: Annotated[int, Meta(ge=1, le=10**6)] = 10_000
    """and dollars."""
    fence_end_s: Seconds = 120
    """No new basket so shortly before its markets end,"""
    fence_restart_s: Seconds = 120
    """or after a restart of the venue."""


class JournalSettings(Section, frozen=True):
    """How the executor remembers."""

    durability: Literal["D0", "D1", "D2"] = "D0"
    """What is on disk before an order leaves. D0: written, which any crash of a process survives,
    and synced while the order travels. D1: synced first for baskets above `sync_above_usd_e6`.
    D2: always synced first."""
    sync_above_usd_e6: UsdE6 = 100_000_000
    segment_records: Annotated[int, Meta(ge=1_024, le=4_194_304)] = 65_536
    """Records of 256 bytes in a file; the space is taken when the file is made."""


SIM_PRESET: dict[str, dict[str, int]] = {
    "executor": {"max_signal_age_ms": 250, "doubt_settle_ms": 5_000},
    "risk": {
        "max_order_usd_e6": 1_000_000_000,
        "max_order_equity_bps": 10_000,
        "max_market_usd_e6": 10_000_000_000,
        "max_group_usd_e6": 50_000_000_000,
        "max_day_usd_e6": 100_000_000_000,
        "max_total_usd_e6": 100_000_000_000,
        "max_total_equity_bps": 10_000,
        "max_naked_usd_e6": 1_000_000_000,
        "orders_per_second": 200,
        "orders_burst": 600,
        "orders_per_day": 1_000_000,
        "group_pause_ms": 1,
        "group_per_hour": 1_000_000,
        "max_edge_age_ms": 600_000,
        "quarantine_ms": 1,
        "max_loss_usd_e6": 10_000_000_000,
        "max_loss_equity_bps": 10_000,
        "max_drawdown_bps": 10_000,
    },
}
"""What stands in for defaults where money is simulated: `venue = "sim"`, execution not live."""


def with_preset(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with the preset below it, where that applies."""
    if tree.get("venue", "sim") != "sim" or tree.get("execution", "paper") == "live":
        return tree
    below: dict[str, Any] = {
        name: {**preset, **given}
        for name, preset in SIM_PRESET.items()
        if isinstance(given := tree.get(name, {}), dict)
    }
    return tree | below
