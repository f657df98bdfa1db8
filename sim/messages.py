"""A stream of bytes cut into the messages that it carries: HTTP/1.1, then WebSocket frames. Pure.

Enough of both for a proxy between well-behaved ends; what is not understood is passed on as it is.
"""

import re
from dataclasses import dataclass, field

HEAD_BYTES_MAX = 64 * 1024
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,15})[ \t]*\r?$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked[ \t]*\r?$")
_UPGRADE = re.compile(rb"(?im)^upgrade:[ \t]*websocket[ \t]*\r?$")
_BODILESS = frozenset({b"204", b"304"})


@dataclass(slots=True)
class Stream:
    """One direction of a connection. `mode` is "http", "frames" or "raw".

    In "raw" mode, which nothing leaves again, every piece is its own message.
    """

    mode: str = "http"
    responses: bool = False
    _held: bytearray = field(default_factory=bytearray)

    @property
    def empty(self) -> bool:
        """Whether the next byte begins a message."""
        return not self._held

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now."""
        self._held += data
        found: list[bytes] = []
        while self._held:
            size = self._size()
            if size is None or size > len(self._held):
                break
            found.append(bytes(self._held[:size]))
            del self._held[:size]
            self._follow(found[-1])
        return found

    def rest(self) -> bytes:
        """What has come of a message that will not be completed."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _size(self) -> int | None:
        """Length of the first message; None while it cannot be told."""
        if self.mode == "frames":
            return frame_size(self._held)
        if self.mode == "raw":
            return len(self._held)
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            if len(self._held) > HEAD_BYTES_MAX:
                self.mode = "raw"
            return len(self._held) if self.mode == "raw" else None
        head, start = bytes(self._held[:end]), end + 4
        if self.responses and (b" 101 " in head[:16] or head[9:12] in _BODILESS):
            return start
        length = _LENGTH.search(head)
        if length is not None:
            return start + int(length.group(1))
        if _CHUNKED.search(head):
            return chunked_size(self._held, start)
        if self.responses:
            # Its end is the end of the connection.
            self.mode = "raw"
            return len(self._held)
        return start

    def _follow(self, message: bytes) -> None:
        if self.mode != "http":
            return
        upgraded = message[9:12] == b"101" if self.responses else _UPGRADE.search(message)
        if upgraded:
            self.mode = "frames"


def frame_size(held: bytes | bytearray) -> int | None:
    """Length of the WebSocket frame at the beginning; None while it cannot be told."""
    if len(held) < 2:
        return None
    length, start = held[1] & 0x7F, 2
    if length == 126:
        length, start = int.from_bytes(held[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(held[2:10], "big"), 10
    if len(held) < start:
        return None
    return start + (4 if held[1] & 0x80 else 0) + length


def chunked_size(held: bytes | bytearray, start: int) -> int | None:
    """End of a chunked body that begins at `start`; None while it cannot be told."""
    at = start
    while True:
        line = held.find(b"\r\n", at)
        if line < 0:
            return None
        try:
            size = int(bytes(held[at:line]).split(b";")[0], 16)
        except ValueError:
            return len(held)
        at = line + 2 + size + 2
        if at > len(held):
            return None
        if size == 0:
            return at


def first_line(message: bytes) -> str:
    """The request or status line, without its end."""
    return message.split(b"\r\n", 1)[0].decode("latin-1")
