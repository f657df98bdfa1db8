"""Rows of the kill switch: how late the last byte of an order leaves, how soon all is cancelled.

Everything is real but the strategy: the killer's own process, the simulated exchange that takes
50 ms to answer, the files, the latch. A process in the executor's role sends orders, two thousand
a second, to a socket that notes when each byte comes, and asks the switch before each of them as
the executor does. After every trial the operator's word arms it again.
"""

import asyncio
import secrets
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from shm import arming, segment
from shm.codes import Role, StageState
from shm.kill import being_armed, pressed, request_kill
from shm.stage import Stage, main
from tests.bench.effort import Effort
from tests.bench.report import Report, Row, sample_of
from tests.killer.exchange import exchange, until
from tests.killer.scene import Scene, resting_wallet

SUITE = "kill"
VENUE_DELAY_MS = 50
LOOK_EVERY_S = 0.05
BETWEEN_S = 0.0005
QUIET_S = 0.02
ORDER = b"POST /orders HTTP/1.1\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1_024


class Sink:
    """Takes what is sent, and knows when the last byte of it came."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.last_ns = 0
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        peer, _ = self._server.accept()
        with peer:
            while peer.recv(65_536):
                self.last_ns = time.monotonic_ns()

    def close(self) -> None:
        """Take nothing more."""
        self._server.close()


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    last, latched, done = trials(effort.trials)
    note = f"{effort.trials} trials"
    report.add(Row(SUITE, "last byte of an order after the request", "ns", [sample_of(last)],
                   note=note))  # fmt: skip
    report.add(Row(SUITE, "latch set after the request", "ns", [sample_of(latched)], note=note))
    report.add(Row(SUITE, "cancel-all acknowledged after the request", "ns", [sample_of(done)],
                   note=f"{note}; the venue takes {VENUE_DELAY_MS} ms of it"))  # fmt: skip


def trials(count: int) -> tuple[list[int], list[int], list[int]]:
    """Nanoseconds after each request until (the last byte, the latch, the acknowledgement)."""
    instance = f"bench-{secrets.token_hex(4)}"
    last: list[int] = []
    latched: list[int] = []
    done: list[int] = []
    with tempfile.TemporaryDirectory() as folder, exchange() as venue:
        sink = Sink()
        scene = Scene(instance, Path(folder) / "var", venue.url)
        try:
            trader = resting_wallet(venue, scene, 1)
            venue.rule("DELETE /cancel-all", {"do": "hold", "ms": VENUE_DELAY_MS})
            scene.killer()
            words = ["-m", "tests.bench.kill", instance, str(sink.port)]
            scene.start([sys.executable, *words], Role.EXECUTOR)
            for _ in range(count):
                venue.rest(trader, 1)
                one = trial(scene, sink)
                assert venue.resting(trader) == 0
                for found, value in zip((last, latched, done), one, strict=True):
                    found.append(value)
        finally:
            scene.end()
            sink.close()
            for path in segment.SHM_ROOT.glob(f"polytrio.{instance}.*"):
                path.unlink()
    return last, latched, done


def trial(scene: Scene, sink: Sink) -> tuple[int, int, int]:
    """Press, wait for the end of everything, arm again."""
    armed_ns = time.monotonic_ns()
    until(lambda: sink.last_ns > armed_ns, f"orders leave: {scene.logs()}")
    asked_ns = time.monotonic_ns()
    request_kill(scene.var, "bench")
    until(lambda: scene.latch().cancel_done_ns > asked_ns, f"cancelled: {scene.logs()}")
    until(lambda: time.monotonic_ns() - sink.last_ns > QUIET_S * 1e9, "no order leaves")
    latch, last_ns = scene.latch(), sink.last_ns
    arming.request_arm(scene.var, pressed(scene.var).nonce, "bench")
    until(lambda: not being_armed(scene.var), f"armed: {scene.logs()}")
    refused = arming.refused(scene.var)
    assert refused is None, refused
    return max(0, last_ns - asked_ns), latch.seen_ns - asked_ns, latch.cancel_done_ns - asked_ns


# --- the process that sends ---------------------------------------------------------------------


async def _send(stage: Stage) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    stage.holder.enter(StageState.RUNNING)
    looks = asyncio.ensure_future(_look(stage))
    while not stage.stopping:
        if not stage.kill.requested():
            writer.write(ORDER)
            await writer.drain()
        await asyncio.sleep(BETWEEN_S)
    looks.cancel()


async def _look(stage: Stage) -> None:
    """What the executor does every 50 ms."""
    while True:
        stage.kill.look()
        request = arming.arm_requested(stage.kill.var_path)
        if request is not None:
            await arming.clear(stage.kill, request)
        await asyncio.sleep(LOOK_EVERY_S)


def _run(instance: str) -> None:
    given = list(sys.argv)

    async def work(stage: Stage) -> None:
        sys.argv = given
        await _send(stage)

    sys.argv = ["executor", "--instance", instance]
    main(Role.EXECUTOR, lambda stage: stage.run_async(work))


if __name__ == "__main__":
    _run(sys.argv[1])
