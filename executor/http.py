"""One warm HTTP/1.1 connection: the only file that knows sockets and httptools.

A request's outcome is a value. What matters to an order is the difference between "nothing left
this machine" and "it may have arrived": `NoReply.sent` tells. One request at a time; no
retries, no redirects, no cookies.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

from executor.counting import METER
from shm.errors import ConfigError

USER_AGENT = "polytrio"
CONNECT_TIMEOUT_S = 5.0
REPLY_BYTES_MAX = 8 * 2**20
RETRY_AFTER_DIGITS_MAX = 6
_FINAL = 200
"""The first status that is the answer; what comes before only announces it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer."""

    status: int
    body: bytes
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True)
class NoReply:
    """No whole answer came. `sent` False proves that the request never left."""

    sent: bool
    reason: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect."""

    host: str
    port: int
    tls: bool

    @property
    def loopback(self) -> bool:
        """Whether this is our own machine."""
        return self.host in {"127.0.0.1", "::1", "localhost"}

    @property
    def authority(self) -> str:
        """Value of the Host header."""
        default = 443 if self.tls else 80
        return self.host if self.port == default else f"{self.host}:{self.port}"


def parse_origin(url: str, key: str = "venues.clob_url") -> Origin:
    """`https://host[:port]` -> origin; `ConfigError` for anything else names the settings key."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ConfigError(f"{key} must be http(s)://host[:port], not {url!r}")
    tls = parts.scheme == "https"
    return Origin(parts.hostname, parts.port or (443 if tls else 80), tls)


class HttpConnection:
    """Keeps one connection open and sends one request at a time over it."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._protocol: _Protocol | None = None
        self._ssl = ssl.create_default_context() if origin.tls else None
        self._busy = False

    @property
    def busy(self) -> bool:
        """A request is under way."""
        return self._busy

    @property
    def idle(self) -> bool:
        """Open and without a request under way: ready for one at once."""
        return not self._busy and self._protocol is not None and self._protocol.usable

    async def open(self) -> str | None:
        """Connect unless connected; returns what went wrong, or None."""
        if self._protocol is not None and self._protocol.usable:
            return None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, self._protocol = await loop.create_connection(
                    _Protocol, self.origin.host, self.origin.port, ssl=self._ssl
                )
        except TimeoutError:
            return f"no connection to {self.origin.authority} within {CONNECT_TIMEOUT_S:.0f} s"
        except OSError as error:
            return f"cannot connect to {self.origin.authority} ({error})"
        return None

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float,
    ) -> Reply | NoReply:
        """Send and wait; connects first if it must."""
        assert not self._busy, "one request at a time"
        self._busy = True
        try:
            trouble = await self.open()
            if trouble is not None or self._protocol is None:
                return NoReply(sent=False, reason=trouble or "not connected")
            assert self._protocol is not None
            self._protocol.send(self._request_bytes(method, target, headers, body))
            return await self._wait(timeout_s)
        finally:
            self._busy = False

    def begin(self, request: bytes | memoryview) -> int | None:
        """Hand a whole request to the kernel without awaiting; monotonic ns, or None if not idle.

        Follow with `finish`. This is the hot path of an order. The bytes are copied: what the
        kernel does not take at once stays with the transport, while the caller's buffer is reused.
        """
        if not self.idle:
            return None
        assert self._protocol is not None
        self._busy = True
        return self._protocol.send(bytes(request))

    async def finish(self, timeout_s: float) -> Reply | NoReply:
        """Wait for the answer to what `begin` sent."""
        try:
            return await self._wait(timeout_s)
        finally:
            self._busy = False

    def _request_bytes(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> bytes:
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {self.origin.authority}",
            f"User-Agent: {USER_AGENT}",
            "Accept: application/json",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body

    async def _wait(self, timeout_s: float) -> Reply | NoReply:
        protocol = self._protocol
        assert protocol is not None
        try:
            async with asyncio.timeout(timeout_s):
                return await protocol.answer()
        except TimeoutError:
            # The answer may still come and would be taken for the next one's: start afresh.
            self.close()
            return NoReply(sent=True, reason=f"no reply within {timeout_s:.1f} s", timed_out=True)
        except asyncio.CancelledError:
            self.close()  # so it may for who was told to wait no longer
            raise

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._protocol is not None:
            self._protocol.abort()
            self._protocol = None


class _Protocol(asyncio.Protocol):
    """Collects one response at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply | NoReply] | None = None
        self._reset()
        self.on_message_begin()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> int:
        """The one place where bytes leave; when they did, in monotonic ns."""
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        left_ns = time.monotonic_ns()
        METER.note(data)
        return left_ns

    async def answer(self) -> Reply | NoReply:
        assert self._waiter is not None
        return await self._waiter

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def _asker(self) -> "asyncio.Future[Reply | NoReply] | None":
        """Who waits for an answer."""
        return None if self._waiter is None or self._waiter.done() else self._waiter

    def _finish(self, outcome: Reply | NoReply) -> None:
        if (asker := self._asker) is not None:
            asker.set_result(outcome)

    # --- asyncio ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        # An order must leave at once, not wait for the acknowledgement of an earlier one.
        stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.set_write_buffer_limits(high=0)  # uvloop would wait for the end of its turn
        self._transport = stream

    def data_received(self, data: bytes) -> None:
        if self._asker is None:
            self.abort()  # it would be taken for the next one's answer
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._finish(NoReply(sent=True, reason=f"not HTTP: {error}"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish(NoReply(sent=True, reason=f"connection lost ({exc or 'closed by the venue'})"))

    # --- httptools ----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._retry_after_s = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            # The header may hold a date, or nonsense: then no number.
            plain = value.isdigit() and len(value) <= RETRY_AFTER_DIGITS_MAX
            self._retry_after_s = int(value) if plain else 0

    def on_body(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)
        if self._body_bytes > REPLY_BYTES_MAX:
            self._finish(NoReply(sent=True, reason="reply too large"))
            self.abort()
            return
        self._body.append(chunk)

    def on_message_complete(self) -> None:
        if self._asker is None:
            self.abort()
            return
        status = self._parser.get_status_code()
        if status < _FINAL:
            return
        keep = self._parser.should_keep_alive()
        self._finish(Reply(status, b"".join(self._body), self._retry_after_s))
        self._reset()
        if not keep and self._transport is not None:
            self._transport.close()
