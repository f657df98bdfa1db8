"""Cancelling everything: the killer's own two connections to the venue, and what an answer proves.

Two, so that one is free when the other is being tried: each is opened again as soon as it is
closed, and now and then asked for the time, which shows that it carries and what the venue's clock
says. HTTP 200 proves nothing by itself: an order may be declined inside it, and a body of another
shape is no answer.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from executor.credentials import RequestSigner
from executor.http import HttpConnection, NoReply, Origin, Reply
from shm.errors import UNREADABLE

CANCEL_PATH = "/cancel-all"
BEAT_PATH = "/v1/heartbeats"
TIMEOUT_S = 2.0
"""Of what is not urgent."""
PROBE_EVERY_S = 10.0
WARM_EVERY_S = 0.5
RETRY_AFTER_MAX_S = 60
TIME_DIGITS_MAX = 12
CLOCK_TRUST_S = 2.0
"""Less difference between the clocks than this is the answer's way, not a wrong clock."""
ModelT = TypeVar("ModelT")
_OK, _BAD_REQUEST, _UNAUTHORIZED = 200, 400, 401


class _Cancelled(msgspec.Struct):
    canceled: list[str]
    not_canceled: dict[str, str] = {}


class _Beat(msgspec.Struct):
    heartbeat_id: str


@dataclass(frozen=True, slots=True)
class Done:
    """The venue says that nothing rests any more."""

    cancelled: int


@dataclass(frozen=True, slots=True)
class NotDone:
    """Something may still rest. `answered` False: no whole answer came."""

    reason: str
    answered: bool
    retry_after_s: int = 0


class CancelLine:
    """See the module."""

    def __init__(self, origin: Origin) -> None:
        self._connections = (HttpConnection(origin), HttpConnection(origin))
        self._opening: HttpConnection | None = None
        self._turn = 0
        self._probed_s = 0.0
        self._beat_id = ""
        self.clock_ahead_s = 0.0
        """How far the venue's clock is ahead of ours, where the difference is one."""

    def now_s(self) -> int:
        """Time for a signature, by the venue's clock."""
        return int(time.time() + self.clock_ahead_s)

    async def keep_warm(self) -> None:
        """Open what is closed, and try one connection now and then; until cancelled."""
        while True:
            for connection in self._connections:
                if not connection.busy:
                    self._opening = connection
                    await connection.open()
                    self._opening = None
            if time.monotonic() - self._probed_s >= PROBE_EVERY_S:
                await self.probe()
            await asyncio.sleep(WARM_EVERY_S)

    async def probe(self) -> None:
        """Ask for the time over the connection whose turn it is, unless that is in use."""
        self._probed_s = time.monotonic()
        self._turn ^= 1
        connection = self._connections[self._turn]
        if connection.busy:
            return
        asked_s = time.time()
        answer = await connection.request("GET", "/time", {}, timeout_s=TIMEOUT_S)
        told = answer.body.strip() if isinstance(answer, Reply) and answer.status == _OK else b""
        if told.isdigit() and len(told) <= TIME_DIGITS_MAX:
            # Whole seconds, of some moment between question and answer.
            ahead_s = int(told) + 0.5 - (asked_s + time.time()) / 2
            self.clock_ahead_s = ahead_s if abs(ahead_s) > CLOCK_TRUST_S else 0.0

    def _free(self) -> HttpConnection | None:
        """A connection for a request that cannot wait; an open one if there is any."""
        free = [connection for connection in self._connections if not connection.busy]
        free.sort(key=lambda connection: (not connection.idle, connection is self._opening))
        return free[0] if free else None

    async def cancel_all(self, signer: RequestSigner, timeout_s: float) -> Done | NotDone:
        """Ask once."""
        connection = self._free()
        if connection is None:
            return NotDone("both connections are in use", answered=False)
        headers = signer.headers(self.now_s(), "DELETE", CANCEL_PATH, b"")
        answer = await connection.request("DELETE", CANCEL_PATH, headers, timeout_s=timeout_s)
        outcome = judge(answer)
        if isinstance(answer, Reply) and answer.status == _UNAUTHORIZED:
            await self.probe()  # a wrong clock is the one cause that we can cure
        return outcome

    async def beat(self, signer: RequestSigner) -> str:
        """Send one heartbeat of the venue's own; what went wrong, or "".

        The venue names the right id when ours is not, as after a restart of ours.
        """
        trouble = ""
        for _ in range(2):
            connection = self._free()
            if connection is None:
                return "both connections are in use"
            body = msgspec.json.encode(_Beat(self._beat_id))
            headers = signer.headers(self.now_s(), "POST", BEAT_PATH, body)
            answer = await connection.request("POST", BEAT_PATH, headers, body, timeout_s=TIMEOUT_S)
            if isinstance(answer, NoReply):
                return answer.reason
            following = _decoded(answer.body, _Beat)
            if following is not None:
                self._beat_id = following.heartbeat_id
            if answer.status == _OK and following is not None:
                return ""
            trouble = f"HTTP {answer.status}"
            if answer.status != _BAD_REQUEST or following is None:
                return trouble
        return trouble

    def forget(self) -> None:
        """There are other credentials: their chain of heartbeats is another one."""
        self._beat_id = ""

    def close(self) -> None:
        """Drop both connections."""
        for connection in self._connections:
            connection.close()


def judge(answer: Reply | NoReply) -> Done | NotDone:
    """What an answer to `DELETE /cancel-all` proves."""
    if isinstance(answer, NoReply):
        return NotDone(answer.reason, answered=False)
    wait_s = min(answer.retry_after_s, RETRY_AFTER_MAX_S)
    if answer.status != _OK:
        text = answer.body[:120].decode("ascii", "replace")
        return NotDone(f"HTTP {answer.status}: {text}", answered=True, retry_after_s=wait_s)
    said = _decoded(answer.body, _Cancelled)
    if said is None:
        return NotDone("an answer that is none", answered=True)
    if said.not_canceled:
        reasons = ", ".join(sorted(set(said.not_canceled.values())))[:200]
        return NotDone(f"{len(said.not_canceled)} declined: {reasons}", answered=True)
    return Done(len(said.canceled))


def _decoded(body: bytes, model: type[ModelT]) -> ModelT | None:
    try:
        return msgspec.json.decode(body, type=model)
    except UNREADABLE:
        return None
