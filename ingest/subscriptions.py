"""Which token is asked for on which socket: a pure plan, and the frames that carry it out.

One token a market is enough (the YES token), because the venue sends every change for both. A
socket carries at most `limit` tokens: beyond some hundreds the venue's initial snapshots stop
coming.
"""

from collections.abc import Iterable

import msgspec


def first_frame(tokens: Iterable[str]) -> bytes:
    """The frame that opens a connection."""
    return msgspec.json.encode({"type": "market", "assets_ids": list(tokens), "initial_dump": True})


def change_frame(operation: str, tokens: Iterable[str]) -> bytes:
    """`operation` is "subscribe" or "unsubscribe"."""
    return msgspec.json.encode({"operation": operation, "assets_ids": list(tokens)})


class Plan:
    """The tokens of each socket, by socket number."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.sockets: list[dict[str, int]] = []
        """For each socket: token -> market row."""

    def add(self, token: str, row: int) -> int:
        """Place a token on the first socket with room; returns the socket's number."""
        for number, tokens in enumerate(self.sockets):
            if len(tokens) < self._limit:
                tokens[token] = row
                return number
        self.sockets.append({token: row})
        return len(self.sockets) - 1

    def remove(self, token: str) -> int:
        """Take a token off its socket; returns the socket's number."""
        number = self.socket_of(token)
        del self.sockets[number][token]
        return number

    def socket_of(self, token: str) -> int:
        """The socket that carries a token."""
        return next(n for n, tokens in enumerate(self.sockets) if token in tokens)
