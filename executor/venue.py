"""The venue's private REST interface as the executor uses it: credentials, orders, trades, balance.

Paper mode cannot reach a real order endpoint: the constructor refuses any host but our own machine.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from executor.auth import Credentials, RequestSigner, l1_headers
from executor.batch import Account
from executor.http import HttpConnection, NoReply, Reply, parse_origin
from executor.signing import OrderSigner
from executor.wallet import Wallet
from executor.wire import (
    ApiKeyReply,
    BalanceReply,
    CancelReply,
    ErrorReply,
    OpenOrder,
    OrderPage,
    OrderType,
    Trade,
    TradePage,
)
from shm.errors import LiveRefused, VenueRefused
from shm.settings import Settings

FIRST_CURSOR = "MA=="
LAST_CURSOR = "LTE="
PAGES_MAX = 10_000
READ_TIMEOUT_S = 10.0
_OK = 200
_NOT_FOUND = 404
_UNKNOWN = "not found"
_BALANCE_DIGITS_MAX = 18
"""What a record of the journal can hold."""
ModelT = TypeVar("ModelT")
PageT = TypeVar("PageT", TradePage, OrderPage)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The venue gave no usable answer just now; asking again later may help."""

    reason: str


class Venue:
    """REST for one wallet: a connection for reads, and a pool of warm ones for orders."""

    def __init__(self, settings: Settings, wallet: Wallet) -> None:
        origin = parse_origin(settings.venues.clob_url)
        if settings.mode == "paper" and not origin.loopback:
            raise LiveRefused(
                f'mode = "paper" trades on this machine only, and venues.clob_url names '
                f"{origin.host}: remove it, or see docs/live.md"
            )
        self.wallet = wallet
        self.api_key = ""
        self._signer: RequestSigner | None = None
        self._reads = HttpConnection(origin)
        self._reading = asyncio.Lock()
        """Proofs, comparisons and the clock share one connection, one after the other."""
        self.order_connections = [
            HttpConnection(origin) for _ in range(settings.executor.max_flights)
        ]
        self.credentials: Credentials | None = None

    def signed_headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """L2 headers for a request made now."""
        assert self._signer is not None, "log in first"
        return self._signer.headers(int(time.time()), method, path, body)

    def account(self, signer: OrderSigner, order_type: OrderType) -> Account:
        """What a batch of orders needs to know of this connection to the venue."""
        assert self._signer is not None, "log in first"
        authority = self._reads.origin.authority
        return Account(signer, self._signer, self.api_key, authority, order_type)

    async def warm(self) -> str | None:
        """Open every order connection that is closed; what went wrong, or None."""
        trouble = None
        for connection in self.order_connections:
            trouble = await connection.open() or trouble
        return trouble

    def renew(self) -> None:
        """Drop what waits for no answer: after a sleep the other side may have forgotten it."""
        for connection in (self._reads, *self.order_connections):
            if not connection.busy:
                connection.close()

    def idle_connection(self) -> HttpConnection | None:
        """An order connection that can send at once."""
        for connection in self.order_connections:
            if connection.idle:
                return connection
        return None

    async def log_in(self) -> Unavailable | None:
        """Derive the API credentials, or create them the first time. None: done."""
        headers = l1_headers(self.wallet, int(time.time()))
        answer = await self._ask("GET", "/auth/derive-api-key", headers)
        if isinstance(answer, Reply) and answer.status != _OK:
            answer = await self._ask("POST", "/auth/api-key", headers)
        parsed = self._read(answer, ApiKeyReply)
        if isinstance(parsed, Unavailable):
            return parsed
        self.credentials = Credentials(parsed.apiKey, parsed.secret, parsed.passphrase)
        self.api_key = parsed.apiKey
        self._signer = RequestSigner(self.wallet.address, self.credentials)
        return None

    async def cash_usd_e6(self) -> int | Unavailable:
        """Collateral of the wallet as the venue counts it."""
        query = f"asset_type=COLLATERAL&signature_type={self.wallet.signature_type}"
        reply = await self._get("/balance-allowance", query, BalanceReply)
        if isinstance(reply, Unavailable):
            return reply
        return _base_units(reply.balance)

    async def position_e6(self, token: str) -> int | Unavailable:
        """What the wallet has of a token, as the venue counts it."""
        query = (
            f"asset_type=CONDITIONAL&token_id={token}&signature_type={self.wallet.signature_type}"
        )
        reply = await self._get("/balance-allowance", query, BalanceReply)
        if isinstance(reply, Unavailable):
            return reply
        return _base_units(reply.balance)

    async def open_orders(self) -> list[OpenOrder] | Unavailable:
        """Everything of these credentials that rests or waits, every page."""
        return await self._pages("/data/orders", "", OrderPage)

    async def order(self, order_hash: str) -> OpenOrder | Unavailable | None:
        """An order by its hash; None: the venue says that it knows no such order."""
        path = f"/data/order/{order_hash}"
        answer = await self._ask("GET", path, self.signed_headers("GET", path))
        if isinstance(answer, Reply) and answer.status == _NOT_FOUND:
            return None
        if isinstance(answer, Reply) and answer.status == _OK and answer.body.strip() == b"null":
            return None
        if isinstance(answer, Reply) and _says_unknown(answer):
            return None
        return self._read(answer, OpenOrder)

    async def clock(self) -> tuple[int, int, int] | Unavailable:
        """(our ms before asking, the venue's second, our ms after it answered)."""
        before_ms = time.time_ns() // 1_000_000
        answer = await self._ask("GET", "/time", {})
        after_ms = time.time_ns() // 1_000_000
        second = self._read(answer, int)
        return second if isinstance(second, Unavailable) else (before_ms, second, after_ms)

    async def cancel_all(self) -> Unavailable | None:
        """Cancel whatever rests. None: the venue says that nothing rests any more."""
        path = "/cancel-all"
        answer = await self._ask("DELETE", path, self.signed_headers("DELETE", path))
        reply = self._read(answer, CancelReply)
        if isinstance(reply, Unavailable):
            return reply
        if reply.not_canceled:
            return Unavailable(f"{len(reply.not_canceled)} orders could not be cancelled")
        return None

    async def trades(self, after_s: int = 0) -> list[Trade] | Unavailable:
        """All our trades since a unix time, every page."""
        return await self._pages("/data/trades", f"&after={after_s}" if after_s else "", TradePage)

    async def _pages(self, path: str, more: str, model: type[PageT]) -> list[Any] | Unavailable:
        rows: list[Any] = []
        cursor = FIRST_CURSOR
        for _ in range(PAGES_MAX):
            page = await self._get(path, f"next_cursor={quote(cursor)}{more}", model)
            if isinstance(page, Unavailable):
                return page
            rows += page.data
            cursor = page.next_cursor
            if cursor == LAST_CURSOR or not cursor:
                return rows
        return Unavailable(f"more than {PAGES_MAX} pages of {path}")

    async def _get(self, path: str, query: str, model: type[ModelT]) -> ModelT | Unavailable:
        answer = await self._ask("GET", f"{path}?{query}", self.signed_headers("GET", path))
        return self._read(answer, model)

    async def _ask(self, method: str, target: str, headers: dict[str, str]) -> Reply | NoReply:
        async with self._reading:
            return await self._reads.request(method, target, headers, timeout_s=READ_TIMEOUT_S)

    def _read(self, answer: Reply | NoReply, model: type[ModelT]) -> ModelT | Unavailable:
        if isinstance(answer, NoReply):
            return Unavailable(answer.reason)
        if answer.status != _OK:
            return _refusal(answer)
        try:
            return msgspec.json.decode(answer.body, type=model)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Unavailable(f"unreadable answer: {error}")


def _base_units(text: str) -> int | Unavailable:
    """A balance; one that is no plain number of a size that can occur is no answer."""
    if not text.isascii() or not text.isdigit() or len(text) > _BALANCE_DIGITS_MAX:
        return Unavailable(f"unreadable balance: {text[:40]!r}")
    return int(text)


def _says_unknown(answer: Reply) -> bool:
    try:
        text = msgspec.json.decode(answer.body, type=ErrorReply).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return _UNKNOWN in text.lower()


FINAL_STATUSES: dict[int, str] = {
    401: "check the wallet's key and the machine's clock",
    403: "trading is not allowed from here",
}


def _refusal(answer: Reply) -> Unavailable:
    """An HTTP error as a reason to wait; the two that waiting cannot cure end the process."""
    try:
        text = msgspec.json.decode(answer.body, type=ErrorReply).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = answer.body[:120].decode("ascii", "replace")
    if answer.status in FINAL_STATUSES:
        advice = FINAL_STATUSES[answer.status]
        raise VenueRefused(f"the venue refuses us (HTTP {answer.status}, {text!r}): {advice}")
    return Unavailable(f"HTTP {answer.status} {text!r}")
