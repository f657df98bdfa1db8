"""The way of one HTTP request: arrival, rules, proof of identity, handling, rules, reply.

Every reply is decided here and only here. Nothing in this file knows a rule of the venue. Waiting
is by the venue's clock, so that tests may let an hour pass at once.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from aiohttp import web

from sim import exits, replies
from sim.admission import admit, charge
from sim.auth import l1_identity, l2_key
from sim.buckets import Window
from sim.effects import Answer, Drop, Hold, Late, Lose, Queue
from sim.events import Event
from sim.exits import Clock
from sim.garbling import Wire, answer_of, wire_of
from sim.plan import Plan
from sim.reading import Reading, read_request
from sim.replies import Reply, refused
from sim.venue import Call, Errand, Guard, Route, Venue

_THROTTLED = Answer(kind="throttled_by_proxy")
_TORN = (OSError, web.RequestPayloadError)


@dataclass(frozen=True, slots=True)
class _Request:
    """One request on its way; `number` is its name in the truth log."""

    http: web.Request
    route: Route
    call: Call
    reading: Reading
    number: int
    refusal: Reply | None = None

    def address(self) -> str:
        """EOA of the sender, if it has proved who it is."""
        return self.call.key.address if self.call.key is not None else ""

    def first_id(self) -> str:
        """Hash of the first order that it is about."""
        return next((one.order_id for one in self.reading.subjects if one.order_id), "")


@dataclass(slots=True, eq=False)
class Passage:
    """The way through; `publish` takes the events that requests cause."""

    venue: Venue
    clock: Clock
    publish: Callable[[Iterable[Event]], None]
    _windows: dict[str, Window] = field(default_factory=dict)
    _count: int = 0

    async def answer(self, route: Route, http: web.Request) -> web.StreamResponse:
        """One request of a known route."""
        first_ms = self.clock.now_ms()
        try:
            body = await http.read()
        except web.HTTPRequestEntityTooLarge:
            self._tell_torn(route, first_ms)
            return exits.written(wire_of(refused(replies.PAYLOAD_LIMIT, 413)))
        except _TORN:
            self._tell_torn(route, first_ms)
            raise
        call, refusal = self._identify(route, http, body)
        if route.errand is Errand.ADMIN:
            reply = refusal or route.handler(self.venue, call)
            self.publish(reply.events)
            return exits.written(wire_of(reply))
        return await self._pass(self._arrived(http, route, (call, refusal), first_ms))

    async def upgrade(
        self, place: str, http: web.Request, serve: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """A request that wants to become a socket of a channel."""
        method, path = place.split(" ")
        route = Route(method, path, lambda _venue, _call: Reply())
        call = Call(b"", {}, {}, self.clock.now_ms())
        request = self._arrived(http, route, (call, None), call.now_ms)
        plan = self._visited(request)
        ended = await self._before(request, plan)
        if ended is not None:
            return ended
        self._finish(plan)
        cut = plan.cut("after")
        return await serve() if cut is None else exits.cut(http, cut, b"")

    def _identify(self, route: Route, http: web.Request, body: bytes) -> tuple[Call, Reply | None]:
        """The call with its proof, and the refusal if the proof is wanting."""
        now_ms = self.clock.now_ms()
        call = Call(body, http.match_info, _query(http), now_ms)
        now_s = (now_ms + self.venue.skew_ms) // 1000
        if route.guard is Guard.L1:
            identity = l1_identity(http.headers, now_s)
            if identity is None:
                return call, refused(replies.INVALID_L1, 401)
            return dataclasses.replace(call, identity=identity), None
        if route.guard is Guard.L2:
            signed = http.method + http.rel_url.raw_path
            key = l2_key(self.venue.exchange.keys, http.headers, signed, body, now_s)
            if key is None:
                return call, refused(replies.UNAUTHORIZED, 401)
            return dataclasses.replace(call, key=key), None
        return call, None

    def _arrived(
        self, http: web.Request, route: Route, known: tuple[Call, Reply | None], first_ms: int
    ) -> _Request:
        call, refusal = known
        exchange = self.venue.exchange
        reading = read_request(exchange, route.place, call.body, call.key)
        self._count += 1
        exchange.truth.ms = call.now_ms
        exchange.truth.record(
            "request",
            request=self._count,
            place=route.place,
            path=http.rel_url.raw_path,
            first_ms=first_ms,
            **reading.shown,
        )
        return _Request(http, route, call, reading, self._count, refusal)

    async def _pass(self, request: _Request) -> web.StreamResponse:
        plan = self._visited(request)
        ended = await self._before(request, plan)
        if ended is not None:
            return ended
        reply = self._handled(request, plan)
        self.publish(reply.events)
        self._finish(plan)
        if reply.waits is not None:
            reply = await self._decided(reply)
        return await self._after(request, plan, reply)

    def _visited(self, request: _Request) -> Plan:
        faults, place = self.venue.exchange.faults, request.route.place
        if not faults.watches(place):
            return Plan()
        with self.venue.exchange.truth.about(request=request.number):
            subjects = request.reading.subjects
            strikes, events, later = faults.visit(place, subjects, request.call.now_ms)
        self.publish(events)
        return Plan(strikes, later)

    async def _before(self, request: _Request, plan: Plan) -> web.StreamResponse | None:
        """The end of the request, if it comes before the exchange has seen it."""
        if not plan.strikes:
            return None
        cut = plan.cut("before")
        if cut is not None:
            self._tell(request, 0, "cut before")
            return exits.cut(request.http, cut, b"")
        if plan.of(Drop):
            self._tell(request, 0, "dropped")
            return await exits.never(request.http)
        answer = plan.answer("before")
        queue_ms = 0 if answer is not None else self._queue(plan)
        if queue_ms is None:
            answer = _THROTTLED
        if answer is not None:
            wire = answer_of(answer, request.first_id(), request.address())
            return await self._send(request, plan, wire, "answered without the exchange")
        wait_ms = plan.wait_ms(Hold) + (queue_ms or 0)
        if wait_ms:
            await exits.until(self.clock, self.clock.now_ms() + wait_ms)
        return None

    def _queue(self, plan: Plan) -> int | None:
        """Milliseconds in the queues of the rules; None when one of them is too long."""
        total_ms = 0
        for strike in plan.of(Queue):
            rule: Queue = strike.effect
            new = Window(rule.requests, rule.window_ms)
            window = self._windows.setdefault(strike.rule, new)
            wait_ms = window.book(self.clock.now_ms(), rule.longest_ms)
            if wait_ms is None:
                return None
            total_ms += wait_ms
        return total_ms

    def _handled(self, request: _Request, plan: Plan) -> Reply:
        """What the exchange does and answers, at the time that it is now."""
        if request.refusal is not None:
            return request.refusal
        call = request.call
        if plan.strikes:
            # Rules may have let time pass since the request came.
            call = dataclasses.replace(call, now_ms=self.clock.now_ms())
        exchange, route = self.venue.exchange, request.route
        exchange.truth.ms = call.now_ms
        with exchange.truth.about(request=request.number):
            refusal, headers = admit(self.venue, route, call)
            if refusal is not None:
                return dataclasses.replace(refusal, headers=headers | refusal.headers)
            if route.errand is Errand.CANCELLING and plan.strikes:
                reply = self._cancelled(request, plan, call)
            else:
                reply = route.handler(self.venue, call)
            headers |= charge(self.venue, route, call, reply)
        return dataclasses.replace(reply, headers=headers | reply.headers) if headers else reply

    def _cancelled(self, request: _Request, plan: Plan, call: Call) -> Reply:
        """A cancel of which the rules may want some orders to be declined."""
        exchange, key = self.venue.exchange, call.owner()
        named = [one.order_id for one in request.reading.subjects if one.order_id]
        ids = named or [order.order_id for order in exchange.floor.register.open_of(key.key)]
        declined = plan.declined(ids)
        if not declined:
            return request.route.handler(self.venue, call)
        rest = [one for one in ids if one not in declined] if named else []
        result = exchange.cancel(key, rest, call.now_ms)
        body = {"canceled": result.canceled, "not_canceled": result.not_canceled | declined}
        return Reply(body, events=result.events)

    def _finish(self, plan: Plan) -> None:
        if plan.later:
            self.publish(self.venue.exchange.faults.finish(plan.later, self.clock.now_ms()))

    async def _decided(self, reply: Reply) -> Reply:
        """The reply, when the orders that are held back are decided."""
        while reply.waits is not None:
            done = reply.waits.decided()
            if done is not None:
                return dataclasses.replace(done, headers=reply.headers)
            await asyncio.sleep(exits.TICK_S)
        return reply

    async def _after(self, request: _Request, plan: Plan, reply: Reply) -> web.StreamResponse:
        """The reply on its way back."""
        if not plan.strikes:
            self._tell(request, reply.status, "sent")
            return exits.written(wire_of(reply))
        answer = plan.answer("after")
        if answer is None:
            return await self._send(request, plan, plan.changed(reply), "sent")
        wire = answer_of(answer, request.first_id(), request.address())
        return await self._send(request, plan, wire, "answered in its place")

    async def _send(
        self, request: _Request, plan: Plan, wire: Wire, fate: str
    ) -> web.StreamResponse:
        late_ms = plan.wait_ms(Late)
        if late_ms:
            await exits.until(self.clock, self.clock.now_ms() + late_ms)
        if plan.of(Lose):
            self._tell(request, wire.status, "lost")
            return await exits.never(request.http)
        cut = plan.cut("after")
        if cut is not None:
            self._tell(request, wire.status, "cut after")
            return exits.cut(request.http, cut, wire.raw())
        self._tell(request, wire.status, "gone" if exits.is_gone(request.http) else fate)
        if wire.promised is not None:
            return exits.broken(request.http, wire)
        return exits.written(wire)

    def _tell_torn(self, route: Route, first_ms: int) -> None:
        truth = self.venue.exchange.truth
        truth.ms = self.clock.now_ms()
        truth.record("request_torn", place=route.place, first_ms=first_ms)

    def _tell(self, request: _Request, status: int, fate: str) -> None:
        truth = self.venue.exchange.truth
        truth.ms = self.clock.now_ms()
        truth.record("reply", request=request.number, status=status, fate=fate)


def _query(http: web.Request) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for name, value in http.query.items():
        query.setdefault(name, []).append(value)
    return query
