"""Ways from one process to another, each as a pair of functions: send bytes, receive bytes.

Every way is made before the fork, and opened by each side after it. `send` may refuse (False);
`receive` waits for a message as that way does it best: ours and those without a blocking call spin.
"""

import mmap
import os
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass

PAYLOAD_BYTES = 56
ROOM = 1024
"""Messages that fit, as in our updates ring."""

Send = Callable[[bytes], object]
Receive = Callable[[], bytes]


@dataclass(frozen=True)
class Channel:
    """One direction. `close` removes what has a name."""

    sender: Callable[[], Send]
    receiver: Callable[[], Receive]
    close: Callable[[], None] = lambda: None
    lossy: bool = False
    """It drops messages rather than let the sender know."""


def _spinning(take: Callable[[], bytes | None]) -> Receive:
    def receive() -> bytes:
        while (message := take()) is None:
            pass
        return message

    return receive


def ring(*, compiled: bool) -> Channel:
    """Our ring from Python: one call a message."""
    from shm import model
    from shm.segments import RING_SLOTS_OFFSET

    kernel = model
    if compiled:
        from shm import native as kernel
    stride = PAYLOAD_BYTES + 8
    memory = mmap.mmap(-1, RING_SLOTS_OFFSET + stride * ROOM)

    def receiver() -> Receive:
        consumer = kernel.RingConsumer(memory, 0, stride, ROOM)

        def receive() -> bytes:
            while (message := consumer.pop()) is None:
                consumer.wait(20_000, 0)
            return message

        return receive

    return Channel(
        lambda: kernel.RingProducer(memory, 0, stride, ROOM, kernel.Fence()).try_push, receiver
    )


def standard_queue() -> Channel:
    """`multiprocessing.Queue`: a pipe, a lock, a thread, pickle."""
    import multiprocessing

    queue = multiprocessing.get_context("fork").Queue(ROOM)
    return Channel(lambda: queue.put, lambda: queue.get)


def locked_memory() -> Channel:
    """`multiprocessing.shared_memory` under a `multiprocessing.Lock`, written as one would."""
    import multiprocessing
    from multiprocessing.shared_memory import SharedMemory

    lock = multiprocessing.get_context("fork").Lock()
    block = SharedMemory(create=True, size=16 + PAYLOAD_BYTES * ROOM)
    positions = struct.Struct("<QQ")
    view = block.buf

    def send(message: bytes) -> bool:
        with lock:
            written, read = positions.unpack_from(view, 0)
            if written - read == ROOM:
                return False
            at = 16 + written % ROOM * PAYLOAD_BYTES
            view[at : at + PAYLOAD_BYTES] = message
            positions.pack_into(view, 0, written + 1, read)
            return True

    def take() -> bytes | None:
        with lock:
            written, read = positions.unpack_from(view, 0)
            if written == read:
                return None
            at = 16 + read % ROOM * PAYLOAD_BYTES
            message = bytes(view[at : at + PAYLOAD_BYTES])
            positions.pack_into(view, 0, written, read + 1)
            return message

    def close() -> None:
        nonlocal view
        view = None
        block.close()
        block.unlink()

    return Channel(lambda: send, lambda: _spinning(take), close)


def membridge() -> Channel:
    """Its SPSC ring of variable messages."""
    import membridge as peer

    name = f"/bench-{secrets.token_hex(6)}"
    memory = peer.SharedMemory.create(name, 65_536 + 24)
    queue = memory.spsc()
    return Channel(
        lambda: queue.push, lambda: _spinning(queue.pop), lambda: peer.SharedMemory.remove(name)
    )


def kickmsg() -> Channel:
    """Its publish and subscribe, one subscriber."""
    import kickmsg as peer

    config = peer.Config()
    config.max_subscribers = 1
    config.sub_ring_capacity = ROOM
    config.pool_size = 2 * ROOM
    config.max_payload_size = 64
    space = f"bench{secrets.token_hex(4)}"
    node = peer.Node(f"n{os.getpid()}", space)
    publisher = node.advertise("topic", config)
    subscriber = node.subscribe("topic")
    return Channel(
        lambda: publisher.send,
        lambda: _spinning(subscriber.try_receive),
        lambda: node.unlink_topic("topic"),
        lossy=True,
    )


def faster_fifo() -> Channel:
    """Its queue over shared memory, a mutex and a condition; our bytes go through unpickled."""
    import faster_fifo as peer

    queue = peer.Queue(max_size_bytes=2 * ROOM * PAYLOAD_BYTES, loads=bytes, dumps=bytes)
    return Channel(lambda: queue.put, lambda: queue.get, queue.close)


CHANNELS: dict[str, Callable[[], Channel]] = {
    "ring": lambda: ring(compiled=True),
    "ring-python-mode": lambda: ring(compiled=False),
    "mp.Queue": standard_queue,
    "shared_memory+Lock": locked_memory,
    "membridge": membridge,
    "kickmsg": kickmsg,
    "faster-fifo": faster_fifo,
}
PEERS = {"membridge", "kickmsg", "faster-fifo"}
