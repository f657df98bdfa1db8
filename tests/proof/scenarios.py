"""What the ring, the latch and the dirty bits promise: threads, and the outcomes that are wrong."""

from tests.proof.programs import (
    dirty_mark,
    dirty_take,
    latch_read,
    latch_write,
    load,
    peek,
    pop,
    pop_many,
    push,
    unless,
    wait,
    wake,
)
from tests.proof.weak_memory import Outcome, Scenario

OLD, FIRST, SECOND, THIRD = (1, 1), (2, 2), (3, 3), (4, 4)


def slot_holding(number: int, commit: int, words: tuple[int, int]) -> dict[str, int]:
    place = f"slot{number}"
    return {f"{place}.commit": commit, f"{place}.1": words[0], f"{place}.2": words[1]}


def words_of(outcome: Outcome, name: str) -> tuple[int | None, int | None]:
    return outcome.got(f"{name}.1"), outcome.got(f"{name}.2")


def popped(outcome: Outcome, name: str, position: int) -> bool:
    return outcome.got(f"{name}.commit") == position + 1


def mismatch(outcome: Outcome, expected: dict[str, tuple[int, tuple[int, int]]]) -> str:
    """By register prefix: the position asked for, and the words that must come with it.

    A reader that was killed may have read none of them; both words of a message are equal.
    """
    for name, (position, words) in expected.items():
        read = [word for word in words_of(outcome, name) if word is not None]
        if popped(outcome, name, position) and not set(read) <= set(words):
            return f"message {position} came as {words_of(outcome, name)}"
    return ""


# --- ring -------------------------------------------------------------------------------------

RING_PUBLISH = Scenario(
    name="a message is seen whole or not at all",
    memory={"epoch": 1, "write": 2, "read": 2, **slot_holding(0, 1, OLD)},
    threads={
        "producer": push(2, FIRST, capacity=2, name="push", read_cache=2),
        "consumer": pop(2, capacity=2, name="pop"),
    },
    wrong=lambda outcome: mismatch(outcome, {"pop": (2, FIRST)}),
    reached=lambda outcome: popped(outcome, "pop", 2),
)


def reused(outcome: Outcome, first: str, second: str, third: str = "") -> str:
    if not popped(outcome, first, 0):
        return "message 0 was overwritten before it was read"
    return mismatch(outcome, {first: (0, FIRST), second: (1, SECOND), third: (2, THIRD)})


RING_REUSE = Scenario(
    name="a slot is written again only after it was read",
    memory={"epoch": 1, "write": 1, **slot_holding(0, 1, FIRST)},
    threads={
        "producer": (
            *push(1, SECOND, capacity=1, name="push1", read_cache=0),
            *push(2, THIRD, capacity=1, name="push2", read_cache="push1.read"),
        ),
        "consumer": (
            *pop(0, capacity=1, name="pop0"),
            *pop(1, capacity=1, name="pop1"),
            *pop(2, capacity=1, name="pop2"),
        ),
    },
    wrong=lambda outcome: reused(outcome, "pop0", "pop1", "pop2"),
    reached=lambda outcome: popped(outcome, "pop2", 2),
)

RING_BATCH = Scenario(
    name="a batch of slots is written again only after it was read",
    memory={"epoch": 1, "write": 1, **slot_holding(0, 1, FIRST)},
    threads={
        "producer": push(1, SECOND, capacity=1, name="push", read_cache=0),
        "consumer": (
            *pop_many(0, 2, capacity=1, name="pop"),
            *pop_many(1, 1, capacity=1, name="then"),
        ),
    },
    wrong=lambda outcome: reused(outcome, "pop.0", "then.0"),
    reached=lambda outcome: popped(outcome, "then.0", 1),
)


def _peeked(outcome: Outcome, position: int, words: tuple[int, int]) -> str:
    """With a ring of two: `write` at most position + 1 is the onlooker's leave to believe."""
    write = outcome.got("peek.write")
    if write is not None and write <= position + 1 and words_of(outcome, "peek") != words:
        return f"the onlooker believes that message {position} is {words_of(outcome, 'peek')}"
    return ""


_PEEK_MEMORY = {"epoch": 1, "write": 1, "read": 1, **slot_holding(0, 1, FIRST)}
_PEEK_PRODUCER = (
    *push(1, SECOND, capacity=2, name="push1", read_cache=1),
    *push(2, THIRD, capacity=2, name="push2", read_cache=1),
)

RING_PEEK_GOING = Scenario(
    name="an onlooker does not believe a message that is being overwritten",
    memory=_PEEK_MEMORY,
    threads={"producer": _PEEK_PRODUCER, "onlooker": peek(0, capacity=2, name="peek")},
    wrong=lambda outcome: _peeked(outcome, 0, FIRST),
    reached=lambda outcome: outcome.got("peek.write") == 1,
)

RING_PEEK_COMING = Scenario(
    name="an onlooker does not believe a message that is still being written",
    memory=_PEEK_MEMORY,
    threads={"producer": _PEEK_PRODUCER, "onlooker": peek(1, capacity=2, name="peek")},
    wrong=lambda outcome: _peeked(outcome, 1, SECOND),
    reached=lambda outcome: outcome.got("peek.write") == 2,
)

RING_SLEEP = Scenario(
    name="nobody sleeps while a message lies there, time and again",
    memory={"epoch": 1},
    threads={
        "producer": (
            *push(0, FIRST, capacity=2, name="push0", read_cache=0),
            *wake("wake0"),
            *push(1, SECOND, capacity=2, name="push1", read_cache=0),
            *wake("wake1"),
        ),
        "consumer": (
            *wait(0, capacity=2, name="wait0"),
            *pop(0, capacity=2, name="pop0"),
            *wait(1, capacity=2, name="wait1"),
            *pop(1, capacity=2, name="pop1"),
        ),
    },
    wrong=lambda outcome: (
        "the consumer sleeps for ever"
        if outcome.asleep
        else mismatch(outcome, {"pop0": (0, FIRST), "pop1": (1, SECOND)})
    ),
    reached=lambda outcome: outcome.memory["wake"] == 2,
)


# --- latch ------------------------------------------------------------------------------------


def _latched(outcome: Outcome) -> str:
    for attempt in ("read.2", "read.1"):
        sequence = outcome.got(f"{attempt}.sequence")
        if sequence is not None and sequence == outcome.got(f"{attempt}.again"):
            words = words_of(outcome, attempt)
            expected = (OLD, FIRST, SECOND, THIRD)[sequence]
            return "" if words == expected else f"sequence {sequence} was read as {words}"
    return ""  # busy, and the reader knows it


LATCH = Scenario(
    name="a reader during three writes never gets a mixture",
    memory={"epoch": 1, "copy0.1": OLD[0], "copy0.2": OLD[1]},
    threads={
        "writer": (
            *latch_write(FIRST, name="write1"),
            *latch_write(SECOND, name="write2"),
            *latch_write(THIRD, name="write3"),
        ),
        "reader": latch_read(name="read", tries=2),
    },
    wrong=_latched,
    reached=lambda outcome: outcome.got("read.1.sequence") == outcome.got("read.1.again") == 2,
)


# --- dirty bits -------------------------------------------------------------------------------


def _lost_mark(outcome: Outcome, newest: int) -> str:
    """The book of version `newest` was published: it was read, or it is marked."""
    if (outcome.memory["marks"] ^ outcome.memory["seen"]) & 1:
        return ""
    sequence, again = outcome.got("book.1.sequence"), outcome.got("book.1.again")
    if sequence is None:
        return "no mark remains, and nobody took one"
    if sequence == again and sequence < newest:
        return f"no mark remains, and version {sequence} was read"
    if sequence == again and words_of(outcome, "book.1") != (newest, newest):
        return f"version {sequence} was read as {words_of(outcome, 'book.1')}"
    return ""


_TAKER = (*dirty_take(name="take"), *latch_read(name="book"))

DIRTY_AGAIN = Scenario(
    name="a mark set while the last one is being taken is not lost",
    memory={"epoch": 1, "sequence": 1, "copy1.1": 1, "copy1.2": 1, "marks": 1},
    threads={
        "marker": (*latch_write((2, 2), name="write"), *dirty_mark(1, name="mark")),
        "taker": _TAKER,
    },
    wrong=lambda outcome: _lost_mark(outcome, 2),
    reached=lambda outcome: outcome.memory["marks"] == 0,
)

DIRTY_FIRST = Scenario(
    name="who takes a mark reads the book that it was set for",
    memory={"epoch": 1},
    threads={
        "marker": (*latch_write((1, 1), name="write"), *dirty_mark(1, name="mark")),
        "taker": _TAKER,
    },
    wrong=lambda outcome: _lost_mark(outcome, 1),
    reached=lambda outcome: outcome.memory["seen"] == 1,
)

DIRTY_SLEEP = Scenario(
    name="nobody sleeps while a market is marked",
    memory={"epoch": 1},
    threads={
        "marker": (*dirty_mark(1, name="mark"), *wake("wake")),
        "taker": (
            load("marks", "nothing"),  # a take that finds nothing; pt_dirty_take, cut short
            unless("nothing", 0),
            *wait(0, capacity=2, name="wait"),
        ),
    },
    wrong=lambda outcome: "asleep, and the mark is set" if outcome.asleep else "",
    reached=lambda outcome: outcome.memory["wake"] == 1,
)
"""Not one of the deck: it does not hold (tests/proof/test_ordering.py says how far it matters)."""
