"""Rows of the socket: what it costs to receive a frame, by library; the frames come over localhost.

One number a round: CPU time of the receiving process, kernel included, over so many frames that
wait already. Wall time would be the sender's.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sim.delivery import text_frame
from sim.firehose import accept_line, unmasked
from tests.bench import corpus, environments
from tests.bench.contest import Entrant, Worker, hold, our_worker
from tests.bench.effort import Effort
from tests.bench.report import Report

SUITE = "receive over localhost, CPU time a frame"
FRAMES = 60_000


@contextmanager
def sender() -> Iterator[str]:
    """A WebSocket server that gives every client as many frames as it asks for."""
    ring = [text_frame(text) for text in corpus.change_frames()]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # the listener is closed when all is measured
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_feed, args=(connection, ring), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/market"
    finally:
        listener.close()


def _feed(connection: socket.socket, ring: list[bytes]) -> None:
    whole = b"".join(ring)
    heard = bytearray()
    with suppress(OSError), connection:  # a client that has enough goes
        while b"\r\n\r\n" not in heard:
            heard += connection.recv(4096)
        end = heard.index(b"\r\n\r\n") + 4
        connection.sendall(accept_line(bytes(heard[:end])))
        del heard[:end]
        while (said := unmasked(heard)) is None:
            heard += connection.recv(4096)
        left = json.loads(said)["frames"]
        for _ in range(left // len(ring)):
            connection.sendall(whole)
        connection.sendall(b"".join(ring[: left % len(ring)]))
        connection.recv(4096)  # whatever it says now, it has enough


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    folder = environments.node()
    with sender() as url:
        workers = {
            "ours": our_worker(environments.ours(), "receiving", url),
            "node": node_worker(folder, url),
        }
        entrants = [
            Entrant("picows, counted", "ours", "picows", FRAMES, peer=False),
            Entrant(
                "picows, scanned, applied, published", "ours", "ours", FRAMES,
                against="picows, counted", peer=False, note="what ingest does",
            ),
            Entrant("websockets, counted", "ours", "websockets", FRAMES, "picows, counted"),
            Entrant("aiohttp, counted", "ours", "aiohttp", FRAMES, "picows, counted"),
            Entrant(
                "node ws, JSON.parse, state, trios", "node", "receive", FRAMES,
                "picows, scanned, applied, published", note="all that the old system did",
            ),
        ]  # fmt: skip
        hold(report, SUITE, workers, entrants, effort)


def node_worker(folder: object, *arguments: str) -> Worker:
    """The Node baseline, or why there is none."""
    if isinstance(folder, str):
        return Worker([], trouble=folder)
    script = environments.NODE_FOLDER / "baseline.js"
    return Worker(
        ["node", "--expose-gc", str(script), *arguments],
        environment=environments.node_environment(),
    )
