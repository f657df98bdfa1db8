"""The last word of a run: one JSON object with our figures and the exchange's own beside them."""

from typing import Any

from desk.snapshot import Snapshot
from shm.codes import STAGES
from shm.layout import Market
from shm.units import format_token

_LATENCIES = ("frame_to_signal", "signal_to_post", "frame_to_post")


def our_positions_e6(now: Snapshot) -> dict[str, int]:
    """Token id -> micro-shares, as the executor counts them; nothing that is zero."""
    found: dict[str, int] = {}
    for row, position in now.positions.items():
        market: Market = now.markets[row]
        for token, size_e6 in (
            (market.yes_token, position.yes_e6),
            (market.no_token, position.no_e6),
        ):
            if size_e6:
                found[format_token(token)] = size_e6
    return found


def exchange_account(now: Snapshot, exchange: dict[str, Any] | None) -> dict[str, Any]:
    """The exchange's account of our wallet; empty if it has none."""
    if exchange is None:
        return {}
    wallet = "0x" + now.account.wallet[-20:].hex()
    for address, account in exchange["accounts"].items():
        if address.lower() == wallet:
            return dict(account)
    return {}


def agrees(now: Snapshot, exchange: dict[str, Any] | None) -> bool:
    """Whether cash and every position are the same on both sides."""
    account = exchange_account(now, exchange)
    return account.get("cash_usd_e6") == now.account.cash_usd_e6 and account.get(
        "positions"
    ) == our_positions_e6(now)


def pnl_usd_e6(now: Snapshot) -> int:
    """Locked profit of complete baskets, plus orphans at the bid less what they cost."""
    account = now.account
    return account.locked_profit_usd_e6 - account.orphan_cost_usd_e6 + now.orphan_value_usd_e6


def summary(
    now: Snapshot, exchange: dict[str, Any] | None, *, venue: str, mode: str, seconds: float
) -> dict[str, Any]:
    """See docs/architecture.md "The summary of a run" for every key."""
    account = exchange_account(now, exchange)
    executor = now.executor
    reasons = {
        name.removeprefix("partial_"): value
        for name, value in executor._asdict().items()
        if name.startswith("partial_") and value
    }
    return {
        "venue": venue,
        "mode": mode,
        "seconds": round(seconds, 3),
        "frames_in": now.ingest.frames_in,
        "markets_live": now.ingest.books_live,
        "baskets": now.engine.baskets,
        "signals": now.engine.signals,
        "orders_sent": executor.orders_sent,
        "orders_accepted": executor.orders_accepted,
        "orders_refused": executor.orders_refused,
        "orders_killed": executor.orders_killed,
        "orders_filled": executor.orders_filled,
        "baskets_complete": executor.baskets_complete,
        "baskets_partial": executor.baskets_partial,
        "baskets_missed": executor.baskets_missed,
        "baskets_unwound": executor.repairs_unwound,
        "repairs_sent": executor.repairs_sent,
        "legs_sold": executor.legs_sold,
        "partial_reasons": reasons,
        "cash_usd_e6": now.account.cash_usd_e6,
        "exchange_cash_usd_e6": account.get("cash_usd_e6"),
        "positions_e6": our_positions_e6(now),
        "exchange_positions_e6": account.get("positions", {}),
        "pnl_usd": pnl_usd_e6(now) / 1e6,
        "fees_usd": now.account.fee_usd_e6 / 1e6,
        "mispricings_offered": exchange["mispricings"]["offered"] if exchange else None,
        "mirror": exchange["mirror"] if exchange else None,
        "latency_us": {
            name: {
                "p50": latency.p50_us,
                "p90": latency.p90_us,
                "p99": latency.p99_us,
                "p999": latency.p999_us,
                "max": latency.max_us,
            }
            for name in _LATENCIES
            if (latency := now.latency.get(name)) is not None
        },
        "restarts": {role.label: max(0, now.health[role].row.epoch - 1) for role in STAGES},
        "rss_mb": {role.label: round(now.rss_bytes[role] / 1e6, 1) for role in STAGES},
        "gc_collections": {role.label: now.stage[role].gc_collections for role in STAGES},
    }
