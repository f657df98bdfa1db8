"""Rings, killed at every step: push, push of a batch, pop, pop of a batch, waiting, opening.

After each death an ordinary process takes over and traffic goes on. What must hold: a message is
whole or not there; what was committed arrives once, in order, whoever reads it and whenever; what
the dead consumer had in its hands arrives again.
"""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from shm import backend, model
from shm.segments import RING_SLOTS_OFFSET, RING_WAITER_OFFSET
from tests.proof.compiling import compiled
from tests.proof.deaths import Broken, End, Operation, World, deaths, require
from tests.proof.planted import ForgetfulProducer

pytestmark = pytest.mark.proof

RING = 512
STRIDE = 64
PAYLOAD = STRIDE - 8
CAPACITY = 4
SHAPE = (RING, STRIDE, CAPACITY)
WAKES = RING + 8
OVERFLOWS = RING + 16
WAITER = RING + RING_WAITER_OFFSET

HISTORIES = [(0, 0), (1, 0), (7, 5), (11, 11), (8, 4)]
"""Messages pushed and popped before: fresh, begun, wrapped, wrapped and empty, full."""


@pytest.fixture(scope="module")
def fault(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("fault"), "fault.c")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("planted"), "fault.c", "-DPLANTED")


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "world"
    path.write_bytes(bytes(4096))
    return World(path)


def message(number: int) -> bytes:
    """A payload of which every word is its own: no two messages share one."""
    words = [(number << 8 | word) * 0x9E3779B97F4A7C15 % 2**64 for word in range(PAYLOAD // 8)]
    return struct.pack(f"<{len(words)}Q", *words)


def batch(numbers: list[int]) -> bytes:
    return b"".join(message(number) for number in numbers)


def numbers_of(payloads: list[bytes]) -> list[int]:
    """Back to numbers; a payload that is no message is torn."""
    known = {message(number): number for number in range(100)}
    for payload in payloads:
        require(payload in known, "a torn message was read")
    return [known[payload] for payload in payloads]


def drain(consumer: backend.RingConsumer) -> list[int]:
    payloads = []
    while (payload := consumer.pop()) is not None:
        payloads.append(payload)
    return numbers_of(payloads)


def live_through(world: World, history: tuple[int, int]) -> list[int]:
    """Bring the ring to where `history` says, with a predecessor long dead; what is unread."""
    pushed, popped = history
    producer = backend.RingProducer(world.memory, *SHAPE, world.succeed())
    consumer = backend.RingConsumer(world.memory, *SHAPE)
    for number in range(pushed):
        if number >= CAPACITY:
            consumer.pop()
        assert producer.try_push(message(number))
    while consumer.position < popped:
        assert consumer.pop()
    world.remember()
    return list(range(popped, pushed))


def committed(world: World, first: int) -> int:
    """How many messages from `first` on have their commit word, straight from the bytes."""
    count = 0
    while True:
        at = RING + RING_SLOTS_OFFSET + (first + count) % CAPACITY * STRIDE
        if int.from_bytes(world.memory[at : at + 8], "little") != first + count + 1:
            return count
        count += 1


Restart = Callable[..., model.RingProducer]


def check_a_dead_producer(
    world: World, unread: list[int], sent: list[int], restart: Restart, reader: str
) -> int:
    """The world after one death of a producer; how many of `sent` were committed."""
    first = unread[0] if unread else sent[0]
    reached = committed(world, first)
    require(reached >= len(unread), "a committed message is gone")
    due = [*unread, *sent][:reached]
    consumer = backend.RingConsumer(world.memory, *SHAPE)
    got = drain(consumer) if reader == "at once" else []
    producer = restart(world.memory, *SHAPE, world.succeed())
    fresh = list(range(50, 50 + 3 * CAPACITY))
    for number in fresh:
        while not producer.try_push(message(number)):
            got += drain(consumer)
    got += drain(consumer)
    require(got == due + fresh, f"got {got}, committed were {due}, then came {fresh}")
    require(producer.position == consumer.position, "the ends have lost each other")
    return reached - len(unread)


def kill_a_producer(
    fault: Path,
    world: World,
    history: tuple[int, int],
    sent: list[int],
    restart: Restart = backend.RingProducer,
) -> list[End]:
    """Every death of a push of `sent`, each seen by a reader at once and by one that comes late."""
    name = "push" if len(sent) == 1 else "push-many"
    unread = live_through(world, history)
    for reader in ("at once", "late"):
        reached = 0
        ends = []
        for end in deaths(fault, world, Operation(name, SHAPE, batch(sent))):
            ends.append(end)
            now = check_a_dead_producer(world, unread, sent, restart, reader)
            require(now >= reached, "a later death left fewer messages")
            reached = now
        room = CAPACITY - len(unread)
        require(reached == min(room, len(sent)), "the operation ended and its message is not there")
    return ends


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("restart", [backend.RingProducer, model.RingProducer])
def test_a_push_killed_at_any_step_has_happened_whole_or_not_at_all(fault, world, history, restart):
    pushed, popped = history
    ends = kill_a_producer(fault, world, history, [pushed], restart)
    full = pushed - popped == CAPACITY
    assert len(ends) > (3 if full else PAYLOAD // 8 + 4)
    assert ends[-1].outcome == (1 if full else 0)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_batch_killed_at_any_step_has_arrived_up_to_some_message(fault, world, history):
    pushed, popped = history
    sent = list(range(pushed, pushed + 3))
    ends = kill_a_producer(fault, world, history, sent)
    room = CAPACITY - (pushed - popped)
    assert len(ends) > min(room, 3) * (PAYLOAD // 8)
    assert ends[-1].outcome == (0 if room >= 3 else 1)


def test_a_full_ring_counts_the_refusal_once_or_not_at_all(fault, world):
    live_through(world, (8, 4))
    for end in deaths(fault, world, Operation("push", SHAPE, message(8))):
        refused = int.from_bytes(world.memory[OVERFLOWS : OVERFLOWS + 8], "little")
        assert refused == int(end.survived)


def test_whoever_sleeps_while_the_waker_dies_is_woken_by_the_successor(fault, world):
    """The dead one may have committed and not woken. The flag stays up until its owner takes it
    down, so that the next push wakes."""
    live_through(world, (7, 7))
    world.memory[WAITER] = 1
    world.remember()
    for _ in deaths(fault, world, Operation("push", SHAPE, message(7))):
        assert world.memory[WAITER] == 1
        wakes = int.from_bytes(world.memory[WAKES : WAKES + 8], "little")
        producer = backend.RingProducer(world.memory, *SHAPE, world.succeed())
        producer.try_push(message(8))
        assert int.from_bytes(world.memory[WAKES : WAKES + 8], "little") > wakes


def check_a_dead_consumer(world: World, unread: list[int], end: End) -> None:
    """The world after one death of a consumer: what it had not finished with comes again."""
    taken = [end.taken[at : at + PAYLOAD] for at in range(0, len(end.taken), PAYLOAD)]
    handed = numbers_of(taken)
    consumer = backend.RingConsumer(world.memory, *SHAPE)
    require(world.memory[WAITER] == 0, "the successor looks as if it slept")
    got = drain(consumer)
    require(handed + got == unread, f"handed {handed}, then came {got}, of {unread}")
    producer = backend.RingProducer(world.memory, *SHAPE, world.succeed())
    for number in range(50, 50 + 2 * CAPACITY):
        require(producer.try_push(message(number)), "no room although all was read")
        require(drain(consumer) == [number], "traffic does not go on")


def kill_a_consumer(
    fault: Path, world: World, history: tuple[int, int], operation: Operation
) -> int:
    """Every death of an operation of a consumer; how many steps it has."""
    unread = live_through(world, history)
    count = 0
    for end in deaths(fault, world, operation):
        check_a_dead_consumer(world, unread, end)
        count += 1
    return count


@pytest.mark.parametrize("history", HISTORIES)
def test_a_pop_killed_at_any_step_hands_its_message_to_the_successor(fault, world, history):
    steps = kill_a_consumer(fault, world, history, Operation("pop", SHAPE))
    assert steps > (PAYLOAD // 8 + 1 if history[0] > history[1] else 1)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_pop_of_a_batch_killed_at_any_step_hands_all_of_it_to_the_successor(
    fault, world, history
):
    steps = kill_a_consumer(fault, world, history, Operation("pop-many", (*SHAPE, 3)))
    assert steps > min(3, history[0] - history[1]) * (PAYLOAD // 8 + 1)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("name", ["wait", "open-consumer"])
def test_a_consumer_killed_while_it_waits_or_opens_has_moved_nothing(fault, world, history, name):
    assert kill_a_consumer(fault, world, history, Operation(name, SHAPE)) >= 2


@pytest.mark.parametrize("asleep", [False, True])
def test_a_producer_killed_while_it_opens_changes_nothing_that_was_committed(fault, world, asleep):
    """Also when it was rolling forward over messages beyond its predecessor's hint."""
    unread = live_through(world, (7, 4))
    world.memory[RING] = 5  # two commits, and no hint of them
    world.memory[WAITER] = asleep
    world.remember()
    for _ in deaths(fault, world, Operation("open-producer", SHAPE)):
        assert check_a_dead_producer(world, unread, [7], backend.RingProducer, "late") == 0


@pytest.mark.parametrize(("history", "what"), [((0, 0), "torn"), ((7, 5), r"got \[5, 6, 3,")])
def test_planted_a_commit_word_before_the_payload_is_caught(planted, world, history, what):
    """Half a message in a fresh slot; in a used one, first of all, the old message again."""
    with pytest.raises(Broken, match=what):
        kill_a_producer(planted, world, history, [history[0]])


@pytest.mark.parametrize("history", [(0, 0), (7, 5)])
def test_planted_a_producer_that_does_not_roll_forward_is_caught(fault, world, history):
    with pytest.raises(Broken, match="committed were"):
        kill_a_producer(fault, world, history, [history[0]], ForgetfulProducer)


def test_planted_a_slot_given_back_before_it_is_copied_is_caught(planted, world):
    with pytest.raises(Broken, match="then came"):
        kill_a_consumer(planted, world, (7, 5), Operation("pop", SHAPE))
