"""One way between two pinned Python processes, timed: a process of its own for each round.

    python -m tests.bench.pingpong CHANNEL hop|stream COUNT

Prints a line for each kind of measurement: p50, p99, maximum (nanoseconds), number of samples. A
hop is half of a round trip. `back-to-back` times each; `paced` starts them at a pace that the way
can keep and times each from the moment at which it was due: no coordinated omission.
"""

import os
import signal
import sys
import time
from statistics import median

from tests.bench.channels import CHANNELS, PAYLOAD_BYTES, PEERS, Channel
from tests.bench.peers import FOLDER
from tests.bench.report import Sample, sample_of

WARM = 300
PACE_LEAST_NS = 20_000
PACE_OVER_TRIP = 4


def pinned(side: int) -> None:
    """Stay on a core of our own."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[side % len(cores)]})


def forked(work) -> int:
    """A child that does `work` on the other core, and nothing else."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            pinned(1)
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def hops(there: Channel, back: Channel, count: int) -> dict[str, Sample]:
    """Round trips through an echo, in both ways of timing."""

    def echo() -> None:
        receive, send = there.receiver(), back.sender()
        while True:
            message = receive()
            while send(message) is False:
                pass

    child = forked(echo)
    pinned(0)
    send, receive = there.sender(), back.receiver()

    def trip(number: int) -> None:
        send(number.to_bytes(8, "little") * (PAYLOAD_BYTES // 8))
        assert receive()[:8] == number.to_bytes(8, "little")

    back_to_back, paced = [], []
    for number in range(WARM + count):
        began_ns = time.perf_counter_ns()
        trip(number)
        back_to_back.append((time.perf_counter_ns() - began_ns) / 2)
    pace_ns = max(PACE_LEAST_NS, int(2 * PACE_OVER_TRIP * median(back_to_back)))
    due_ns = time.perf_counter_ns() + pace_ns
    for number in range(count):
        while time.perf_counter_ns() < due_ns:
            pass
        trip(number)
        paced.append((time.perf_counter_ns() - due_ns) / 2)
        due_ns += pace_ns
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return {"back-to-back": sample_of(back_to_back[WARM:]), "paced": sample_of(paced)}


def stream(there: Channel, count: int) -> dict[str, Sample]:
    """Nanoseconds a message when one side only sends and the other only receives."""
    if there.lossy:
        raise SystemExit("it drops what a reader is too slow for")
    message = bytes(PAYLOAD_BYTES)

    def produce() -> None:
        send = there.sender()
        for _ in range(count):
            while send(message) is False:
                pass
        receive_forever()

    def receive_forever() -> None:
        while True:  # a queue's own thread may still be sending
            time.sleep(1)

    child = forked(produce)
    pinned(0)
    receive = there.receiver()
    receive()
    began_ns = time.perf_counter_ns()
    for _ in range(count - 1):
        receive()
    each = (time.perf_counter_ns() - began_ns) / (count - 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return {"stream": Sample(each, each, each, 1)}


def main(name: str, what: str, count: int) -> None:
    """Measure one round and print it."""
    if name in PEERS:
        sys.path.insert(0, str(FOLDER / name))
    there, back = CHANNELS[name](), CHANNELS[name]()
    try:
        samples = hops(there, back, count) if what == "hop" else stream(there, count)
    finally:
        there.close()
        back.close()
    for kind, sample in samples.items():
        sys.stdout.write(f"{kind} {sample.p50} {sample.p99} {sample.max} {sample.count}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
