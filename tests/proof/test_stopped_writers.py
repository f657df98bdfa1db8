"""A writer that is stopped, and goes on later: what the lock guarantees, and what the epoch does.

The **lock** guarantees that there is one writer. It belongs to an open file of the process, so it
is held while the process is stopped, swapped out or a debugger sits in it, for as long as that
takes, and nobody ever decides by silence that its holder is dead. As long as every process keeps
its lock until it ends, no two ever write at one time, and nothing below is needed.

The **epoch** limits the damage when that was broken by a defect: the lock's descriptor was closed
while the process lived. Then a successor can take the role, and raises the epoch before it writes
anything. From that store on:

* every publication that *begins* is refused (`FencedError`) and changes no byte: push, push of a
  batch, a row, a mark;
* a publication under way, stopped before its last look at the epoch, is refused at that look: its
  commit word or sequence is never written. What it had still to copy goes into a place that was its
  own when it chose it: the hidden copy of a row, the next slot of a ring. If the successor has
  published exactly there in the meantime, these bytes lie under the successor's commit;
* a publication stopped between its last look and the store that publishes, which are neighbours in
  the code (for a mark: a few loads apart), makes this one store when it goes on, as it would have
  been right when it looked: an old sequence, an old commit word, an old word of 64 marks.

So nothing that a writer begins after the take-over is ever accepted; what it had begun, only the
lock keeps out. Nor does the epoch cover readers: a consumer's position, a taker's bits and the
counters have no fence. A consumer that lost its lock is stopped by `Fence.check` in its heartbeat
(shm/stage.py), not by its next pop.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shm import backend
from shm.codes import Role
from shm.errors import RoleTaken
from shm.fabric import Fabric, find_section
from shm.roles import RoleLock
from tests.proof.compiling import compiled
from tests.proof.deaths import Broken, Operation, World, require
from tests.proof.writer import ROW, Writer, payload

pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[2]
EVERY_WAY = "row,push,push_many,mark,check"


class Process:
    """A writer under orders (tests/proof/writer.py)."""

    def __init__(self, instance: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.proof.writer", instance],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.epoch = int(self.answer().removeprefix("epoch "))

    def order(self, text: str) -> None:
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        return self._process.stdout.readline().strip()

    def do(self, text: str) -> str:
        self.order(text)
        return self.answer()

    def stop(self) -> None:
        """Stopped for certain: the kernel has said so."""
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> int:
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait()


class Reader:
    """engine's side of everything that the writer writes."""

    def __init__(self, instance: str) -> None:
        fabric = Fabric(instance, Role.ENGINE)
        plan, ring = find_section("updates")
        view = fabric.segment(plan.name, writable=True).view
        shape = ring.offset, ring.section.stride_bytes, ring.section.rows
        self._consumer = backend.RingConsumer(view, *shape)
        marks, seen = plan.placed["dirty"], plan.placed["dirty_seen"]
        self._taker = backend.DirtyTaker(view, marks.offset, seen.offset)
        self._message_bytes = ring.section.payload_bytes
        plan, books = find_section("books")
        view = fabric.segment(plan.name, writable=False).view
        self._row_bytes = books.section.payload_bytes
        self._books = backend.LatchReader(view, books.offset, self._row_bytes, books.section.rows)

    def messages(self) -> list[int]:
        numbers = []
        while (message := self._consumer.pop()) is not None:
            number = int.from_bytes(message[:8], "little")
            assert message == payload(number, self._message_bytes), "torn"
            numbers.append(number)
        return numbers

    def row(self) -> int:
        row = self._books.read(ROW)
        number = int.from_bytes(row[:8], "little")
        assert row == payload(number, self._row_bytes), "torn"
        return number

    def marks(self) -> list[int]:
        return self._taker.take()


def test_a_stopped_writer_keeps_its_lock_and_goes_on_unharmed(segments):
    process = Process(segments)
    reader = Reader(segments)
    assert process.do("write 1") == "refused nothing"
    process.stop()
    assert RoleLock(segments, Role.INGEST).held_by_anyone()
    for _ in range(3):
        with pytest.raises(RoleTaken, match="another ingest"):
            RoleLock(segments, Role.INGEST).take()
    refused = subprocess.run(
        [sys.executable, "-m", "tests.proof.writer", segments], cwd=ROOT, capture_output=True
    )
    assert b"RoleTaken" in refused.stderr
    process.order("write 2")
    assert reader.messages() == [1, 1, 1]
    assert reader.row() == 1
    process.go_on()
    assert process.answer() == "refused nothing"
    assert reader.messages() == [2, 2, 2]
    assert reader.row() == 2
    assert reader.marks() == [1, 2]
    assert process.end() == 0
    assert not RoleLock(segments, Role.INGEST).held_by_anyone()


def test_a_writer_that_lost_its_lock_and_was_stopped_is_fenced_at_its_next_publication(segments):
    process = Process(segments)
    reader = Reader(segments)
    assert process.do("write 1") == "refused nothing"
    assert process.do("lose") == "lost"
    process.stop()
    successor = Writer(segments)
    assert successor.holder.epoch == process.epoch + 1
    assert successor.write(3) == "nothing"
    process.order("write 2")
    process.order("write 2")
    process.go_on()
    assert process.answer() == f"refused {EVERY_WAY}"
    assert process.answer() == f"refused {EVERY_WAY}"
    assert successor.write(4) == "nothing"
    assert reader.messages() == [1, 1, 1, 3, 3, 3, 4, 4, 4]
    assert reader.row() == 4
    assert reader.marks() == [1, 3, 4]
    assert process.end() == 0
    successor.lock.release()


def test_a_writer_that_lost_its_lock_is_fenced_whatever_the_successor_has_written(segments):
    """Nothing at all, so that the dead one's next slot is free and its next row is the hidden one:
    the epoch alone refuses it."""
    process = Process(segments)
    reader = Reader(segments)
    assert process.do("write 1") == "refused nothing"
    assert process.do("lose") == "lost"
    process.stop()
    successor = Writer(segments)
    process.go_on()
    assert process.do("write 2") == f"refused {EVERY_WAY}"
    assert reader.messages() == [1, 1, 1]
    assert reader.row() == 1
    assert reader.marks() == [1]
    process.end()
    successor.lock.release()


# --- stopped inside an operation: where the epoch's protection ends ------------------------------

RING, STRIDE, CAPACITY = 512, 64, 4
LATCH, COPY_BYTES = 2048, 64
MARKS, SEEN = 256, 384


@pytest.fixture(scope="module")
def fault(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("fault"), "fault.c")


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "world"
    path.write_bytes(bytes(4096))
    return World(path)


def fates(fault, world, operation, successor_writes):
    """Stop the operation at each step, let a successor take over and write, go on. Yields, per
    step, whether the operation was refused in the end."""
    for step in range(1, 100):
        world.restore()
        command = operation.command(fault, world, step, signal.SIGSTOP)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        process.stdin.write(operation.payload)
        process.stdin.close()
        ended = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        stopped = ended.si_code == os.CLD_STOPPED
        if stopped:
            successor_writes(world.succeed())
            process.send_signal(signal.SIGCONT)
        said = process.stderr.read()
        process.stderr.close()
        assert process.wait() == 0
        if not stopped:
            return
        yield said.endswith(b"outcome 2\n")
    raise AssertionError("the operation does not end")


PUSH = Operation("push", (RING, STRIDE, CAPACITY), payload(7, STRIDE - 8))
ROW_WRITE = Operation("latch", (LATCH, COPY_BYTES), payload(7, COPY_BYTES))
MARK = Operation("mark", (MARKS, SEEN, 9))


def require_refusals(fault, world, operation, steps_before_the_last_look):
    refused = list(fates(fault, world, operation, lambda _fence: None))
    assert len(refused) >= steps_before_the_last_look + 2
    for step, was_refused in enumerate(refused):
        require(was_refused == (step < steps_before_the_last_look), f"step {step}: {was_refused}")


@pytest.mark.parametrize(
    ("operation", "steps_before_the_last_look"),
    [(PUSH, 1 + 1 + 7), (ROW_WRITE, 1 + 1 + 1 + 8), (MARK, 0)],
    ids=["push", "row", "mark"],
)
def test_a_publication_under_way_is_refused_unless_it_had_looked_for_the_last_time(
    fault, world, operation, steps_before_the_last_look
):
    """Look, fence, bytes for a push; look, sequence, fence, bytes for a row; a mark looks once.
    The successor's first act is to raise the epoch, and whoever looks after that is refused."""
    require_refusals(fault, world, operation, steps_before_the_last_look)


def test_planted_a_publication_that_never_looks_at_the_epoch_is_caught(tmp_path, world):
    planted = compiled(tmp_path, "fault.c", "-DPLANTED")
    for operation in (PUSH, ROW_WRITE):
        with pytest.raises(Broken, match="step 0: False"):
            require_refusals(planted, world, operation, 7)


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_only_the_lock_protects_a_row_that_is_published_over_one_under_way(fault, world, rows):
    """The stopped writer has chosen its copy. A successor that has published there since (with its
    first row, its third, ...) gets the rest of the old bytes into its row; any other keeps its own.
    """

    def successor_writes(fence):
        writer = backend.LatchWriter(world.memory, LATCH, COPY_BYTES, 1, fence)
        for number in range(rows):
            writer.write(0, payload(100 + number, COPY_BYTES))

    chosen, last_byte = 2, 11
    for step, refused in enumerate(fates(fault, world, ROW_WRITE, successor_writes), start=1):
        row = backend.LatchReader(world.memory, LATCH, COPY_BYTES, 1).read(0)
        spoilt = chosen <= step <= last_byte and rows % 2 == 1
        whole = row in {payload(number, COPY_BYTES) for number in (0, 7, *range(100, 104))}
        own = row in {payload(number, COPY_BYTES) for number in range(100, 100 + rows)}
        assert refused == (step <= last_byte)
        if spoilt:
            assert not own
        else:
            assert whole
            assert own or rows == 0 or not refused


@pytest.mark.parametrize("messages", [0, 1, 3])
def test_only_the_lock_protects_a_message_that_is_published_over_one_under_way(
    fault, world, messages
):
    """The same for the slot of a push; the messages behind it are the successor's own."""
    sent = [payload(100 + number, STRIDE - 8) for number in range(messages)]

    def successor_writes(fence):
        producer = backend.RingProducer(world.memory, RING, STRIDE, CAPACITY, fence)
        for message in sent:
            assert producer.try_push(message)

    last_byte, commit = 9, 11
    for step, refused in enumerate(fates(fault, world, PUSH, successor_writes), start=1):
        consumer = backend.RingConsumer(world.memory, RING, STRIDE, CAPACITY)
        got = []
        while (message := consumer.pop()) is not None:
            got.append(message)
        assert refused == (step <= last_byte)
        if step > commit or (not messages and step > last_byte):
            assert got == [PUSH.payload, *sent]
        elif messages:
            assert (got[0] == sent[0]) == (step > last_byte)
            assert got[1:] == sent[1:]
        else:
            assert got == []
