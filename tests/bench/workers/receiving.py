"""Receives a stream over localhost with one library and says what a frame costs in CPU time.

    picows     frames counted in a Python callback
    ours       picows, and each frame scanned, applied and published (ingest's own listener)
    websockets, aiohttp   the usual loop: await a message, count it

The client asks by its first message how many frames it wants, and reads until it has them.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import picows
import uvloop
import websockets

from ingest.keeper import make_keeper
from ingest.picows_link import make_listener
from shm.codes import Role
from shm.fabric import Fabric
from shm.layout import INGEST_STATS, UPDATE
from tests.bench.corpus import AT_MS, book_frames
from tests.bench.workers.places import fresh_instance, market
from tests.ingest.frames import market_of, token_of

URL = sys.argv[1]
MAX_BYTES = 1 << 24
WARM = 1_000


class Meter:
    """CPU time from the frame after the warm-up to the last one."""

    def __init__(self, count: int) -> None:
        self.left = count + WARM
        self.count = count
        self.start_s = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def frame(self) -> None:
        """One more; sets `done` to nanoseconds a frame at the last."""
        self.left -= 1
        if self.left == self.count:
            self.start_s = cpu_s()
        elif self.left == 0:
            self.done.set_result((cpu_s() - self.start_s) * 1e9 / self.count)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def wanted(meter: Meter) -> str:
    return json.dumps({"frames": meter.left})


async def by_picows(meter: Meter) -> None:
    class Listener(picows.WSListener):
        def on_ws_connected(self, transport: Any) -> None:
            transport.send(picows.WSMsgType.TEXT, wanted(meter).encode())

        def on_ws_frame(self, _transport: Any, frame: Any) -> None:
            assert frame.payload_size > 0
            meter.frame()

    transport, _ = await picows.ws_connect(Listener, URL)
    await meter.done
    transport.disconnect()


async def by_ours(meter: Meter) -> None:
    """The compiled listener straight into the compiled keeper; a reader empties the ring."""
    instance = fresh_instance()
    fabric = Fabric(instance, Role.INGEST)
    keeper = make_keeper(fabric, 1, 64)
    facts = {"condition": market_of(token_of(0)), "yes": token_of(0), "no": token_of(1)}
    keeper.add(market(0, facts))
    keeper.take(book_frames(30)[0].encode(), AT_MS)
    updates = Fabric(instance, Role.ENGINE).consume("updates", UPDATE)
    counters = fabric.counters("stats-ingest.counters", INGEST_STATS, write=False)
    session = SimpleNamespace(
        opened=lambda transport: transport.send(picows.WSMsgType.TEXT, wanted(meter).encode()),
        closed=lambda: None,
        heed=keeper.news,
        fail=lambda _transport, error: meter.done.set_exception(error),
        other=lambda *_: False,
    )
    start_s, begun, before = 0.0, 0, counters.read().frames_in
    transport, _ = await picows.ws_connect(lambda: make_listener(session, keeper, MAX_BYTES), URL)
    while (taken := counters.read().frames_in - before) < meter.count + WARM:
        if not begun and taken > WARM:
            start_s, begun = cpu_s(), taken
        while updates.ring.pop() is not None:
            pass
        await asyncio.sleep(0)
    meter.done.set_result((cpu_s() - start_s) * 1e9 / (taken - begun))
    transport.disconnect()


async def by_websockets(meter: Meter) -> None:
    async with websockets.connect(URL, max_size=MAX_BYTES, compression=None) as link:
        await link.send(wanted(meter))
        while not meter.done.done():
            await link.recv()
            meter.frame()


async def by_aiohttp(meter: Meter) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(URL, max_msg_size=MAX_BYTES) as link,
    ):
        await link.send_str(wanted(meter))
        while not meter.done.done():
            await link.receive()
            meter.frame()


WAYS: dict[str, Callable[[Meter], Awaitable[None]]] = {
    "picows": by_picows,
    "ours": by_ours,
    "websockets": by_websockets,
    "aiohttp": by_aiohttp,
}


async def receive(name: str, count: int) -> float:
    meter = Meter(count)
    await WAYS[name](meter)
    return float(await meter.done)


def main() -> None:
    """The line protocol; a round is one number."""
    out, sys.stdout = sys.stdout, sys.stderr
    versions = {
        "picows": f"picows {picows.__version__}" if hasattr(picows, "__version__") else "",
        "websockets": f"websockets {websockets.__version__}",
        "aiohttp": f"aiohttp {aiohttp.__version__}",
    }

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    say({"things": list(WAYS), "versions": versions})
    for line in sys.stdin:
        order = json.loads(line)
        try:
            ns = uvloop.run(receive(order["thing"], order["count"]))
            say({"p50": ns, "p99": ns, "max": ns, "count": order["count"]})
        except Exception as error:  # noqa: BLE001  # the row says why
            say({"error": f"{type(error).__name__}: {error}"[:110]})


if __name__ == "__main__":
    main()
