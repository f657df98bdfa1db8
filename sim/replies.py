"""Replies as values, and every text and code of refusal in one place (protocol.md C.8).

Where protocol.md gives the text it is used to the letter. The ones marked `ours` are not recorded
there; they are worded as the venue's public issue threads quote them, or plainly.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from sim.events import Event

UNAUTHORIZED = "Unauthorized/Invalid api key"
INVALID_L1 = "Invalid L1 Request headers"
KEY_NOT_CREATED = "Could not create api key"
KEY_NOT_DERIVED = "Could not derive api key!"

INVALID_PAYLOAD = "Invalid order payload"
VERSION_MISMATCH = "order_version_mismatch"
TOO_MANY_ORDERS = "Too many orders in payload: {count}, max allowed: {limit}"
WRONG_OWNER = "the order owner has to be the owner of the API KEY"
WRONG_SIGNER = "the order signer address has to be the address of the API KEY"
WRONG_MAKER = "maker address not allowed, please use the deposit wallet flow"
NO_FUNDS = "not enough balance / allowance"
POST_ONLY_CROSSES = "invalid post-only order: order crosses book"
BAD_TICK = "order {id} is invalid. Price ({price}) breaks minimum tick size rule: {tick}"
BAD_SIZE = "order {id} is invalid. Size ({size}) lower than the minimum: {min}"
DUPLICATED = "order {id} is invalid. Duplicated."
BAD_EXPIRATION = "invalid expiration"
FOK_KILLED = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_KILLED = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)
NOT_READY = "the market is not yet ready to process new orders"

BAD_AMOUNTS = (  # ours: quoted in public issue threads, protocol.md names its beginning
    "invalid amounts, the {kind} orders maker amount supports a max accuracy of 2 decimals, "
    "taker amount a max of 4 decimals"
)
BAD_VALUE = "invalid amount for a marketable {side} order (${usd}), min size: $1"  # ours: quoted
BAD_SIGNATURE = "invalid signature"  # ours
NO_SUCH_BOOK = "the orderbook {token} does not exist"  # ours
TOO_MANY_OPEN = "too many open orders"  # ours
ORDER_NOT_FOUND = "order not found"  # ours
NOT_CANCELED = "already canceled or matched"
IN_DELAY = "order is in its delay window and cannot be canceled"  # ours

BANNED = "'{address}' address banned"
CLOSED_ONLY = "'{address}' address in closed only mode"
GEOBLOCKED = "Trading restricted in your region"
PHANTOM_LOCK = (  # ours: NO_FUNDS with the sums that public issue threads quote
    "not enough balance / allowance: the balance is not enough -> balance: {balance}, "
    "sum of matched orders: {matched}, order amount: {amount}"
)
RESTARTING = "Too Early: the matching engine is restarting, please retry"  # ours
THROTTLED = "Too Many Requests"  # ours
TRADING_DISABLED = "Trading is currently disabled. Check polymarket.com for updates"  # ours
CANCEL_ONLY = (
    "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed."
)
POST_ONLY_MODE = "post-only mode: only post-only orders and cancels are allowed"

INVALID_ORDER_ID = "Invalid orderID"
TOO_MANY_CANCELS = "Too many orders in payload, max allowed: {limit}"
INVALID_HEARTBEAT = "Invalid Heartbeat ID"
NO_BOOK = "No orderbook exists for the requested token id"
INVALID_TOKEN = "Invalid token id"  # noqa: S105  # a venue's text, not a secret
PAYLOAD_LIMIT = "Payload exceeds the limit"
INVALID_SIDE = "Invalid side"
NO_MARKET = "market not found"  # ours
INVALID_PARAMETER = "invalid query parameter: {name}"  # ours
NO_ROUTE = "404 page not found"  # ours


_STATUS_BY_WORD = (("not found", 404), ("unauthorized", 401), ("context canceled", 400))


class Waits(Protocol):
    """A reply that is not decided yet, as orders of it are held back."""

    def decided(self) -> "Reply | None":
        """The reply, once everything in it is known."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply: JSON `body`, or plain `text`, and the events that the request caused.

    With `waits` the reply itself is not ready; the events are, and go out at once.
    """

    body: Any = None
    status: int = 200
    text: str | None = None
    events: list[Event] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    waits: "Waits | None" = None


def refused(text: str, status: int = 400) -> Reply:
    """A refusal. As on the venue, some words in the text decide the status, whatever was meant."""
    lowered = text.lower()
    by_word = (code for word, code in _STATUS_BY_WORD if word in lowered)
    return Reply({"error": text}, next(by_word, status))


def number(text: str) -> msgspec.Raw:
    """A decimal text as a JSON number, without passing through a float."""
    return msgspec.Raw(text.encode())
