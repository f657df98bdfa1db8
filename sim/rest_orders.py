"""Placing and cancelling orders, and the heartbeat (protocol.md C.3 to C.5)."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from sim import replies
from sim.admission import mode_refusal
from sim.exchange import Canceled
from sim.intake import Verdict, decided
from sim.limits import MAX_BATCH_ORDERS, MAX_CANCEL_IDS
from sim.replies import Reply, refused
from sim.venue import Call, Errand, Guard, Route, Venue
from sim.wire import parse_batch

_ORDER_ID = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


class _CancelOne(msgspec.Struct):
    orderID: str  # noqa: N815  # the venue's spelling


class _CancelWhere(msgspec.Struct):
    market: str = ""
    asset_id: str = ""


class _Beat(msgspec.Struct):
    heartbeat_id: str = ""


def _decode(body: bytes, shape: Any) -> Any:
    """The body as `shape`, or None when it is not that."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def post_order(venue: Venue, call: Call) -> Reply:
    """POST /order."""
    verdict, events = venue.exchange.place(call.owner(), call.body, call.now_ms)
    if verdict.held is not None:
        return Reply(events=events, waits=_Waiting((verdict,), single=True))
    in_mode = verdict.error == replies.POST_ONLY_MODE
    reply = mode_refusal(venue, call.now_ms) if in_mode else _single(verdict)
    return Reply(reply.body, reply.status, events=events, headers=reply.headers)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A reply to orders of which some are held back."""

    verdicts: tuple[Verdict, ...]
    single: bool

    def decided(self) -> Reply | None:
        """The reply, once all orders are decided."""
        known = decided(self.verdicts)
        if known is None:
            return None
        return _single(known[0]) if self.single else Reply([verdict.body() for verdict in known])


def _single(verdict: Verdict) -> Reply:
    if not verdict.error:
        return Reply(verdict.body())
    reply = refused(verdict.error)
    if not verdict.order_id:
        return reply
    # A killed order exists: the venue has its hash, although nothing came of it.
    return Reply({**reply.body, "orderID": verdict.order_id}, reply.status)


def post_orders(venue: Venue, call: Call) -> Reply:
    """POST /orders: a batch of independent orders."""
    elements = parse_batch(call.body)
    if not elements:
        return refused(replies.INVALID_PAYLOAD)
    if len(elements) > MAX_BATCH_ORDERS:
        text = replies.TOO_MANY_ORDERS.format(count=len(elements), limit=MAX_BATCH_ORDERS)
        return refused(text)
    verdicts, events = venue.exchange.place_many(call.owner(), elements, call.now_ms)
    if any(verdict.held is not None for verdict in verdicts):
        return Reply(events=events, waits=_Waiting(tuple(verdicts), single=False))
    return Reply([verdict.body() for verdict in verdicts], events=events)


def delete_order(venue: Venue, call: Call) -> Reply:
    """DELETE /order."""
    body = _decode(call.body, _CancelOne)
    if body is None or not _ORDER_ID.fullmatch(body.orderID):
        return refused(replies.INVALID_ORDER_ID)
    return _canceled(venue.exchange.cancel(call.owner(), [body.orderID], call.now_ms))


def delete_orders(venue: Venue, call: Call) -> Reply:
    """DELETE /orders."""
    order_ids = _decode(call.body, list[str])
    if order_ids is None or not all(_ORDER_ID.fullmatch(one) for one in order_ids):
        return refused(replies.INVALID_ORDER_ID)
    if len(order_ids) > MAX_CANCEL_IDS:
        return refused(replies.TOO_MANY_CANCELS.format(limit=MAX_CANCEL_IDS))
    return _canceled(venue.exchange.cancel(call.owner(), order_ids, call.now_ms))


def cancel_all(venue: Venue, call: Call) -> Reply:
    """DELETE /cancel-all."""
    return _canceled(venue.exchange.cancel_where(call.owner(), call.now_ms))


def cancel_market_orders(venue: Venue, call: Call) -> Reply:
    """DELETE /cancel-market-orders."""
    where = _decode(call.body or b"{}", _CancelWhere)
    if where is None:
        return refused(replies.INVALID_PAYLOAD)
    canceled = venue.exchange.cancel_where(
        call.owner(), call.now_ms, market=where.market, asset_id=where.asset_id
    )
    return _canceled(canceled)


def _canceled(result: Canceled) -> Reply:
    body = {"canceled": result.canceled, "not_canceled": result.not_canceled}
    return Reply(body, events=result.events)


def heartbeat(venue: Venue, call: Call) -> Reply:
    """POST /v1/heartbeats."""
    beat = _decode(call.body, _Beat)
    if beat is None:
        return refused(replies.INVALID_HEARTBEAT)
    accepted, following = venue.exchange.heartbeats.beat(
        call.owner().key, beat.heartbeat_id, call.now_ms
    )
    if accepted:
        return Reply({"heartbeat_id": following})
    return Reply({"error_msg": replies.INVALID_HEARTBEAT, "heartbeat_id": following}, 400)


ROUTES = (
    Route("POST", "/order", post_order, Guard.L2, Errand.PLACING),
    Route("POST", "/orders", post_orders, Guard.L2, Errand.PLACING),
    Route("DELETE", "/order", delete_order, Guard.L2, Errand.CANCELLING),
    Route("DELETE", "/orders", delete_orders, Guard.L2, Errand.CANCELLING),
    Route("DELETE", "/cancel-all", cancel_all, Guard.L2, Errand.CANCELLING),
    Route("DELETE", "/cancel-market-orders", cancel_market_orders, Guard.L2, Errand.CANCELLING),
    Route("POST", "/v1/heartbeats", heartbeat, Guard.L2),
)
