"""What a journal's segment begins with: the state so far instead of the history (payloads).

Written by executor/snapshot.py, and read back by it. The rules are those of shm/records.py.
"""

from typing import Annotated, NamedTuple

from shm.layout import I64, MAX_LEGS, U32, U64, Octets, Word256
from shm.records import U8, Digest16, TradeId


class Holding(NamedTuple):
    """Snapshot: what the wallet has of one token."""

    size_e6: I64
    cost_usd_e6: I64
    fee_usd_e6: I64
    fills: U64
    token: Word256


class Counted(NamedTuple):
    """Snapshot: a fill that has been counted, and how far its trade had come."""

    at_ms: I64
    status: U8
    """A FillStatus (shm/codes.py)."""
    trade: TradeId
    order_hash: Word256


class Figures(NamedTuple):
    """Snapshot: what the executor knows beside holdings, fills and flights (executor/state.py)."""

    opening_usd_e6: I64
    cash_change_usd_e6: I64
    fee_usd_e6: I64
    profit_usd_e6: I64
    orphan_usd_e6: I64
    peak_usd_e6: I64
    day_open_usd_e6: I64
    day: I64
    orders_day: I64
    forgot_ms: I64
    forgiven_ms: I64
    mode_since_ms: I64
    system: U64
    arm_nonce: U64
    last_signal: U64
    orders_intended: U64
    orders_today: U32
    run: U32
    mode: U8
    cause: U8
    halt: U8
    outcomes: U8
    """How many of the last orders are remembered,"""
    taken: Annotated[bytes, Octets(8)]
    """and whether the venue took them: a bit each, the oldest lowest."""
    wallet: Word256


class Pace(NamedTuple):
    """See Kind.PACE."""

    minute: I64
    """Of wall time since 1970."""
    last_ms: I64
    """When the last basket of the ladder was sent."""
    group: U32
    baskets: U32


class Stands(NamedTuple):
    """See Kind.STANDS."""

    sent_ms: I64
    last_ms: I64
    naked_ms: I64
    state: U8
    reason: U8
    held: U8
    restarted: U8
    leg_state: Annotated[bytes, Octets(MAX_LEGS)]
    leg_reason: Annotated[bytes, Octets(MAX_LEGS)]


class Checkpoint(NamedTuple):
    """See Kind.CHECKPOINT. The journal itself writes these."""

    durable_seq: U64
    """What was on disk of the segments before."""
    records: U32
    """Of the snapshot: all that stand before this one in the segment."""
    segment: U32
    """Number of the segment, from 1."""
    state_digest: Word256
    """Of the state that the snapshot describes; zeros if nobody gave one."""
    wallet: Word256
    boot_id: Digest16
    """Of the last boot whose start told what it had found; zeros before the first."""
