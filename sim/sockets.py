"""The two WebSocket channels: aiohttp's sockets on one side, subscriptions on the other.

Outgoing frames are written to the transport as ready WebSocket frames, encoded once for all who
receive them. That is sound because compression is never agreed and server frames carry no mask.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from sim.auth import ApiKey, socket_key
from sim.encode import initial_dump
from sim.events import Event, Frame, UserFrame
from sim.limits import FIRST_FRAME_WAIT_S, MAX_MESSAGE_BYTES, MAX_SOCKETS, MAX_UNSENT_BYTES
from sim.market import Market
from sim.order import Outcome
from sim.subscriptions import MarketSubscriptions, UserSubscriptions
from sim.venue import Venue

_LOG = logging.getLogger("sim.sockets")
_LENGTH_16 = 126
_LENGTH_64 = 127


class _MarketRequest(msgspec.Struct):
    type: str = ""
    operation: str = ""
    assets_ids: list[str] = []
    custom_feature_enabled: bool | None = None
    initial_dump: bool = True


class _Auth(msgspec.Struct):
    apiKey: str = ""  # noqa: N815  # the venue's spelling
    secret: str = ""
    passphrase: str = ""


class _UserRequest(msgspec.Struct):
    type: str = ""
    operation: str = ""
    auth: _Auth | None = None
    markets: list[str] | None = None


def text_frame(text: str) -> bytes:
    """One unmasked WebSocket text frame."""
    payload = text.encode()
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return bytes((0x81, _LENGTH_16)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, _LENGTH_64)) + size.to_bytes(8, "big") + payload


class Socket:
    """One connected client."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.ws = ws
        self._transport = transport

    def send(self, frame: bytes) -> bool:
        """Write a ready frame; a client that does not read is cut off."""
        if self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            _LOG.warning("a client does not read its frames and is cut off")
            self._transport.abort()
            return False
        self._transport.write(frame)
        return True

    def drop(self) -> None:
        """End the connection without waiting for the client."""
        self._transport.abort()


class Hub:
    """All sockets of a venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._markets: MarketSubscriptions[Socket] = MarketSubscriptions()
        self._users: UserSubscriptions[Socket] = UserSubscriptions()
        self._sockets: set[Socket] = set()

    def publish(self, events: Iterable[Event]) -> None:
        """Deliver events to whoever has asked for them."""
        for event in events:
            if isinstance(event, Frame):
                receivers = self._markets.recipients(event)
            elif isinstance(event, UserFrame):
                receivers = self._users.recipients(event)
            else:
                continue
            if receivers:
                frame = text_frame(event.text)
                self._venue.frames_sent += sum(socket.send(frame) for socket in receivers)

    def drop_all(self) -> None:
        """End all connections."""
        for socket in list(self._sockets):
            socket.drop()

    async def serve_market(self, request: web.Request) -> web.StreamResponse:
        """/ws/market."""
        socket = await self._open(request)
        if socket is None:
            return web.Response(status=503)
        try:
            async for text in _texts(socket):
                self._market_request(socket, text)
        finally:
            self._markets.forget(socket)
            self._sockets.discard(socket)
        return socket.ws

    async def serve_user(self, request: web.Request) -> web.StreamResponse:
        """/ws/user."""
        socket = await self._open(request)
        if socket is None:
            return web.Response(status=503)
        key: ApiKey | None = None
        try:
            async for text in _texts(socket):
                if key is None:
                    key = self._authenticate(socket, text)
                    if key is None:
                        await socket.ws.close(code=WSCloseCode.POLICY_VIOLATION)
                        break
                else:
                    self._user_request(socket, key, text)
        finally:
            if key is not None:
                self._users.forget(socket, key.key)
            self._sockets.discard(socket)
        return socket.ws

    async def _open(self, request: web.Request) -> Socket | None:
        if len(self._sockets) >= MAX_SOCKETS:
            return None
        ws = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return None
        socket = Socket(ws, transport)
        self._sockets.add(socket)
        return socket

    def _market_request(self, socket: Socket, text: str) -> None:
        asked = _decode(text, _MarketRequest)
        if asked is None:
            return
        if asked.custom_feature_enabled is not None:
            self._markets.set_custom(socket, wanted=asked.custom_feature_enabled)
        if asked.operation == "unsubscribe":
            self._markets.remove(socket, asked.assets_ids)
        elif asked.type == "market" or asked.operation == "subscribe":
            self._subscribe(socket, asked)

    def _subscribe(self, socket: Socket, asked: _MarketRequest) -> None:
        found: dict[str, tuple[Market, Outcome]] = {}
        for token in asked.assets_ids:
            listed = self._venue.exchange.open_market(token)
            if listed is not None:
                found[token] = listed
        pairs = [(token, market.facts.condition_id) for token, (market, _) in found.items()]
        snapshots = self._markets.add(socket, pairs)
        if asked.initial_dump:
            books = [found[token][0].initial_book(found[token][1]) for token in snapshots]
            self._venue.frames_sent += socket.send(text_frame(initial_dump(books)))

    def _authenticate(self, socket: Socket, text: str) -> ApiKey | None:
        asked = _decode(text, _UserRequest)
        if asked is None or asked.auth is None:
            return None
        auth, ring = asked.auth, self._venue.exchange.keys
        key = socket_key(ring, auth.apiKey, auth.secret, auth.passphrase)
        if key is not None:
            self._users.add(socket, key.key, asked.markets)
        return key

    def _user_request(self, socket: Socket, key: ApiKey, text: str) -> None:
        asked = _decode(text, _UserRequest)
        if asked is not None and asked.operation in {"subscribe", "unsubscribe"}:
            wanted = asked.operation == "subscribe"
            self._users.change(socket, key.key, asked.markets or [], wanted=wanted)


async def _texts(socket: Socket) -> Any:
    """Text frames of a client but PING, which is answered; ends when the socket does.

    A socket that says nothing at all after connecting is closed.
    """
    first = True
    while True:
        try:
            message = await socket.ws.receive(FIRST_FRAME_WAIT_S if first else None)
        except TimeoutError:
            await socket.ws.close()
            return
        if message.type is not WSMsgType.TEXT:
            return
        if message.data == "PING":
            socket.send(text_frame("PONG"))
            continue
        first = False
        yield message.data


def _decode(text: str, shape: Any) -> Any:
    """The request as `shape`, or None: the venue leaves nonsense unanswered."""
    try:
        return msgspec.json.decode(text, type=shape)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
