"""The same models as relations between events, written apart from the explorer to check it.

An execution says which store each load reads from, and in which order the stores to each location
happened. It is allowed if certain relations have no cycle (the way in which Arm and the literature
on x86 define their models). Programs here are straight, apart from branches that go the same
way with every value and serve only as dependencies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, permutations, product

from tests.proof.steps import LOADS, STORES, Branch, Calc, Op, Program, Step
from tests.proof.weak_memory import Model

Edges = set[tuple[int, int]]


@dataclass(frozen=True)
class Event:
    """A load or a store; the first events are the initial stores, of no thread."""

    number: int
    thread: int
    op: Op

    @property
    def loads(self) -> bool:
        return self.op.step in LOADS

    @property
    def stores(self) -> bool:
        return self.op.step in STORES


def outcomes(threads: list[Program], model: Model) -> set[tuple[tuple[str, int], ...]]:
    """Every allowed end: registers and final memory."""
    locations = sorted({i.at for t in threads for i in t if isinstance(i, Op) and i.at})
    events = [
        Event(n, -1, Op(Step.STORE_RELAXED, at, value=0)) for n, at in enumerate(locations)
    ]  # fmt: skip
    fixed: Edges = set()
    program_order: Edges = set()
    for thread, program in enumerate(threads):
        _add_thread(thread, program, model, (events, program_order, fixed))
    loads = [e for e in events if e.loads]
    found = set()
    for order in _store_orders(events, locations):
        sources = [order[e.op.at] for e in loads]
        for read in product(*sources):
            from_ = dict(zip((e.number for e in loads), read, strict=True))
            if _allowed(events, program_order, fixed, (order, from_), model):
                registers = [(e.op.to, _stored(events[from_[e.number]])) for e in loads]
                memory = [(at, _stored(events[order[at][-1]])) for at in locations]
                found.add((*sorted(registers), *memory))
    return found


def _stored(event: Event) -> int:
    value = event.op.value
    return value.of(*(0 for _ in value.registers)) if isinstance(value, Calc) else value


def _store_orders(events: list[Event], locations: list[str]) -> Iterator[dict[str, list[int]]]:
    """For each location every order of its stores, the initial one first."""
    choices = []
    for number, at in enumerate(locations):
        stores = [e.number for e in events if e.stores and e.op.at == at and e.thread >= 0]
        choices.append([[number, *order] for order in permutations(stores)])
    for chosen in product(*choices):
        yield dict(zip(locations, chosen, strict=True))


def _add_thread(
    thread: int, program: Program, model: Model, into: tuple[list[Event], Edges, Edges]
) -> None:
    """Events of a thread, program order, and the order that the model keeps within the thread."""
    events, program_order, fixed = into
    own: list[Event] = []
    fences: list[tuple[int, Step]] = []  # (how many own events came before, kind)
    filled: dict[str, int] = {}
    deciding: set[int] = set()
    for item in program:
        if isinstance(item, Branch):
            deciding |= {filled[name] for name in item.on.registers}
            continue
        assert isinstance(item, Op)
        if not item.at:
            fences.append((len(own), item.step))
            continue
        event = Event(len(events), thread, item)
        program_order |= {(e.number, event.number) for e in own}
        if event.stores and isinstance(item.value, Calc):
            fixed |= {(filled[name], event.number) for name in item.value.registers}
        if event.stores and model is not Model.LAX:
            fixed |= {(load, event.number) for load in deciding}
        for place, earlier in enumerate(own):
            if _kept(earlier, event, model) or any(
                place < at and _fenced(step, earlier, event, model) for at, step in fences
            ):
                fixed.add((earlier.number, event.number))
        if event.loads:
            filled[item.to] = event.number
        events.append(event)
        own.append(event)


def _kept(earlier: Event, later: Event, model: Model) -> bool:
    if model is Model.SC:
        return True
    if model is Model.TSO:
        return earlier.loads or later.stores
    return (
        earlier.op.step is Step.LOAD_ACQUIRE
        or later.op.step is Step.STORE_RELEASE
        or (later.stores and earlier.op.at == later.op.at)
    )


def _fenced(step: Step, earlier: Event, later: Event, model: Model) -> bool:
    if step is Step.FENCE_FULL:
        return True
    if model in {Model.SC, Model.TSO}:
        return False
    return earlier.loads if step is Step.FENCE_ACQUIRE else later.stores


def _allowed(
    events: list[Event],
    program_order: Edges,
    fixed: Edges,
    execution: tuple[dict[str, list[int]], dict[int, int]],
    model: Model,
) -> bool:
    order, from_ = execution
    reads: Edges = {(store, load) for load, store in from_.items()}
    coherence: Edges = {
        (stores[i], stores[j])
        for stores in order.values()
        for i in range(len(stores))
        for j in range(i + 1, len(stores))
    }
    overtaken: Edges = {(load, later) for load, store in from_.items()
                        for before, later in coherence if before == store}  # fmt: skip
    same_place = {(a, b) for a, b in program_order if events[a].op.at == events[b].op.at}
    if _cyclic(chain(same_place, reads, coherence, overtaken)):
        return False
    forwarded = {(a, b) for a, b in reads if events[a].thread == events[b].thread}
    if model is Model.SC:
        return not _cyclic(chain(fixed, reads, coherence, overtaken))
    kept = set(fixed)
    if model in {Model.ARM, Model.LAX}:
        # A load that is served by an own store comes after what that store's value needed.
        kept |= {
            (needed, load)
            for store, load in forwarded
            for needed, at in fixed
            if at == store and _is_data(events, needed, store)
        }
    return not _cyclic(chain(kept, reads - forwarded, coherence, overtaken))


def _is_data(events: list[Event], needed: int, store: int) -> bool:
    value = events[store].op.value
    return isinstance(value, Calc) and events[needed].op.to in value.registers


def _cyclic(edges: Iterator[tuple[int, int]]) -> bool:
    after: dict[int, set[int]] = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)
    done: set[int] = set()
    path: set[int] = set()

    def visit(node: int) -> bool:
        if node in path:
            return True
        if node in done:
            return False
        path.add(node)
        if any(visit(following) for following in after.get(node, ())):
            return True
        path.remove(node)
        done.add(node)
        return False

    return any(visit(node) for node in list(after))
