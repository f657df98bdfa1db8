"""Orders and trades as the venue shows them: on the user channel and in the private reads.

The user channel and REST share the records; they differ in the envelope and in the type of
`created_at` (protocol.md B and C.7). At top level a trade is always told from the taker's side.
"""

from typing import Any

import msgspec

from shm.units import format_price, format_size
from sim.events import UserFrame
from sim.matching import Fill
from sim.order import OUTCOME_TEXT, Order
from sim.trades import Trade

_ENCODER = msgspec.json.Encoder()


def order_frame(order: Order, event: str, now_ms: int, *, status: str = "") -> UserFrame:
    """An order event; `event` is PLACEMENT, UPDATE or CANCELLATION.

    `status` replaces the order's own state text where the venue writes a sentence into it.
    """
    record = _order_record(order, status or str(order.status))
    record |= {
        "event_type": "order",
        "type": event,
        "order_owner": order.owner,
        "created_at": str(order.created_ms // 1000),
        "timestamp": str(now_ms),
    }
    return UserFrame(order.owner, order.condition_id, _text(record))


def order_row(order: Order) -> dict[str, Any]:
    """An order as in GET /data/orders, where `created_at` is a number."""
    return _order_record(order, str(order.status)) | {"created_at": order.created_ms // 1000}


def trade_frame(trade: Trade, owner: str, trader_side: str) -> UserFrame:
    """A trade event for one of its parties; `trader_side` is TAKER or MAKER."""
    record = trade_row(trade, trader_side) | {
        "event_type": "trade",
        "type": "TRADE",
        "matchtime": str(trade.matched_ms // 1000),
        "trade_owner": trade.taker.owner,
        "timestamp": str(trade.updated_ms),
    }
    return UserFrame(owner, trade.condition_id, _text(record))


def trade_frames(trade: Trade) -> list[UserFrame]:
    """The present state of a trade for everyone who has a part in it."""
    frames = []
    if not trade.taker.house:
        frames.append(trade_frame(trade, trade.taker.owner, "TAKER"))
    makers = {fill.maker.owner for fill in trade.execution.fills if not fill.maker.house}
    return frames + [trade_frame(trade, owner, "MAKER") for owner in sorted(makers)]


def trade_row(trade: Trade, trader_side: str) -> dict[str, Any]:
    """A trade as in GET /data/trades."""
    taker = trade.taker
    return {
        "id": trade.trade_id,
        "taker_order_id": taker.order_id,
        "market": trade.condition_id,
        "asset_id": taker.token,
        "side": str(taker.side),
        "size": format_size(trade.execution.size_e6),
        "fee_rate_bps": "0",
        "price": format_price(trade.execution.price_e4),
        "status": str(trade.status),
        "match_time": str(trade.matched_ms // 1000),
        "last_update": str(trade.updated_ms // 1000),
        "outcome": OUTCOME_TEXT[taker.outcome],
        "bucket_index": 0,
        "owner": taker.owner,
        "maker_address": taker.wallet,
        "transaction_hash": trade.shown_hash(),
        "maker_orders": [_maker_row(fill) for fill in trade.execution.fills],
        "trader_side": trader_side,
    }


def _maker_row(fill: Fill) -> dict[str, Any]:
    maker = fill.maker
    return {
        "order_id": maker.order_id,
        "owner": maker.owner,
        "maker_address": maker.wallet,
        "matched_amount": format_size(fill.size_e6),
        "price": format_price(maker.price_e4),
        "fee_rate_bps": "0",
        "asset_id": maker.token,
        "outcome": OUTCOME_TEXT[maker.outcome],
        "side": str(maker.side),
    }


def _order_record(order: Order, status: str) -> dict[str, Any]:
    return {
        "id": order.order_id,
        "owner": order.owner,
        "market": order.condition_id,
        "asset_id": order.token,
        "side": str(order.side),
        "original_size": format_size(order.original_e6),
        "size_matched": format_size(order.matched_e6),
        "price": format_price(order.price_e4),
        "associate_trades": list(order.trade_ids),
        "outcome": OUTCOME_TEXT[order.outcome],
        "expiration": str(order.expiration_s),
        "order_type": order.order_type,
        "maker_address": order.wallet,
        "status": status,
    }


def _text(record: dict[str, Any]) -> str:
    return _ENCODER.encode(record).decode()
