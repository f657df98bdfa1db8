"""The venue's private REST interface as the executor uses it: credentials, orders, trades, balance.

Paper mode cannot reach a real order endpoint: the constructor refuses any host but our own machine.

Nothing here places an order, so whatever the venue refuses is asked once more: after a 401 by the
venue's own clock, which is the one cause that we can cure; after a 403 a moment later, since one
may come from a proxy that has no say. A second refusal is a value with the cause to halt for.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from executor.auth import Credentials, RequestSigner, l1_headers
from executor.batch import Account
from executor.clocks import offset_ms
from executor.credentials import Headers
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
from shm.codes import Cause
from shm.errors import UNREADABLE, LiveRefused
from shm.settings import Settings
from shm.stillness import boot_ns

FIRST_CURSOR = "MA=="
LAST_CURSOR = "LTE="
PAGES_MAX = 10_000
READ_TIMEOUT_S = 10.0
FORBIDDEN_PAUSE_S = 1.0
"""Before what was answered with 403 is asked again."""
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
    cause: Cause = Cause.NONE
    """Why to halt, if the venue has refused us, and has again when it was asked once more."""


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
        self._told_offset_ms = 0
        self._told_at_ns: int | None = None
        """Our time of day less the time since the machine started, when the venue last told its
        time; None: it has not told this process."""
        self.on_refused: Callable[[Unavailable], None] = _nobody
        """Called with each refusal that stands."""

    @property
    def clock_offset_ms(self) -> int:
        """How far our clock is ahead of the venue's, as far as it has told; 0 before it has.

        Our clock may have been set since: that is seen at once.
        """
        if self._told_at_ns is None:
            return 0
        set_ns = _of_day_ns() - self._told_at_ns
        return self._told_offset_ms + round(set_ns / 1e6)

    def clock_agrees(self, within_ms: int) -> bool:
        """Whether the venue has told its time, and ours is no further from it."""
        return self._told_at_ns is not None and abs(self.clock_offset_ms) <= within_ms

    def _now_s(self) -> int:
        """Time for a signature, by the venue's clock."""
        return (time.time_ns() // 1_000_000 - self.clock_offset_ms) // 1_000

    def signed_headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """L2 headers for a request made now."""
        assert self._signer is not None, "log in first"
        return self._signer.headers(self._now_s(), method, path, body)

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

        def headers() -> Headers:
            return l1_headers(self.wallet, self._now_s())

        answer = await self._insist("GET", "/auth/derive-api-key", headers)
        if isinstance(answer, Reply) and answer.status != _OK:
            answer = await self._insist("POST", "/auth/api-key", headers)
        parsed = self._read(answer, ApiKeyReply)
        if isinstance(parsed, Unavailable):
            return parsed
        self.credentials = Credentials(parsed.apiKey, parsed.secret, parsed.passphrase)
        self.api_key = parsed.apiKey
        self._signer = RequestSigner(self.wallet.address, self.credentials)
        return None

    async def cash_usd_e6(self, *, anew: bool = False) -> int | Unavailable:
        """Collateral of the wallet as the venue counts it; `anew`: it reads the chain again."""
        return await self._balance("asset_type=COLLATERAL", anew=anew)

    async def position_e6(self, token: str, *, anew: bool = False) -> int | Unavailable:
        """What the wallet has of a token, as the venue counts it; `anew` as above."""
        return await self._balance(f"asset_type=CONDITIONAL&token_id={token}", anew=anew)

    async def _balance(self, of: str, *, anew: bool) -> int | Unavailable:
        query = f"{of}&signature_type={self.wallet.signature_type}"
        if anew:
            read = await self._signed("GET", "/balance-allowance/update", f"?{query}")
            if isinstance(read, NoReply):
                return Unavailable(read.reason)
            if read.status != _OK:
                return _refusal(read)
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
        answer = await self._signed("GET", path)
        if isinstance(answer, Reply) and answer.status == _NOT_FOUND:
            return None
        if isinstance(answer, Reply) and answer.status == _OK and answer.body.strip() == b"null":
            return None
        if isinstance(answer, Reply) and not _refusal_of(answer) and _says_unknown(answer):
            return None
        found = self._read(answer, OpenOrder)
        if isinstance(found, OpenOrder) and found.id.lower() != order_hash:
            return Unavailable(f"asked for an order and told of another ({found.id[:10]}…)")
        return found

    async def clock(self) -> tuple[int, int, int] | Unavailable:
        """(our ms before asking, the venue's second, our ms after it answered)."""
        asked = await self._time()
        if isinstance(asked, Unavailable) and asked.cause:
            await asyncio.sleep(FORBIDDEN_PAUSE_S)
            asked = await self._time()
            if isinstance(asked, Unavailable) and asked.cause:
                self.on_refused(asked)
        return asked

    async def _time(self) -> tuple[int, int, int] | Unavailable:
        before_ms = time.time_ns() // 1_000_000
        answer = await self._ask("GET", "/time", {})
        after_ms = time.time_ns() // 1_000_000
        second = self._read(answer, int)
        if isinstance(second, Unavailable):
            return second
        self._told_offset_ms = offset_ms(before_ms, second, after_ms)
        self._told_at_ns = _of_day_ns()
        return before_ms, second, after_ms

    async def cancel_all(self) -> Unavailable | None:
        """Cancel whatever rests. None: the venue says that nothing rests any more."""
        answer = await self._signed("DELETE", "/cancel-all")
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
        return self._read(await self._signed("GET", path, f"?{query}"), model)

    async def _signed(self, method: str, path: str, query: str = "") -> Reply | NoReply:
        return await self._insist(method, path + query, lambda: self.signed_headers(method, path))

    async def _insist(
        self, method: str, target: str, headers: Callable[[], Headers]
    ) -> Reply | NoReply:
        """Ask; refused, once more with what may cure it. See the module."""
        answer = await self._ask(method, target, headers())
        cause = _refusal_of(answer)
        if not cause:
            return answer
        if cause is Cause.UNAUTHORIZED:
            await self._time()
        else:
            await asyncio.sleep(FORBIDDEN_PAUSE_S)
        answer = await self._ask(method, target, headers())
        if isinstance(answer, Reply) and _refusal_of(answer):
            self.on_refused(_refusal(answer))
        return answer

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
        except UNREADABLE as error:
            return Unavailable(f"unreadable answer: {error}")


def _of_day_ns() -> int:
    """Goes on only while somebody sets the clock: the machine's sleep is in both."""
    return time.time_ns() - boot_ns()


def _base_units(text: str) -> int | Unavailable:
    """A balance; one that is no plain number of a size that can occur is no answer."""
    if not text.isascii() or not text.isdigit() or len(text) > _BALANCE_DIGITS_MAX:
        return Unavailable(f"unreadable balance: {text[:40]!r}")
    return int(text)


def _says_unknown(answer: Reply) -> bool:
    try:
        text = msgspec.json.decode(answer.body, type=ErrorReply).error
    except UNREADABLE:
        return False
    return _UNKNOWN in text.lower()


REFUSALS: dict[int, tuple[Cause, str]] = {
    401: (Cause.UNAUTHORIZED, "check the wallet's key and the machine's clock"),
    403: (Cause.BANNED, "check the account, and from where this machine connects"),
}
"""Statuses that waiting does not cure: why to halt, and what to look at."""


def _refusal_of(answer: Reply | NoReply) -> Cause:
    """Why to halt, if an answer stands; NONE for any that does not refuse us."""
    known = REFUSALS.get(answer.status) if isinstance(answer, Reply) else None
    return known[0] if known else Cause.NONE


def _refusal(answer: Reply) -> Unavailable:
    """An HTTP error in words."""
    try:
        text = msgspec.json.decode(answer.body, type=ErrorReply).error
    except UNREADABLE:
        text = answer.body[:120].decode("ascii", "replace")
    known = REFUSALS.get(answer.status)
    if known is None:
        return Unavailable(f"HTTP {answer.status} {text!r}")
    cause, advice = known
    return Unavailable(
        f"the venue refuses us (HTTP {answer.status}): {advice}; it says {text!r}", cause
    )


def _nobody(_refused: Unavailable) -> None:
    """Nobody wants to know."""
