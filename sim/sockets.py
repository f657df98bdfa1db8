"""The two WebSocket channels: aiohttp's sockets on one side, subscriptions on the other.

Outgoing frames are written to the transport as ready WebSocket frames, encoded once for all who
receive them. That is sound because compression is never agreed and server frames carry no mask.
What goes out, and what rules make of it, is `dispatch`'s business; this file hears the clients.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from sim.auth import ApiKey, socket_key
from sim.delivery import Socket, text_frame
from sim.dispatch import Dispatch
from sim.effects import Late, Lose, NoSnapshot
from sim.encode import initial_dump
from sim.events import Event
from sim.exits import Clock
from sim.faults import Subject
from sim.limits import FIRST_FRAME_WAIT_S, MAX_MESSAGE_BYTES, MAX_SOCKETS
from sim.market import Market
from sim.order import Outcome
from sim.rules import PING, SUBSCRIBE
from sim.venue import Venue


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


class Hub:
    """All sockets of a venue."""

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self._venue = venue
        self._clock = clock
        self._dispatch = Dispatch(venue)
        self._opened = {"market": 0, "user": 0}

    def publish(self, events: Iterable[Event]) -> None:
        """Deliver events to whoever has asked for them."""
        self._dispatch.publish(events, self._clock.now_ms())

    def flush(self) -> None:
        """Write what rules have made wait, as far as it is due."""
        self._dispatch.flush(self._clock.now_ms())

    def drop_all(self) -> None:
        """End all connections."""
        for socket in list(self._dispatch.sockets):
            socket.drop()

    async def serve_market(self, request: web.Request) -> web.StreamResponse:
        """/ws/market."""
        socket = await self._open(request, "market")
        if socket is None:
            return web.Response(status=503)
        try:
            async for text in self._texts(socket):
                self._market_request(socket, text)
        finally:
            self._dispatch.markets.forget(socket)
            self._closed(socket)
        return socket.ws

    async def serve_user(self, request: web.Request) -> web.StreamResponse:
        """/ws/user."""
        socket = await self._open(request, "user")
        if socket is None:
            return web.Response(status=503)
        key: ApiKey | None = None
        try:
            async for text in self._texts(socket):
                if key is None:
                    key = self._authenticate(socket, text)
                    if key is None:
                        await socket.ws.close(code=WSCloseCode.POLICY_VIOLATION)
                        break
                else:
                    self._user_request(socket, key, text)
        finally:
            if key is not None:
                self._dispatch.users.forget(socket, key.key)
            self._closed(socket)
        return socket.ws

    async def _open(self, request: web.Request, channel: str) -> Socket | None:
        if len(self._dispatch.sockets) >= MAX_SOCKETS:
            return None
        ws = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return None
        self._opened[channel] += 1
        socket = Socket(ws, transport, channel, self._opened[channel])
        self._dispatch.sockets[socket] = None
        self._tell(socket, "open")
        return socket

    def _closed(self, socket: Socket) -> None:
        self._dispatch.sockets.pop(socket, None)
        self._tell(socket, "close")

    def _tell(self, socket: Socket, what: str, **more: Any) -> None:
        truth = self._venue.exchange.truth
        truth.ms = self._clock.now_ms()
        truth.record("socket", channel=socket.channel, socket=socket.number, what=what, **more)

    def _market_request(self, socket: Socket, text: str) -> None:
        asked = _decode(text, _MarketRequest)
        if asked is None:
            return
        markets = self._dispatch.markets
        if asked.custom_feature_enabled is not None:
            markets.set_custom(socket, wanted=asked.custom_feature_enabled)
        if asked.operation == "unsubscribe":
            gone = {markets.market_of.get(token, "") for token in asked.assets_ids}
            markets.remove(socket, asked.assets_ids)
            self._tell(socket, "unsubscribe", markets=sorted(gone))
        elif asked.type == "market" or asked.operation == "subscribe":
            self._subscribe(socket, asked)

    def _subscribe(self, socket: Socket, asked: _MarketRequest) -> None:
        found: dict[str, tuple[Market, Outcome]] = {}
        for token in asked.assets_ids:
            listed = self._venue.exchange.open_market(token)
            if listed is not None:
                found[token] = listed
        pairs = [(token, market.facts.condition_id) for token, (market, _) in found.items()]
        late_ms, lost, silent = self._spoilt(socket, SUBSCRIBE, pairs)
        pairs = [pair for pair in pairs if pair[0] not in lost]
        snapshots = self._dispatch.markets.add(socket, pairs)
        shown = [token for token in snapshots if token not in silent]
        condition_ids = sorted({market for _, market in pairs})
        self._tell(socket, "subscribe", markets=condition_ids, snapshots=len(shown))
        if asked.initial_dump and (shown or not (silent or lost)):
            books = [found[token][0].initial_book(found[token][1]) for token in shown]
            frame = text_frame(initial_dump(books))
            if late_ms:
                socket.send_at(frame, self._clock.now_ms() + late_ms)
            else:
                self._dispatch.count(socket, frame)

    def _spoilt(
        self, socket: Socket, place: str, pairs: list[tuple[str, str]]
    ) -> tuple[int, set[str], set[str]]:
        """(wait, tokens that are not heard, tokens without a snapshot) by the rules of a place."""
        faults = self._venue.exchange.faults
        if not faults.watches(place):
            return 0, set(), set()
        subjects = [
            Subject(token=token, market=market, socket=socket.number, event=socket.channel)
            for token, market in pairs
        ]
        now_ms = self._clock.now_ms()
        strikes, events, later = faults.visit(place, subjects, now_ms)
        self.publish([*events, *faults.finish(later, now_ms)])
        lost: set[str] = set()
        silent: set[str] = set()
        late_ms = 0
        for strike in strikes:
            tokens = {subject.token for subject in strike.subjects}
            if isinstance(strike.effect, Late):
                late_ms += strike.effect.ms
            elif isinstance(strike.effect, Lose):
                lost |= tokens
            elif isinstance(strike.effect, NoSnapshot):
                silent |= tokens
        return late_ms, lost, silent

    def _authenticate(self, socket: Socket, text: str) -> ApiKey | None:
        asked = _decode(text, _UserRequest)
        if asked is None or asked.auth is None:
            return None
        auth, ring = asked.auth, self._venue.exchange.keys
        key = socket_key(ring, auth.apiKey, auth.secret, auth.passphrase)
        if key is not None:
            self._dispatch.users.add(socket, key.key, asked.markets)
            self._tell(socket, "login", signer=key.address)
        return key

    def _user_request(self, socket: Socket, key: ApiKey, text: str) -> None:
        asked = _decode(text, _UserRequest)
        if asked is not None and asked.operation in {"subscribe", "unsubscribe"}:
            wanted = asked.operation == "subscribe"
            self._dispatch.users.change(socket, key.key, asked.markets or [], wanted=wanted)

    async def _texts(self, socket: Socket) -> AsyncIterator[str]:
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
                self._pong(socket)
                continue
            first = False
            yield message.data

    def _pong(self, socket: Socket) -> None:
        late_ms, lost, _ = self._spoilt(socket, PING, [("", "")])
        if lost:
            return
        if late_ms:
            socket.send_at(text_frame("PONG"), self._clock.now_ms() + late_ms)
        else:
            socket.send(text_frame("PONG"))


def _decode(text: str, shape: Any) -> Any:
    """The request as `shape`, or None: the venue leaves nonsense unanswered."""
    try:
        return msgspec.json.decode(text, type=shape)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
