"""Explores every outcome of small multi-threaded programs under four models of memory.

A program is data (tests/proof/steps.py). A thread takes one way through its program; for every
choice of ways, every order is tried in which the memory may carry the steps out.

SC     one step after the other, as written.
TSO    x86: a store may be delayed past later loads, which see it already; nothing else moves.
ARM    any order that neither a barrier, nor the same location, nor a needed value forbids. Loads
       run ahead of branches that are not decided yet, stores do not. A store becomes visible to
       all others at once. Weaker than the processors in two points, so that less is taken for
       granted: an acquire load may overtake an earlier release store, and a release fence
       holds back stores only.
LAX    as ARM, and stores run ahead of branches too: C gives a branch no power over memory order.

Each model allows what the one before it allows. Not modelled: mixed sizes, read-modify-write (the
header has none), stores that reach different processors at different times (no processor that we
would rent does that any more).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import product

from tests.proof.steps import (
    BARRIERS,
    FENCES,
    FULL,
    LOADS,
    STORES,
    Calc,
    Op,
    Program,
    Require,
    Step,
    Way,
    sites,
    ways,
    weakened,
)


class Model(Enum):
    """What the memory may do."""

    SC = "SC"
    TSO = "TSO"
    ARM = "ARM"
    LAX = "LAX"


@dataclass(frozen=True)
class Outcome:
    """One possible end."""

    registers: Mapping[str, int]
    memory: Mapping[str, int]
    asleep: bool

    def got(self, register: str) -> int | None:
        """A register's value; None if no thread went that way."""
        return self.registers.get(register)


@dataclass(frozen=True)
class Scenario:
    """Threads over a memory, and what must never come out of it."""

    name: str
    memory: Mapping[str, int]
    threads: Mapping[str, Program]
    wrong: Callable[[Outcome], str]
    """What is wrong with an outcome; empty if nothing."""
    reached: Callable[[Outcome], bool]
    """The outcome that the scenario is about; one that never occurs proves nothing."""

    def without(self, *barriers: str) -> "Scenario":
        """The scenario with these barriers weakened in every thread."""
        threads = {name: weakened(program, *barriers) for name, program in self.threads.items()}
        return replace(self, threads=threads)

    def sites(self) -> set[str]:
        """Every barrier that takes part."""
        return set[str]().union(*(sites(program) for program in self.threads.values()))


@dataclass
class Verdict:
    """What exploring found."""

    states: int = 0
    outcomes: int = 0
    reached: bool = False
    wrong: str = ""
    trail: list[str] = field(default_factory=list)
    """The order of steps that led to `wrong`."""


def explore(scenario: Scenario, model: Model, *, eager: bool = True) -> Verdict:
    """Try everything; stop at the first outcome that is wrong.

    Steps that no other thread can notice are done as soon as they may, instead of at every
    possible moment; `eager=False` is the slow way, which must find the same outcomes.
    """
    verdict = Verdict()
    names = list(scenario.threads)
    for chosen in product(*(ways(scenario.threads[name]) for name in names)):
        machine = _Machine(scenario, model, dict(zip(names, chosen, strict=True)))
        if eager:
            machine.mark_unseen()
        machine.explore(verdict)
        if verdict.wrong:
            break
    return verdict


_Memory = tuple[int, ...]
_Registers = tuple[int | None, ...]
_State = tuple[tuple[int, ...], _Registers, _Memory]
"""For each thread a mask of the operations that are done; registers; memory."""
ASLEEP = "(asleep)"


@dataclass
class _Placed:
    """An operation of one way, with everything that can be known before it runs."""

    op: Op
    thread: int
    bit: int
    needs: int
    """Operations of this thread that must be done before."""
    location: int
    register: int
    value: Callable[[_Registers], int]
    value_registers: tuple[int, ...]
    forwards: "_Placed | None" = None
    """For a load: the last earlier store of this thread to the same location."""


class _Machine:
    """One way through each thread's program, in every order that the model allows."""

    def __init__(self, scenario: Scenario, model: Model, chosen: Mapping[str, Way]) -> None:
        self.scenario = scenario
        self.model = model
        locations = {op.at for way in chosen.values() for op in way if isinstance(op, Op)}
        self.locations = sorted({*locations, *scenario.memory, ASLEEP} - {""})
        self.registers = [op.to for way in chosen.values() for op in way
                          if isinstance(op, Op) and op.to]  # fmt: skip
        assert len(set(self.registers)) == len(self.registers), "a register is filled twice"
        self.requires: dict[int, list[tuple[Calc, tuple[int, ...], bool]]] = {}
        self.threads = [self._place(index, way) for index, way in enumerate(chosen.values())]
        self.names = list(chosen)
        self.every = [placed for thread in self.threads for placed in thread]
        self.asleep = self.locations.index(ASLEEP)
        self.unseen: list[_Placed] = []
        """Done as soon as they may: no other thread can notice when."""

    def _place(self, thread: int, way: Way) -> list[_Placed]:
        placed: list[_Placed] = []
        deciding = 0  # loads that branches so far wait for
        filled: dict[str, int] = {}  # register -> bit of its load
        for item in _with_awakenings(way):
            if isinstance(item, Require):
                where = self._at(item.on.registers)
                for register in where:
                    entry = (item.on, where, item.wanted)
                    self.requires.setdefault(register, []).append(entry)
                deciding |= sum({filled[name] for name in item.on.registers})
                continue
            names = item.value.registers if isinstance(item.value, Calc) else ()
            new = _Placed(
                op=item,
                thread=thread,
                bit=1 << len(placed),
                needs=sum({filled[name] for name in names}),
                location=self.locations.index(item.at) if item.at else -1,
                register=self.registers.index(item.to) if item.to else -1,
                value=_value_of(item.value, self._at(names)),
                value_registers=self._at(names),
            )
            if item.step in STORES and self.model is not Model.LAX:
                new.needs |= deciding
            for earlier in placed:
                if item.step in LOADS and earlier.op.step in STORES and earlier.op.at == item.at:
                    new.forwards = earlier
            for earlier in placed:
                # Own loads of this location from before `forwards` wait for nothing but that store.
                shadowed = new.forwards is not None and earlier.bit < new.forwards.bit
                if _waits(self.model, earlier.op, item, shadowed):
                    new.needs |= earlier.bit
            if item.to:
                filled[item.to] = new.bit
            placed.append(new)
        return placed

    def _at(self, registers: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.registers.index(name) for name in registers)

    def mark_unseen(self) -> None:
        """Loads of what no other thread stores; stores of what no other touches; fences."""
        touched: dict[int, set[int]] = {}
        stored: dict[int, set[int]] = {}
        for placed in self.every:
            touched.setdefault(placed.location, set()).add(placed.thread)
            if placed.op.step in {*STORES, Step.FUTEX_WAIT, Step.FUTEX_WAKE}:
                stored.setdefault(placed.location, set()).add(placed.thread)
        for placed in self.every:
            own, step = {placed.thread}, placed.op.step
            if (
                (step in LOADS and stored.get(placed.location, own) <= own)
                or (step in STORES and touched[placed.location] == own)
                or (step in BARRIERS and not placed.op.at)
            ):
                self.unseen.append(placed)

    def explore(self, verdict: Verdict) -> None:
        """Depth first over all states; adds what it finds to the verdict."""
        memory = tuple(self.scenario.memory.get(name, 0) for name in self.locations)
        start: _State = ((0,) * len(self.threads), (None,) * len(self.registers), memory)
        first = self._settled(start, None)
        if first is None:
            return
        seen = {first[0]}
        stack = [first]
        while stack:
            state, trail = stack.pop()
            moves = [placed for placed in self.every if self._may(placed, state)]
            if not moves and self._ended(state, trail, verdict):
                break
            for placed in moves:
                after = self._done(placed, state)
                settled = after and self._settled(after, (trail, placed, after))
                if settled and settled[0] not in seen:
                    seen.add(settled[0])
                    stack.append(settled)
        verdict.states += len(seen)

    def _settled(self, state: _State, trail: object) -> tuple[_State, object] | None:
        """The state after all that nobody can see has been done; None if a branch went wrong."""
        moved = True
        while moved:
            moved = False
            for placed in self.unseen:
                if self._may(placed, state):
                    after = self._done(placed, state)
                    if after is None:
                        return None
                    state, trail, moved = after, (trail, placed, after), True
        return state, trail

    def _may(self, placed: _Placed, state: _State) -> bool:
        done = state[0][placed.thread]
        if done & placed.bit or placed.needs & ~done:
            return False
        if placed.op.step is Step.AWAKE:
            return state[2][self.asleep] == 0
        source = placed.forwards
        if source is None or done & source.bit:
            return True
        return all(state[1][register] is not None for register in source.value_registers)

    def _done(self, placed: _Placed, state: _State) -> _State | None:
        """The state after an operation; None if it shows that a branch goes the other way."""
        dones, registers, memory = state
        step = placed.op.step
        if step in LOADS:
            source = placed.forwards
            forwarded = source is not None and not dones[placed.thread] & source.bit
            value = source.value(registers) if forwarded and source else memory[placed.location]
            registers = _with(registers, placed.register, value)
            for on, where, wanted in self.requires.get(placed.register, ()):
                operands = [registers[index] for index in where]
                if None not in operands and bool(on.of(*operands)) != wanted:
                    return None
        elif step in STORES:
            memory = _with(memory, placed.location, placed.value(registers))
        elif step is Step.FUTEX_WAIT and memory[placed.location] == placed.value(registers):
            memory = _with(memory, self.asleep, 1)
        elif step is Step.FUTEX_WAKE:
            memory = _with(memory, self.asleep, 0)
        return (
            _with(dones, placed.thread, dones[placed.thread] | placed.bit), registers, memory
        )  # fmt: skip

    def _ended(self, state: _State, trail: object, verdict: Verdict) -> bool:
        """Judge an end; True if it is wrong."""
        dones, registers, memory = state
        whole = all(done == (1 << len(t)) - 1 for done, t in zip(dones, self.threads, strict=True))
        asleep = memory[self.asleep] == 1
        assert whole or asleep, "the model is stuck"
        known = zip(self.registers, registers, strict=True)
        outcome = Outcome(
            registers={name: value for name, value in known if value is not None},
            memory=dict(zip(self.locations, memory, strict=True)),
            asleep=asleep,
        )
        verdict.outcomes += 1
        verdict.reached = verdict.reached or self.scenario.reached(outcome)
        verdict.wrong = self.scenario.wrong(outcome)
        if verdict.wrong:
            verdict.trail = self._told(trail)
        return bool(verdict.wrong)

    def _told(self, trail: object) -> list[str]:
        lines: list[str] = []
        while isinstance(trail, tuple):
            trail, placed, after = trail
            op = placed.op
            value = ""
            if op.step in LOADS:
                value = f"-> {after[1][placed.register]}"
            elif op.step in STORES:
                value = f"<- {after[2][placed.location]}"
            lines.append(f"{self.names[placed.thread]}: {op.step.name} {op.at} {value}".rstrip())
        return lines[::-1]


def _with(values: tuple, index: int, value: int) -> tuple:
    return (*values[:index], value, *values[index + 1 :])


def _value_of(value: int | Calc, where: tuple[int, ...]) -> Callable[[_Registers], int]:
    if isinstance(value, Calc):
        of = value.of
        return lambda registers: of(*(registers[index] for index in where))
    return lambda _registers: value


def _with_awakenings(way: Way) -> Iterator[Op | Require]:
    for item in way:
        yield item
        if isinstance(item, Op) and item.step is Step.FUTEX_WAIT:
            yield Op(Step.AWAKE)


def _waits(model: Model, earlier: Op, later: Op, shadowed: bool) -> bool:
    """Whether the model holds `later` back until `earlier` is done."""
    before, after = earlier.step, later.step
    if model is Model.SC or before in FULL or after in FULL:
        return True
    if model is Model.TSO:
        return before in LOADS or after in STORES
    loads_first = before in LOADS and after in {Step.STORE_RELEASE, *FENCES}
    stores_first = before in STORES and after in {Step.STORE_RELEASE, Step.FENCE_RELEASE}
    held = (
        before in {Step.LOAD_ACQUIRE, Step.FENCE_ACQUIRE}
        or (before is Step.FENCE_RELEASE and after in STORES)
    )  # fmt: skip
    same = earlier.at == later.at != "" and not (before in STORES and after in LOADS)
    return loads_first or stores_first or held or (same and not (shadowed and after in LOADS))
