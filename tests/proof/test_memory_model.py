"""The explorer of memory models: known litmus tests, textbook axioms on random programs."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proof import axioms, weak_memory
from tests.proof.deck import SCENARIOS
from tests.proof.steps import LOADS, STORES, Branch, Op, Program, Step, calc
from tests.proof.weak_memory import Model, Outcome, Scenario, explore

pytestmark = pytest.mark.proof

X, Y, Z = "x", "y", "z"


def ld(at: str, to: str, *, acquire: bool = False) -> Op:
    step = Step.LOAD_ACQUIRE if acquire else Step.LOAD_RELAXED
    return Op(step, at, to, site="test" if acquire else "")


def put(at: str, value: int, *, release: bool = False, after: str = "") -> Op:
    """A store; `after` is a register that its value is computed from, in vain."""
    step = Step.STORE_RELEASE if release else Step.STORE_RELAXED
    of = calc(lambda _register: value, after) if after else value
    return Op(step, at, value=of, site="test" if release else "")


def fence(step: Step) -> Op:
    return Op(step, site="test")


def decided_by(register: str) -> Branch:
    """A branch that goes on in any case."""
    return Branch(calc(lambda _value: True, register), ())


FULL = fence(Step.FENCE_FULL)
RELEASE = fence(Step.FENCE_RELEASE)
ACQUIRE = fence(Step.FENCE_ACQUIRE)


def all_outcomes(scenario: Scenario, model: Model, *, eager: bool = True) -> set:
    found = set()

    def keep(outcome: Outcome) -> str:
        memory = {at: value for at, value in outcome.memory.items() if at != "(asleep)"}
        found.add((*sorted(outcome.registers.items()), *sorted(memory.items())))
        return ""

    watched = Scenario(scenario.name, scenario.memory, scenario.threads, keep, lambda _o: True)
    explore(watched, model, eager=eager)
    return found


def litmus(*threads: Program) -> Scenario:
    named = {str(number): thread for number, thread in enumerate(threads)}
    return Scenario("litmus", {}, named, lambda _o: "", lambda _o: True)


MP = {"a": 1, "b": 0}
SB = {"a": 0, "b": 0}
LB = {"a": 1, "b": 1}
NONE, WEAK, TSO, LAX = "", "ARM LAX", "TSO ARM LAX", "LAX"

LITMUS = [
    # name, threads, the question, where it may happen
    ("SB", [(put(X, 1), ld(Y, "a")), (put(Y, 1), ld(X, "b"))], SB, TSO),
    ("SB+full+none", [(put(X, 1), FULL, ld(Y, "a")), (put(Y, 1), ld(X, "b"))], SB, TSO),
    ("SB+full+full", [(put(X, 1), FULL, ld(Y, "a")), (put(Y, 1), FULL, ld(X, "b"))], SB, NONE),
    ("SB+release+acquire",
     [(put(X, 1, release=True), ld(Y, "a", acquire=True)),
      (put(Y, 1, release=True), ld(X, "b", acquire=True))], SB, TSO),
    ("SB+release fence+acquire fence",
     [(put(X, 1), RELEASE, ACQUIRE, ld(Y, "a")), (put(Y, 1), RELEASE, ACQUIRE, ld(X, "b"))],
     SB, TSO),
    ("SB+forwarding",
     [(put(X, 1), ld(X, "c"), ld(Y, "a")), (put(Y, 1), ld(Y, "d"), ld(X, "b"))],
     {**SB, "c": 1, "d": 1}, TSO),
    ("MP", [(put(X, 1), put(Y, 1)), (ld(Y, "a"), ld(X, "b"))], MP, WEAK),
    ("MP+release+none", [(put(X, 1), put(Y, 1, release=True)), (ld(Y, "a"), ld(X, "b"))],
     MP, WEAK),
    ("MP+none+acquire", [(put(X, 1), put(Y, 1)), (ld(Y, "a", acquire=True), ld(X, "b"))],
     MP, WEAK),
    ("MP+release+acquire",
     [(put(X, 1), put(Y, 1, release=True)), (ld(Y, "a", acquire=True), ld(X, "b"))], MP, NONE),
    ("MP+release fence+acquire fence",
     [(put(X, 1), RELEASE, put(Y, 1)), (ld(Y, "a"), ACQUIRE, ld(X, "b"))], MP, NONE),
    ("MP+release+acquire after, not between",
     [(put(X, 1), put(Y, 1, release=True)), (ld(Y, "a"), ld(X, "b", acquire=True))], MP, WEAK),
    ("MP+release+branch",
     [(put(X, 1), put(Y, 1, release=True)), (ld(Y, "a"), decided_by("a"), ld(X, "b"))],
     MP, WEAK),
    ("MP+release first, not second",
     [(put(X, 1, release=True), put(Y, 1)), (ld(Y, "a", acquire=True), ld(X, "b"))], MP, WEAK),
    ("LB", [(ld(X, "a"), put(Y, 1)), (ld(Y, "b"), put(X, 1))], LB, WEAK),
    ("LB+acquire+none", [(ld(X, "a", acquire=True), put(Y, 1)), (ld(Y, "b"), put(X, 1))], LB, WEAK),
    ("LB+acquire+release",
     [(ld(X, "a", acquire=True), put(Y, 1)), (ld(Y, "b"), put(X, 1, release=True))], LB, NONE),
    ("LB+data+data", [(ld(X, "a"), put(Y, 1, after="a")), (ld(Y, "b"), put(X, 1, after="b"))],
     LB, NONE),
    ("LB+branch+branch",
     [(ld(X, "a"), decided_by("a"), put(Y, 1)), (ld(Y, "b"), decided_by("b"), put(X, 1))],
     LB, LAX),
    ("CoRR", [(put(X, 1),), (ld(X, "a"), ld(X, "b"))], MP, NONE),
    ("CoRW", [(ld(X, "a"), put(X, 1))], {"a": 1}, NONE),
    ("CoWR", [(put(X, 1), ld(X, "a"))], {"a": 0}, NONE),
    ("CoWW", [(put(X, 1), put(X, 2))], {X: 1}, NONE),
    ("S+release+acquire",
     [(put(X, 2), put(Y, 1, release=True)), (ld(Y, "a", acquire=True), put(X, 1))],
     {"a": 1, X: 2}, NONE),
    ("S+release+branch",
     [(put(X, 2), put(Y, 1, release=True)), (ld(Y, "a"), decided_by("a"), put(X, 1))],
     {"a": 1, X: 2}, LAX),
    ("R+release+none", [(put(X, 1), put(Y, 1, release=True)), (put(Y, 2), ld(X, "a"))],
     {Y: 2, "a": 0}, TSO),
    ("R+release+full", [(put(X, 1), put(Y, 1, release=True)), (put(Y, 2), FULL, ld(X, "a"))],
     {Y: 2, "a": 0}, NONE),
    ("2+2W", [(put(X, 1), put(Y, 2)), (put(Y, 1), put(X, 2))], {X: 1, Y: 1}, WEAK),
    ("2+2W+release+release",
     [(put(X, 1), put(Y, 2, release=True)), (put(Y, 1), put(X, 2, release=True))],
     {X: 1, Y: 1}, NONE),
    ("WRC+data+acquire",
     [(put(X, 1),), (ld(X, "a"), put(Y, 1, after="a")), (ld(Y, "b", acquire=True), ld(X, "c"))],
     {"a": 1, "b": 1, "c": 0}, NONE),
    ("ISA2",
     [(put(X, 1), put(Y, 1, release=True)), (ld(Y, "a"), put(Z, 1, after="a")),
      (ld(Z, "b", acquire=True), ld(X, "c"))],
     {"a": 1, "b": 1, "c": 0}, NONE),
    ("IRIW",
     [(put(X, 1),), (put(Y, 1),), (ld(X, "a"), ld(Y, "b")), (ld(Y, "c"), ld(X, "d"))],
     {"a": 1, "b": 0, "c": 1, "d": 0}, WEAK),
    ("IRIW+acquires",
     [(put(X, 1),), (put(Y, 1),), (ld(X, "a", acquire=True), ld(Y, "b")),
      (ld(Y, "c", acquire=True), ld(X, "d"))],
     {"a": 1, "b": 0, "c": 1, "d": 0}, NONE),
]  # fmt: skip


def where_it_happens(threads: list[Program], question: dict[str, int]) -> set[str]:
    return {
        model.name
        for model in Model
        if any(question.items() <= dict(end).items()
               for end in all_outcomes(litmus(*threads), model))
    }  # fmt: skip


@pytest.mark.parametrize(
    ("threads", "question", "where"), [case[1:] for case in LITMUS], ids=[c[0] for c in LITMUS]
)
def test_a_litmus_outcome_happens_exactly_where_the_literature_says(threads, question, where):
    assert where_it_happens(threads, question) == set(where.split())


def _hole(before: set[Step], after: set[Step], waits: bool):
    """The rules of the model, but for one kind of pair."""
    true_rule = weak_memory._waits

    def rule(model: Model, earlier: Op, later: Op, shadowed: bool) -> bool:
        if model is not Model.SC and earlier.step in before and later.step in after:
            return waits
        return true_rule(model, earlier, later, shadowed)

    return rule


ANY = set(Step)


@pytest.mark.parametrize(
    ("before", "after", "waits"),
    [
        ({Step.LOAD_ACQUIRE}, LOADS, False),
        (STORES, {Step.STORE_RELEASE}, False),
        (LOADS, {Step.STORE_RELEASE}, False),
        ({Step.FENCE_ACQUIRE}, LOADS, False),
        ({Step.FENCE_RELEASE}, STORES, False),
        ({Step.FENCE_FULL}, LOADS, False),
        ({Step.LOAD_RELAXED}, {Step.LOAD_RELAXED}, False),
        ({Step.STORE_RELAXED}, {Step.STORE_RELAXED}, False),
        ({Step.LOAD_RELAXED}, {Step.LOAD_RELAXED}, True),
        (STORES, LOADS, True),
        ({Step.FENCE_RELEASE}, ANY, True),
        (LOADS, {Step.STORE_RELAXED}, True),
    ],
)
def test_a_hole_in_the_model_and_a_rule_too_many_are_caught(monkeypatch, before, after, waits):
    monkeypatch.setattr(weak_memory, "_waits", _hole(before, after, waits))
    wrong = [
        name
        for name, threads, question, where in LITMUS
        if where_it_happens(threads, question) != set(where.split())
    ]
    assert wrong


# --- against the axioms, on random programs ---------------------------------------------------

KINDS = st.sampled_from(
    ["load", "load acquire", "store", "store release", "store data", "branch",
     Step.FENCE_ACQUIRE, Step.FENCE_RELEASE, Step.FENCE_FULL]
)  # fmt: skip
SKETCHES = st.lists(
    st.lists(st.tuples(KINDS, st.sampled_from([X, Y])), min_size=1, max_size=5),
    min_size=2,
    max_size=3,
)


def program_of(sketch: list, thread: int) -> Program:
    """Registers and stored values are numbered, so that each outcome names its sources."""
    items, last = [], ""
    for place, (kind, at) in enumerate(sketch):
        number = 10 * (thread + 1) + place
        if isinstance(kind, Step):
            items.append(fence(kind))
        elif kind.startswith("load"):
            last = f"r{number}"
            items.append(ld(at, last, acquire=kind.endswith("acquire")))
        elif kind == "branch":
            items += [decided_by(last)] if last else []
        else:
            dependence = last if kind.endswith("data") else ""
            items.append(put(at, number, release=kind.endswith("release"), after=dependence))
    return tuple(items)


def small_enough(sketches: list) -> bool:
    kinds = [kind for sketch in sketches for kind, _ in sketch if isinstance(kind, str)]
    stores = sum(kind.startswith("store") for kind in kinds)
    return stores <= 5 and len(kinds) - stores <= 5


@pytest.mark.parametrize("model", Model, ids=lambda model: model.name)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(sketches=SKETCHES.filter(small_enough))
def test_random_programs_end_as_the_axioms_allow(model, sketches):
    threads = [program_of(sketch, number) for number, sketch in enumerate(sketches)]
    scenario = litmus(*threads)
    assert all_outcomes(scenario, model) == axioms.outcomes(threads, model)


# --- the explorer's shortcut, and how the models include each other ---------------------------


@pytest.mark.parametrize("model", [Model.TSO, Model.LAX], ids=lambda model: model.name)
@pytest.mark.parametrize("case", LITMUS, ids=[case[0] for case in LITMUS])
def test_doing_unseen_steps_early_loses_no_outcome(case, model):
    scenario = litmus(*case[1])
    assert all_outcomes(scenario, model) == all_outcomes(scenario, model, eager=False)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_model_allows_what_the_stronger_one_allows(scenario):
    found = [all_outcomes(scenario, model) for model in Model]
    for stronger, weaker in pairwise(found):
        assert stronger <= weaker


def test_a_sleeper_that_nobody_wakes_is_seen():
    wait = Op(Step.FUTEX_WAIT, X, value=0)
    wake = Op(Step.FUTEX_WAKE, X)
    ends = []

    def keep(outcome: Outcome) -> str:
        ends.append(outcome.asleep)
        return ""

    threads = {"sleeper": (wait, put(Y, 1)), "waker": (wake,)}
    explore(Scenario("", {}, threads, keep, lambda _o: True), Model.ARM)
    assert sorted(ends) == [False, True]  # woken in time, or woken before it slept


def test_the_model_does_not_sleep_on_a_word_that_has_changed():
    threads = {"sleeper": (Op(Step.FUTEX_WAIT, X, value=0),)}
    verdict = explore(
        Scenario("", {X: 1}, threads, lambda o: "asleep" * o.asleep, lambda _o: True), Model.ARM
    )
    assert not verdict.wrong
    assert verdict.outcomes == 1
