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
    "max_order_usd_e6": "less",
    "max_order_equity_bps": "less",
    "max_order_shares": "less",
    "collar_ticks": "less",
    "collar_bps": "less",
    "max_edge_bps": "less",
    "max_edge_age_ms": "less",
    "quarantine_ms": "more",
    "max_market_usd_e6": "less",
    "max_group_usd_e6": "less",
    "max_day_usd_e6": "less",
    "max_total_usd_e6": "less",
    "max_total_equity_bps": "less",
    "max_naked_usd_e6": "less",
    "max_naked_ms": "less",
    "cash_margin_bps": "more",
    "orders_per_second": "less",
    "orders_burst": "less",
    "orders_per_day": "less",
    "group_pause_ms": "more",
    "group_per_hour": "less",
    "max_doubt_group": "less",
    "max_doubt": "less",
    "max_quote_age_ms": "less",
    "max_feed_silence_ms": "less",
    "max_metadata_age_s": "less",
    "clock_block_ms": "less",
    "clock_halt_ms": "less",
    "max_loss_usd_e6": "less",
    "max_loss_equity_bps": "less",
    "max_drawdown_bps": "less",
    "max_refusals": "less",
    "max_refusal_bps": "less",
    "max_settlement_failures": "less",
    "max_unsettled_s": "less",
    "tolerance_size_e6": "less",
    "tolerance_usd_e6": "less",
    "fence_end_s": "more",
    "fence_restart_s": "more",
}
"""Limit of `risk` -> which way it allows less. That way it changes at once; the other way is more
risk than whoever armed the system knew of, and needs a restart (with real money, arming, too)."""


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
    section, _, limit = change.key.partition(".")
    if section == "risk" and _loosens(limit, change):
        return "a limit may only be tightened while it runs"
    return _lookup(change.key, NEEDS_RESTART)


def _loosens(limit: str, change: Change) -> bool:
    if SAFER[limit] == "less":
        return bool(change.after > change.before)
    return bool(change.after < change.before)


def follower(key: str) -> str | None:
    """The role that takes over a change of a key; None if it needs a restart."""
    return _lookup(key, RELOADABLE)


def _lookup(key: str, table: Mapping[str, str]) -> str | None:
    return table.get(key) or table.get(f"{key.partition('.')[0]}.*")
