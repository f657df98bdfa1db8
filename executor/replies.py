"""The venue's answer to a batch of orders -> one outcome per leg: a total function, pure.

Whatever arrives (any status, any bytes, nothing at all), each leg gets exactly one of

    FILLED   the venue says that it matched            LANDED  accepted, result not known yet
    KILLED   accepted and not filled (fill-or-kill)    REFUSED proven not accepted, closed list
    DOUBT    anything else: it may have landed, its exposure stays until a proof is found

Only texts on the closed list prove a refusal; an unknown text is doubt, not refusal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from executor.http import NoReply, Reply
from executor.wire import ErrorReply, OrderReply
from shm.codes import LegReason, LegState
from shm.errors import UNREADABLE

_HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class LegOutcome:
    """What is known of one order after the reply."""

    state: LegState
    reason: LegReason
    text: str = ""
    stranger: str = ""
    """An order id in the reply that is none of ours: the venue hashes orders in another way."""


REFUSALS: tuple[tuple[str, LegReason], ...] = (
    ("not enough balance / allowance", LegReason.BALANCE),
    ("breaks minimum tick size", LegReason.TICK),
    ("lower than the minimum", LegReason.MIN_SIZE),
    ("min size", LegReason.MIN_SIZE),
    ("invalid amounts", LegReason.AMOUNTS),
    ("invalid order payload", LegReason.AMOUNTS),
    ("invalid expiration", LegReason.AMOUNTS),
    ("the market is not yet ready", LegReason.CLOSED),
    ("no orderbook exists", LegReason.CLOSED),
    ("post-only mode", LegReason.POST_ONLY_MODE),
    ("cancel-only", LegReason.POST_ONLY_MODE),
    ("crosses book", LegReason.OTHER),
    ("crosses the book", LegReason.OTHER),
    ("too many orders in payload", LegReason.OTHER),
    ("address banned", LegReason.BANNED),
    ("closed only mode", LegReason.BANNED),
    ("trading restricted in your region", LegReason.BANNED),
    ("maker address not allowed", LegReason.BANNED),
    ("has to be the owner of the api key", LegReason.UNAUTHORIZED),
    ("has to be the address of the api key", LegReason.UNAUTHORIZED),
    ("invalid api key", LegReason.UNAUTHORIZED),
    ("invalid signature", LegReason.UNAUTHORIZED),
    ("order_version_mismatch", LegReason.UNAUTHORIZED),
)
"""Venue texts (lower case) that prove that an order was not accepted."""

KILLS = (
    "fully filled or killed",
    "no orders found to match",
    "fok orders are filled or killed",
    "there are no matching orders",
)
"""Texts of orders that were accepted, found too little and are gone."""

_STATUS_REASONS = {
    401: LegReason.UNAUTHORIZED,
    403: LegReason.BANNED,
    425: LegReason.RESTARTING,
    429: LegReason.THROTTLED,
}
"""Statuses that prove a refusal whatever the text; true because no order is ever sent twice."""

_STATES = {
    "matched": LegState.FILLED,
    "live": LegState.LANDED,
    "delayed": LegState.LANDED,
    "unmatched": LegState.LANDED,
}

_decode_batch = msgspec.json.Decoder(list[OrderReply]).decode
_decode_error = msgspec.json.Decoder(ErrorReply).decode


def _by_text(text: str) -> LegOutcome | None:
    lowered = text.lower()
    if "duplicated" in lowered:
        # Proof that an earlier attempt landed, not that it filled.
        return LegOutcome(LegState.LANDED, LegReason.DUPLICATED, text)
    if any(kill in lowered for kill in KILLS):
        return LegOutcome(LegState.KILLED, LegReason.KILLED, text)
    for known, reason in REFUSALS:
        if known in lowered:
            return LegOutcome(LegState.REFUSED, reason, text)
    return None


def _one(reply: OrderReply) -> LegOutcome:
    """What an element says of its order."""
    text = reply.errorMsg or ""
    if text:
        return _by_text(text) or LegOutcome(LegState.DOUBT, LegReason.OTHER, text)
    state = _STATES.get((reply.status or "").lower(), LegState.LANDED)
    if state is LegState.FILLED and not reply.success:
        return LegOutcome(LegState.LANDED, LegReason.UNREADABLE, "matched, and no success")
    return LegOutcome(state, LegReason.NONE, "")


def _whole(status: int, body: bytes) -> LegOutcome:
    """One outcome for all legs, from an answer that is no array."""
    try:
        text = _decode_error(body.decode()).error
    except UNREADABLE:
        text = ""
    known = _by_text(text) if text else None
    if known is not None:
        return known
    if status in _STATUS_REASONS:
        return LegOutcome(LegState.REFUSED, _STATUS_REASONS[status], text)
    return LegOutcome(LegState.DOUBT, LegReason.UNREADABLE, text or f"HTTP {status}")


def classify(answer: Reply | NoReply, hashes: Sequence[str]) -> list[LegOutcome]:
    """One outcome for each order hash ("0x..." in lower case), in the order of `hashes`.

    An element belongs to the order whose hash it names, wherever it stands: the venue has answered
    in another order than it was asked. Elements that name none can only be matched by exclusion.
    """
    if isinstance(answer, NoReply):
        state = LegState.DOUBT if answer.sent else LegState.REFUSED
        reason = LegReason.TIMEOUT if answer.timed_out else LegReason.TRANSPORT
        return [LegOutcome(state, reason, answer.reason)] * len(hashes)
    if answer.status != _HTTP_OK:
        return [_whole(answer.status, answer.body)] * len(hashes)
    try:
        replies = _decode_batch(answer.body.decode())  # msgspec does not look into what it skips
    except UNREADABLE:
        return [_whole(answer.status, answer.body)] * len(hashes)
    return _matched(replies, hashes)


_MISSING = LegOutcome(LegState.DOUBT, LegReason.UNREADABLE, "no element for this order")
_NO_FILL = frozenset({LegState.KILLED, LegState.REFUSED})


def _matched(replies: Sequence[OrderReply], hashes: Sequence[str]) -> list[LegOutcome]:
    named = {(reply.orderID or "").lower(): reply for reply in replies if reply.orderID}
    strange = next((name for name in named if name not in hashes), "")
    nameless = [_one(reply) for reply in replies if not reply.orderID]
    open_hashes = [each for each in hashes if each not in named]
    # Whichever of them is whose: each says that its order did not fill, and there is one for each.
    excluded = (
        not strange
        and len(replies) == len(hashes)
        and len(nameless) == len(open_hashes)
        and all(outcome.state in _NO_FILL for outcome in nameless)
    )
    rest = iter(nameless)
    outcomes = []
    for each in hashes:
        if each in named:
            outcomes.append(_one(named[each]))
        elif excluded:
            outcomes.append(next(rest))
        elif strange:
            outcomes.append(
                LegOutcome(
                    LegState.DOUBT, LegReason.UNREADABLE, f"orderID {strange[:80]!r}", strange
                )
            )
        else:
            outcomes.append(_MISSING)
    return outcomes
