"""What holds when a role changes hands, whether its holder died or was replaced alive.

The kernel's lock keeps two holders apart; what is proven of it here is only what it gives to those
who come after. The epoch speaks to a holder that lost its lock and lives.
"""

from tests.proof.programs import (
    ROLE_STORES,
    acquire,
    dirty_mark,
    latch_write,
    open_consumer,
    open_producer,
    pop,
    push,
    role_take,
    unless,
)
from tests.proof.scenarios import (
    FIRST,
    SECOND,
    THIRD,
    mismatch,
    popped,
    reused,
    slot_holding,
    words_of,
)
from tests.proof.steps import STORES, Branch, Op, Program, Step, calc
from tests.proof.weak_memory import Outcome, Scenario

# --- roles ------------------------------------------------------------------------------------

NEW_HOLDER = {at: 0 if at == "adopted_generation" else 20 for at in ROLE_STORES}
_TAKE = role_take(NEW_HOLDER, "take")


def _seen_and_passed(outcome: Outcome, observed: str, new: int, first_look: str) -> str:
    if outcome.got(observed) == new and outcome.got(first_look) == 1:
        return "a writer has seen its successor's work and may still publish"
    return ""


def _observed(at: str, new: int) -> Program:
    """The stale writer hears of its successor: a version, or a hint, as `Words.load` reads it."""
    return (acquire("(observer)", at, "observed"), unless("observed", new))


STALE_LATCH = Scenario(
    name="a replaced writer that has seen its successor's book writes no book",
    memory={"epoch": 1},
    threads={
        "stale": (*_observed("sequence", 1), *latch_write(FIRST, name="late")),
        "successor": (*_TAKE, *latch_write(SECOND, name="new", epoch=2)),
    },
    wrong=lambda outcome: _seen_and_passed(outcome, "observed", 1, "late.first"),
    reached=lambda outcome: outcome.got("late.first") == 2,
)

SECOND_LOOK = Scenario(
    name="a writer replaced before it writes its copy is stopped by its second look",
    memory={"epoch": 1},
    threads={
        "stale": latch_write(FIRST, name="late"),
        "successor": (*_TAKE, *latch_write(SECOND, name="new", epoch=2)),
    },
    wrong=lambda outcome: (
        "it wrote over its successor's copy and published"
        if outcome.got("late.second") == 1
        and outcome.got("late.sequence") == outcome.got("new.sequence") == 0
        and outcome.memory["copy1.1"] == FIRST[0]
        else ""
    ),
    reached=lambda outcome: outcome.got("late.second") == 2,
)
"""Not one of SCENARIOS: it does not hold (tests/proof/test_ordering.py says where)."""

STALE_MARK = Scenario(
    name="a replaced writer that has seen its successor's book marks nothing",
    memory={"epoch": 1},
    threads={
        "stale": (*_observed("sequence", 1), *dirty_mark(1, name="late")),
        "successor": (*_TAKE, *latch_write(SECOND, name="new", epoch=2)),
    },
    wrong=lambda outcome: _seen_and_passed(outcome, "observed", 1, "late.first"),
    reached=lambda outcome: outcome.got("late.first") == 2,
)

ROW_ORDER = (
    "epoch", "pid", "start_ticks", "started_ns", "heartbeat_ns", "loops", "state",
    "adopted_generation",
)  # fmt: skip
"""The order in which `RoleTable.row` loads a row."""


def _row_mixture(outcome: Outcome) -> str:
    """A word of the new holder must not be followed by an older one that it had replaced before."""
    is_new = {at: outcome.got(f"row.{at}") == value for at, value in NEW_HOLDER.items()}
    for place, later in enumerate(ROLE_STORES):
        for earlier in ROLE_STORES[:place]:
            looked_after = ROW_ORDER.index(earlier) > ROW_ORDER.index(later)
            if looked_after and is_new[later] and not is_new[earlier]:
                return f"{later} is the new holder's, {earlier} is its predecessor's"
    return ""


ROLE_ROW = Scenario(
    name="an onlooker does not take a predecessor's word for the new holder's",
    memory={"epoch": 1, **dict.fromkeys(NEW_HOLDER, 10)},
    threads={
        "successor": _TAKE,
        "onlooker": tuple(acquire("(observer)", at, f"row.{at}") for at in ROW_ORDER),
    },
    wrong=_row_mixture,
    reached=lambda outcome: outcome.got("row.heartbeat_ns") == 20,
)


# --- processes that die, and their successors under the kernel's lock -------------------------

UNLOCK: Program = (
    Op(Step.FENCE_FULL, site="(kernel)"),
    Op(Step.STORE_RELEASE, "lock", value=1, site="(kernel)"),
)
LOCK: Program = (Op(Step.LOAD_ACQUIRE, "lock", "lock", site="(kernel)"), unless("lock", 1))
"""The kernel frees a lock when the process is gone and whatever it did is done."""


def killed_after(program: Program, steps: int) -> Program:
    """The first steps of a program whose branches all go straight on, then the process's end."""
    straight = [item for item in program if isinstance(item, Op)]
    return (*straight[:steps], *UNLOCK)


def kill_points(program: Program) -> list[int]:
    """After nothing and after each store; between them nothing happens that anybody could see."""
    straight = [item for item in program if isinstance(item, Op)]
    return [0, *(n for n, op in enumerate(straight, 1) if op.step in STORES)]


def _taken_over(words: tuple[int, int]) -> Program:
    """Take the role, open the ring, push one message."""
    return (
        *_TAKE,
        *open_producer(
            0, 2, "open",
            lambda at, read: push(at, words, capacity=2, name="new", read_cache=read, epoch=2),
        ),
    )  # fmt: skip


STALE_PUSH = Scenario(
    name="a replaced producer that has seen its successor's message pushes nothing",
    memory={"epoch": 1},
    threads={
        "stale": (
            *_observed("slot0.commit", 1),
            *push(0, FIRST, capacity=2, name="late", read_cache=0),
        ),
        "successor": _taken_over(SECOND),
    },
    wrong=lambda outcome: _seen_and_passed(outcome, "observed", 1, "late.first"),
    reached=lambda outcome: outcome.got("late.first") == 2,
)

OPEN_REUSE = Scenario(
    name="a successor writes a slot again only after it was read",
    memory={"epoch": 1, "write": 1, **slot_holding(0, 1, FIRST), **slot_holding(1, 2, SECOND)},
    threads={
        "successor": _taken_over(THIRD),
        "consumer": (
            *pop(0, capacity=2, name="pop0"),
            *pop(1, capacity=2, name="pop1"),
            *pop(2, capacity=2, name="pop2"),
        ),
    },
    wrong=lambda outcome: reused(outcome, "pop0", "pop1", "pop2"),
    reached=lambda outcome: popped(outcome, "pop2", 2),
)

_TWO_PUSHES = (
    *push(0, FIRST, capacity=2, name="push0", read_cache=0),
    *push(1, SECOND, capacity=2, name="push1", read_cache=0),
)
PRODUCER_KILLS = kill_points(_TWO_PUSHES)


def _rolled(outcome: Outcome) -> str:
    """Messages 0 and 1 are whole; no gap; the hint is exact once the successor has pushed."""
    mine = {0: FIRST, 1: SECOND}
    for position, name in ((0, "pop0"), (1, "pop1")):
        words = words_of(outcome, name)
        if popped(outcome, name, position) and words not in (mine[position], THIRD):
            return f"message {position} came as {words}"
    commits = [outcome.memory.get(f"slot{number}.commit", 0) for number in (0, 1)]
    if commits[1] == 2 and commits[0] not in {1, 3}:
        return "message 1 is there and message 0 is not"
    if outcome.got("new.second") == 2 and outcome.memory["write"] != max(commits):
        return f"the hint says {outcome.memory['write']}, messages go to {max(commits)}"
    return ""


def producer_killed(steps: int) -> Scenario:
    """The first producer dies after so many steps of two pushes; its successor adds a message."""
    return Scenario(
        name=f"a successor goes on after what was committed (killed after {steps} steps)",
        memory={"epoch": 1},
        threads={
            "first": killed_after(_TWO_PUSHES, steps),
            "successor": (*LOCK, *_taken_over(THIRD)),
            "consumer": (*pop(0, capacity=2, name="pop0"), *pop(1, capacity=2, name="pop1")),
        },
        wrong=_rolled,
        reached=lambda outcome: outcome.got("new.second") == 2,
    )


_ONE_POP = pop(0, capacity=1, name="pop")
CONSUMER_KILLS = range(sum(isinstance(item, Op) for item in _ONE_POP) + 1)


def _popped_again(outcome: Outcome) -> str:
    expected = {"pop": (0, FIRST), "again": (0, FIRST), "next": (1, SECOND)}
    if outcome.got("open.read") == 0 and not popped(outcome, "again", 0):
        return "message 0 was overwritten before it was given back"
    return mismatch(outcome, expected)


def consumer_killed(steps: int) -> Scenario:
    """The first consumer dies after so many steps of a pop; its successor reads on."""
    following = pop(1, capacity=1, name="next")
    again = (*pop(0, capacity=1, name="again"), *following)
    at_start = calc(lambda read: read == 0, "open.read")
    return Scenario(
        name=f"a message is not lost with its reader (killed after {steps} steps)",
        memory={"epoch": 1, "write": 1, **slot_holding(0, 1, FIRST)},
        threads={
            "first": killed_after(_ONE_POP, steps),
            "successor": (*LOCK, *open_consumer("open"), Branch(at_start, again, following)),
            "producer": push(1, SECOND, capacity=1, name="push", read_cache=0),
        },
        wrong=_popped_again,
        reached=lambda outcome: popped(outcome, "next", 1),
    )
