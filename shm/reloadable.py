"""Which settings may change while the system runs, and why the others may not. Pure.

A key that is in neither table is a defect: a test goes through the whole tree.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from shm.settings import Settings
from shm.sources import values

RELOADABLE = {
    "execution": "executor",
    "desk.coins": "desk",
    "desk.days": "desk",
    "desk.hourly": "desk",
    "desk.discover_every_s": "desk",
    "desk.list_every_s": "desk",
    "desk.listing_tag": "desk",
    "desk.row_grace_s": "desk",
    "ingest.socket": "ingest",
    "ingest.ping_every_s": "ingest",
    "ingest.silence_limit_s": "ingest",
    "ingest.data_silence_ms": "ingest",
    "ingest.confirm_after_s": "ingest",
    "ingest.reconnect_base_ms": "ingest",
    "ingest.reconnect_cap_s": "ingest",
    "ingest.snapshot_wait_ms": "ingest",
    "engine.*": "engine",
    "executor.max_signal_age_ms": "executor",
    "executor.max_basket_usd_e6": "executor",
    "executor.cash_reserve_usd_e6": "executor",
    "executor.reply_timeout_ms": "executor",
    "executor.doubt_settle_ms": "executor",
    "executor.fill_wait_ms": "executor",
    "risk.*": "executor",
    "executor.inventory": "executor",
    "stages.restarts_per_minute": "supervisor",
    "stages.fallback_after": "supervisor",
}
"""Key -> who follows it."""

NEEDS_RESTART = {
    "instance": "it is the system's name",
    "venue": "accounts and addresses follow from it",
    "venues.*": "connections are open there",
    "sim.*": "the simulated exchange has its options from its start",
    "desk.var_dir": "files are open there",
    "ingest.tokens_per_socket": "subscriptions are laid out by it",
    "ingest.max_frame_bytes": "connections are opened with it",
    "ingest.hash_check_every": "the keeper of the books is made with it",
    "executor.max_flights": "order connections are opened for it",
    "wallet.*": "the wallet is loaded once",
    "signing.*": "the signer is made once",
    "journal.*": "the journal is open",
    "killer.*": "the killer decides it when it starts",
    "stages.wait": "stages choose it when they start",
    "stages.cores": "stages choose it when they start",
    "stages.loop": "stages choose it when they start",
}
"""Key -> why it cannot change while the system runs."""


SAFER: dict[str, Literal["less", "more"]] = {
    "risk.max_order_usd_e6": "less",
    "risk.max_order_equity_bps": "less",
    "risk.max_order_shares": "less",
    "risk.collar_ticks": "less",
    "risk.collar_bps": "less",
    "risk.max_edge_bps": "less",
    "risk.max_edge_age_ms": "less",
    "risk.quarantine_ms": "more",
    "risk.max_market_usd_e6": "less",
    "risk.max_group_usd_e6": "less",
    "risk.max_day_usd_e6": "less",
    "risk.max_total_usd_e6": "less",
    "risk.max_total_equity_bps": "less",
    "risk.max_naked_usd_e6": "less",
    "risk.max_naked_ms": "less",
    "risk.cash_margin_bps": "more",
    "risk.orders_per_second": "less",
    "risk.orders_burst": "less",
    "risk.orders_per_day": "less",
    "risk.group_pause_ms": "more",
    "risk.group_per_hour": "less",
    "risk.max_doubt_group": "less",
    "risk.max_doubt": "less",
    "risk.max_quote_age_ms": "less",
    "risk.max_feed_silence_ms": "less",
    "risk.max_metadata_age_s": "less",
    "risk.clock_block_ms": "less",
    "risk.clock_halt_ms": "less",
    "risk.max_loss_usd_e6": "less",
    "risk.max_loss_equity_bps": "less",
    "risk.max_drawdown_bps": "less",
    "risk.max_refusals": "less",
    "risk.max_refusal_bps": "less",
    "risk.max_settlement_failures": "less",
    "risk.max_unsettled_s": "less",
    "risk.tolerance_size_e6": "less",
    "risk.tolerance_usd_e6": "less",
    "risk.fence_end_s": "more",
    "risk.fence_restart_s": "more",
    "executor.max_signal_age_ms": "less",
    "executor.max_basket_usd_e6": "less",
    "executor.cash_reserve_usd_e6": "more",
    "executor.doubt_settle_ms": "more",
    "engine.max_book_age_ms": "less",
    "engine.max_leg_skew_ms": "less",
    "engine.max_ingest_silence_ms": "less",
    "engine.max_leg_loss_usd_e6": "less",
    "ingest.data_silence_ms": "less",
}
"""Limit -> which way it allows less. That way it changes at once; the other way is more risk than
whoever armed the system knew of, and needs a restart (with real money, arming, too)."""


class Change(NamedTuple):
    """A key whose value differs."""

    key: str
    before: Any
    after: Any


def changes(before: Settings, after: Settings) -> list[Change]:
    """Every key that differs, in the order of the tree."""
    old, new = values(before), values(after)
    return [Change(key, old[key], new[key]) for key in new if old[key] != new[key]]


def restart_reason(change: Change) -> str | None:
    """Why a change needs a restart; None if it does not."""
    if change.key == "execution" and "live" in (change.before, change.after):
        return "paper and live are different wallets"
    if _loosens(change):
        return "a limit may only be tightened while it runs"
    return _lookup(change.key, NEEDS_RESTART)


def _loosens(change: Change) -> bool:
    match SAFER.get(change.key):
        case "less":
            return bool(change.after > change.before)
        case "more":
            return bool(change.after < change.before)
        case _:
            return False


def follower(key: str) -> str | None:
    """The role that takes over a change of a key; None if it needs a restart."""
    return _lookup(key, RELOADABLE)


def _lookup(key: str, table: Mapping[str, str]) -> str | None:
    return table.get(key) or table.get(f"{key.partition('.')[0]}.*")
