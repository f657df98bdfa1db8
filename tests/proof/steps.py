"""Programs as data: the steps of a thread, the ways through its branches, and how it runs alone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache


class Step(Enum):
    """The accesses of shm/atomics.h, with the system calls that it makes."""

    LOAD_ACQUIRE = 0
    LOAD_RELAXED = 1
    STORE_RELEASE = 2
    STORE_RELAXED = 3
    FENCE_ACQUIRE = 4
    FENCE_RELEASE = 5
    FENCE_FULL = 6
    FUTEX_WAIT = 7
    FUTEX_WAKE = 8
    AWAKE = 9
    """Second half of FUTEX_WAIT: possible once nobody sleeps (any more)."""


LOADS = {Step.LOAD_ACQUIRE, Step.LOAD_RELAXED}
STORES = {Step.STORE_RELEASE, Step.STORE_RELAXED}
FULL = {Step.FENCE_FULL, Step.FUTEX_WAIT, Step.FUTEX_WAKE, Step.AWAKE}
"""The kernel puts a full barrier into both futex calls, and says so in its source."""
WEAKER = {Step.LOAD_ACQUIRE: Step.LOAD_RELAXED, Step.STORE_RELEASE: Step.STORE_RELAXED}
FENCES = {Step.FENCE_ACQUIRE, Step.FENCE_RELEASE}
BARRIERS = {*WEAKER, *FENCES, Step.FENCE_FULL}


@dataclass(frozen=True)
class Calc:
    """A value computed from registers."""

    of: Callable[..., int]
    registers: tuple[str, ...]


def calc(of: Callable[..., int], *registers: str) -> Calc:
    return Calc(of, registers)


@dataclass(frozen=True)
class Op:
    """One access, fence or system call."""

    step: Step
    at: str = ""
    """Symbolic location."""
    to: str = ""
    """The register that a load fills."""
    value: int | Calc = 0
    """What a store stores; what a FUTEX_WAIT expects."""
    site: str = ""
    """Where the header has this barrier, as `function: call`."""

    def __post_init__(self) -> None:
        assert (self.step in BARRIERS) == bool(self.site), self


@dataclass(frozen=True)
class Branch:
    """Go on with one of two programs, and then with what follows the branch."""

    on: Calc
    then: "Program"
    otherwise: "Program" = ()


class _Stop:
    """The thread ends here."""


STOP = _Stop()
Program = tuple[Op | Branch | _Stop, ...]


@dataclass(frozen=True)
class Require:
    """On a way through a program: the branch was decided like this."""

    on: Calc
    wanted: bool


Way = tuple[Op | Require, ...]


@cache
def ways(program: Program) -> tuple[Way, ...]:
    """Every straight way through a program."""
    return tuple(_walk(program))


def _walk(program: Program) -> Iterator[Way]:
    for index, item in enumerate(program):
        if isinstance(item, _Stop):
            yield program[:index]
            return
        if isinstance(item, Branch):
            for side, wanted in ((item.then, True), (item.otherwise, False)):
                rest = side if side and side[-1] is STOP else side + program[index + 1 :]
                for way in _walk(rest):
                    yield (*program[:index], Require(item.on, wanted), *way)
            return
    yield program


def sites(program: Program) -> set[str]:
    """Every barrier in a program, by its place in the header."""
    return {item.site for way in ways(program) for item in way if isinstance(item, Op)} - {""}


def rewritten(program: Program, change: Callable[[Op], Program]) -> Program:
    """The program with each operation replaced by what `change` makes of it."""
    changed: list[Op | Branch | _Stop] = []
    for item in program:
        if isinstance(item, Branch):
            then, otherwise = rewritten(item.then, change), rewritten(item.otherwise, change)
            changed.append(Branch(item.on, then, otherwise))
        elif isinstance(item, Op):
            changed += change(item)
        else:
            changed.append(item)
    return tuple(changed)


def weakened(program: Program, *without: str) -> Program:
    """The program with the barriers of these sites made relaxed, or dropped."""

    def change(op: Op) -> Program:
        if op.site not in without:
            return (op,)
        return (replace(op, step=WEAKER[op.step], site=""),) if op.step in WEAKER else ()

    return rewritten(program, change)


# --- one thread alone -------------------------------------------------------------------------


def run(
    program: Program, memory: Mapping[str, int], changes: Mapping[int, tuple[str, int]]
) -> tuple[list[tuple[Op, int]], dict[str, int]]:
    """Steps of a thread that is alone, each with its value, and the memory afterwards.

    `changes` are made by somebody else, each after so many steps.
    """
    now, registers, steps = dict(memory), dict[str, int](), list[tuple[Op, int]]()
    rest = list(program)
    while rest and rest[0] is not STOP:
        item = rest.pop(0)
        if isinstance(item, Branch):
            decided = item.on.of(*(registers[name] for name in item.on.registers))
            rest[:0] = item.then if decided else item.otherwise
            continue
        assert isinstance(item, Op)
        value = item.value
        if isinstance(value, Calc):
            value = value.of(*(registers[name] for name in value.registers))
        if item.step in LOADS:
            value = registers[item.to] = now.get(item.at, 0)
        elif item.step in STORES:
            now[item.at] = value
        steps.append((item, value))
        if len(steps) in changes:
            location, changed = changes[len(steps)]
            now[location] = changed
    return steps, now
