"""One connected client of a channel, and the bytes on their way to it.

Frames are written to the transport as ready WebSocket frames. Usually at once; rules may let them
wait for a time, for other frames to pass, or trickle out.
"""

import asyncio
import heapq
import logging
from dataclasses import dataclass, field

from aiohttp import web

from sim.effects import Close, Reset
from sim.exits import reset
from sim.limits import MAX_UNSENT_BYTES

_LOG = logging.getLogger("sim.sockets")
_LENGTH_16 = 126
_LENGTH_64 = 127
_TEXT, _BINARY, _CLOSE = 0x81, 0x82, 0x88


def text_frame(text: str) -> bytes:
    """One unmasked WebSocket text frame."""
    return raw_frame(_TEXT, text.encode())


def close_frame(code: int) -> bytes:
    """A close frame with a code, also one that no endpoint may send."""
    return raw_frame(_CLOSE, code.to_bytes(2, "big"))


def raw_frame(head: int, payload: bytes) -> bytes:
    """A frame with this first byte, whatever it means; unmasked, of any length."""
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((head, size)) + payload
    if size < 1 << 16:
        return bytes((head, _LENGTH_16)) + size.to_bytes(2, "big") + payload
    return bytes((head, _LENGTH_64)) + size.to_bytes(8, "big") + payload


@dataclass(slots=True)
class _Passed:
    """A frame that waits for others to pass, or for its time."""

    frame: bytes
    note: str
    left: int
    due_ms: int


@dataclass(slots=True, eq=False)
class Socket:
    """One connected client; `number` counts the connections of its channel from 1.

    A frame may have a note; `left` collects the notes of frames that have left after waiting.
    """

    ws: web.WebSocketResponse
    transport: asyncio.Transport
    channel: str = ""
    number: int = 0
    left: list[str] = field(default_factory=list)
    _waiting: list[tuple[int, int, bytes, str]] = field(default_factory=list)
    _passed: list[_Passed] = field(default_factory=list)
    _count: int = 0
    _slow_bytes_per_s: int = 0
    _slow_since_ms: int = 0
    _trickle: bytearray = field(default_factory=bytearray)
    _trickling: list[str] = field(default_factory=list)

    def send(self, frame: bytes, note: str = "") -> bool:
        """Write a ready frame; a client that does not read is cut off."""
        if self.transport.is_closing():
            return False
        unsent = self.transport.get_write_buffer_size() + len(self._trickle)
        if unsent > MAX_UNSENT_BYTES:
            _LOG.warning("a client does not read its frames and is cut off")
            self.transport.abort()
            return False
        if self._slow_bytes_per_s:
            self._trickle += frame
            self._trickling.append(note)
        else:
            self.transport.write(frame)
        if self._passed:
            self._let_pass()
        return True

    def trickles(self) -> bool:
        """Whether what is sent now leaves later."""
        return bool(self._slow_bytes_per_s)

    def send_at(self, frame: bytes, due_ms: int, note: str = "") -> None:
        """Write a frame at a time."""
        self._count += 1
        heapq.heappush(self._waiting, (due_ms, self._count, frame, note))

    def send_behind(self, frame: bytes, behind: int, due_ms: int, note: str = "") -> None:
        """Write a frame when `behind` others have been written, at the latest at a time."""
        self._passed.append(_Passed(frame, note, behind, due_ms))

    def slow_down(self, bytes_per_s: int, now_ms: int) -> None:
        """Let bytes trickle from now on; 0 lets them flow again."""
        self._slow_bytes_per_s = bytes_per_s
        self._slow_since_ms = now_ms

    def is_busy(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._waiting or self._passed or self._trickle or self.left)

    def flush(self, now_ms: int) -> None:
        """Write what is due."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            _, _, frame, note = heapq.heappop(self._waiting)
            self._write_late(frame, note)
        due = [one for one in self._passed if one.due_ms <= now_ms]
        # Taken out first: each that is written may let the next one pass.
        self._passed = [one for one in self._passed if one.due_ms > now_ms]
        for one in due:
            self._write_late(one.frame, one.note)
        if self._trickle and not self.transport.is_closing():
            self._flow(now_ms)

    def end(self, how: Close | Reset) -> None:
        """End the connection as a rule wants it."""
        if isinstance(how, Reset):
            reset(self.transport)
            return
        if how.code:
            self.transport.write(close_frame(how.code))
        self.transport.close()

    def drop(self) -> None:
        """End the connection without waiting for the client."""
        self.transport.abort()

    def _let_pass(self) -> None:
        for one in self._passed:
            one.left -= 1
        ready = [one for one in self._passed if one.left <= 0]
        self._passed = [one for one in self._passed if one.left > 0]
        for one in ready:
            self._write_late(one.frame, one.note)

    def _write_late(self, frame: bytes, note: str) -> None:
        if self.send(frame, note) and note and not self.trickles():
            self.left.append(note)

    def _flow(self, now_ms: int) -> None:
        if not self._slow_bytes_per_s:
            allowed = len(self._trickle)
        else:
            allowed = (now_ms - self._slow_since_ms) * self._slow_bytes_per_s // 1000
        if allowed:
            self.transport.write(bytes(self._trickle[:allowed]))
            del self._trickle[:allowed]
            self._slow_since_ms = now_ms
        if not self._trickle:
            self.left += [note for note in self._trickling if note]
            self._trickling = []
