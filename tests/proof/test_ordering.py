"""Every promise of the shared-memory operations holds in each memory model, and needs its barriers.

Each barrier of shm/atomics.h (test_header.py knows them all) is in one of three tables: without it
alone a scenario fails; it fails only together with another that covers for it; or nothing needs it
and the table says why it may stay. Tests hold all three to what they say.
"""

from itertools import combinations

import pytest

from tests.proof.compiling import HEADERS
from tests.proof.deck import SCENARIOS
from tests.proof.programs import latch_read, peek
from tests.proof.scenarios import (
    DIRTY_AGAIN,
    DIRTY_FIRST,
    DIRTY_SLEEP,
    LATCH,
    RING_BATCH,
    RING_PEEK_COMING,
    RING_PEEK_GOING,
    RING_PUBLISH,
    RING_REUSE,
    RING_SLEEP,
)
from tests.proof.steps import Op, Program, Step, rewritten
from tests.proof.successions import (
    OPEN_REUSE,
    ROLE_ROW,
    SECOND_LOOK,
    STALE_LATCH,
    STALE_MARK,
    STALE_PUSH,
    consumer_killed,
    producer_killed,
)
from tests.proof.test_header import barrier_sites
from tests.proof.weak_memory import Model, Scenario, explore

pytestmark = pytest.mark.proof

models = pytest.mark.parametrize("model", Model, ids=lambda model: model.name)


def fails_under(scenario: Scenario) -> str:
    """The models, from strong to weak, under which something goes wrong."""
    return " ".join(model.name for model in Model if explore(scenario, model).wrong)


@models
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_promise_holds(scenario, model):
    verdict = explore(scenario, model)
    assert not verdict.wrong, "\n".join([verdict.wrong, *verdict.trail])
    assert verdict.reached, "what the scenario is about never happens"


# --- one barrier alone ------------------------------------------------------------------------

WEAK, TSO = "ARM LAX", "TSO ARM LAX"

PUBLISH = "pt_ring_push: pt_store(slot, position + 1)"
READY = "pt_ring_ready: pt_load(pt_ring_slot(ring, ring->position))"
PEEK_FENCE = "pt_ring_push: pt_fence_release()"
LATCH_FENCE = "pt_latch_write: pt_fence_release()"
LATCH_PUBLISH = "pt_latch_write: pt_store(row, sequence + 1)"
LATCH_CHECK = "pt_latch_read: pt_fence_acquire()"
MARK_FENCE = "pt_dirty_mark: pt_fence_full()"
MARK = "pt_dirty_mark: pt_store(word, mine ^ bit)"
TAKE_FENCE = "pt_dirty_take: pt_fence_full()"
TAKE = "pt_dirty_take: pt_load(&marks[word])"
ROOM = "pt_ring_push: pt_load(ring->read)"
OPENED_ROOM = "pt_ring_open_producer: pt_load(ring->read)"

NEEDED = [
    (PUBLISH, RING_PUBLISH, WEAK),
    (PUBLISH, RING_PEEK_COMING, WEAK),
    (READY, RING_PUBLISH, WEAK),
    ("pt_ring_pop: pt_store(ring->read, ring->position)", RING_REUSE, WEAK),
    ("pt_ring_pop: pt_store(ring->read, ring->position)", OPEN_REUSE, WEAK),
    ("pt_ring_pop_many: pt_store(ring->read, ring->position)", RING_BATCH, WEAK),
    (PEEK_FENCE, RING_PEEK_GOING, WEAK),
    ("pt_ring_peek: pt_fence_acquire()", RING_PEEK_GOING, WEAK),
    ("pt_ring_peek: pt_load(slot)", RING_PEEK_COMING, WEAK),
    ("pt_ring_wake: pt_fence_full()", RING_SLEEP, TSO),
    ("pt_ring_wait: pt_fence_full()", RING_SLEEP, TSO),
    (LATCH_FENCE, LATCH, WEAK),
    (LATCH_PUBLISH, LATCH, WEAK),
    ("pt_latch_read: pt_load(row)", LATCH, WEAK),
    (LATCH_CHECK, LATCH, WEAK),
    (MARK_FENCE, DIRTY_AGAIN, TSO),
    (TAKE_FENCE, DIRTY_AGAIN, TSO),
    ("pt_role_take: pt_store(&row->pid, pid)", ROLE_ROW, WEAK),
    ("pt_role_take: pt_store(&row->state, state)", ROLE_ROW, WEAK),
    ("pt_role_take: pt_store(&row->heartbeat_ns, now_ns)", ROLE_ROW, WEAK),
    # Not ours, and no less needed: what an onlooker and the kernel's lock do.
    ("(observer)", STALE_LATCH, WEAK),
    ("(observer)", STALE_PUSH, WEAK),
    ("(observer)", STALE_MARK, WEAK),
    ("(observer)", ROLE_ROW, WEAK),
    ("(kernel)", producer_killed(6), WEAK),
    ("(kernel)", consumer_killed(4), WEAK),
]


@pytest.mark.parametrize(
    ("site", "scenario", "where"), NEEDED, ids=[f"{site} | {s.name}" for site, s, _ in NEEDED]
)
def test_without_this_barrier_a_promise_is_broken(site, scenario, where):
    assert site in scenario.sites()
    assert fails_under(scenario.without(site)) == where


# --- barriers that cover for each other -------------------------------------------------------

TOGETHER = [
    # The mark's store follows a full fence, which orders the book before it as well.
    ({MARK, MARK_FENCE}, DIRTY_FIRST, WEAK),
    # The taker's reads of the book come after its look at the marks by any of these.
    ({TAKE, TAKE_FENCE, LATCH_CHECK}, DIRTY_FIRST, WEAK),
    # Room was found before the payload is written: by the acquire, by the fence, and, on
    # processors, by the branch between them. C gives a branch no such power.
    ({ROOM, PEEK_FENCE}, RING_REUSE, "LAX"),
    ({ROOM, PEEK_FENCE}, RING_BATCH, "LAX"),
    ({OPENED_ROOM, PEEK_FENCE}, OPEN_REUSE, "LAX"),
    # The epoch is raised before anything of the successor is seen: by its fence or its release.
    ({LATCH_FENCE, LATCH_PUBLISH}, STALE_LATCH, WEAK),
    ({LATCH_FENCE, LATCH_PUBLISH}, STALE_MARK, WEAK),
    ({PEEK_FENCE, PUBLISH}, STALE_PUSH, WEAK),
]


@pytest.mark.parametrize(("group", "scenario", "where"), TOGETHER)
def test_one_of_these_barriers_is_needed_and_any_will_do(group, scenario, where):
    assert fails_under(scenario.without(*group)) == where
    for fewer in combinations(sorted(group), len(group) - 1):
        assert not fails_under(scenario.without(*fewer)), fewer


# --- barriers that nothing needs --------------------------------------------------------------

_OWN = "what it loads was stored by an earlier holder of the role, before the kernel freed its lock"
_TAKING = "every later word of the row is a release that orders this one too, and "
SPARE = {
    "pt_fenced: pt_load(fence->epoch_word)": (
        "a look that happens late only refuses more; a branch, a fence and the publishing release "
        "keep stores behind it; nothing that is loaded later is about the epoch"
    ),
    "pt_role_take: pt_load(&row->epoch)": _OWN,
    "pt_role_take: pt_store(&row->epoch, epoch)": "nothing is stored before it",
    "pt_role_take: pt_store(&row->start_ticks, start_ticks)": (
        _TAKING + "the epoch, the only word before it, is loaded first by onlookers"
    ),
    "pt_role_take: pt_store(&row->started_ns, now_ns)": (
        _TAKING + "onlookers load it after the words that were stored before it"
    ),
    "pt_role_take: pt_store(&row->adopted_generation, 0)": (
        _TAKING + "onlookers load it last, when everything stored before it has been loaded"
    ),
    "pt_ring_open_producer: pt_load(ring->write)": _OWN,
    "pt_ring_open_producer: pt_load(pt_ring_slot(ring, position))": _OWN,
    "pt_ring_open_producer: pt_store(ring->write, position)": (
        "onlookers believe the hint only as far as they see the release fence of the next push"
    ),
    "pt_ring_open_consumer: pt_load(ring->read)": _OWN,
    "pt_ring_open_consumer: pt_store(ring->waiter, 0)": (
        "late, it costs the producer a needless wake-up; it cannot pass our own next store there"
    ),
    "pt_ring_wait: pt_load(ring->wake)": (
        "it cannot pass the full fence, and a count loaded just before that is as good: the last "
        "look, after the fence, sees the message of every wake-up that was counted"
    ),
    "pt_ring_wait: pt_store(ring->waiter, 1)": "the full fence after it is what matters",
    "pt_ring_wait: pt_store(ring->waiter, 0)": (
        "as in open_consumer; and the acquire load or the system call before it holds it back"
    ),
    "pt_ring_wake: pt_store(ring->wake, pt_load_relaxed(ring->wake) + 1)": (
        "the full fence before it and the system call after it order more than a release does"
    ),
    "pt_dirty_take: pt_store(&seen[word], now)": (
        "its value comes from the load before it, and the full fence after it is what matters"
    ),
}
"""Site -> why. They stay: on x86 they cost nothing, on ARM next to nothing where they stand, and
"shared words are loaded with acquire and stored with release" is a rule that one can check."""


def test_every_barrier_of_the_header_is_in_one_of_the_tables():
    needed = {site for site, _, _ in NEEDED if not site.startswith("(")}
    covered = set[str]().union(*(group for group, _, _ in TOGETHER)) - needed
    assert not (needed | covered) & set(SPARE)
    assert needed | covered | set(SPARE) == set(barrier_sites(HEADERS))


def test_every_spare_barrier_takes_part_in_a_scenario():
    assert set(SPARE) <= set[str]().union(*(scenario.sites() for scenario in SCENARIOS))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_promise_holds_without_all_of_the_spare_barriers(scenario):
    verdict = explore(scenario.without(*SPARE), Model.LAX)  # it allows whatever the others allow
    assert not verdict.wrong, "\n".join([verdict.wrong, *verdict.trail])


# --- what would not do instead ----------------------------------------------------------------


def replaced(scenario: Scenario, site: str, *steps: Op) -> Scenario:
    def change(op: Op) -> Program:
        return steps if op.site == site else (op,)

    threads = {name: rewritten(program, change) for name, program in scenario.threads.items()}
    return Scenario(scenario.name, scenario.memory, threads, scenario.wrong, scenario.reached)


@pytest.mark.parametrize(
    ("site", "scenario"), [row[:2] for row in NEEDED if row[0].endswith("pt_fence_full()")]
)
def test_release_and_acquire_do_not_make_a_full_fence(site, scenario):
    both = (Op(Step.FENCE_RELEASE, site="test"), Op(Step.FENCE_ACQUIRE, site="test"))
    assert fails_under(replaced(scenario, site, *both)) == TSO


def _checked_by_an_acquire_load(program: Program, site: str, register: str) -> Program:
    def change(op: Op) -> Program:
        if op.site == site:
            return ()
        return (Op(Step.LOAD_ACQUIRE, op.at, op.to, site="test"),) if op.to == register else (op,)

    return rewritten(program, change)


def test_an_acquire_load_in_place_of_the_fence_does_not_guard_what_was_read_before_it():
    read = _checked_by_an_acquire_load(latch_read(name="read"), LATCH_CHECK, "read.1.again")
    threads = {**LATCH.threads, "reader": read}
    latch = Scenario("", LATCH.memory, threads, LATCH.wrong, LATCH.reached)
    look = _checked_by_an_acquire_load(
        peek(0, capacity=2, name="peek"), "pt_ring_peek: pt_fence_acquire()", "peek.write"
    )
    going = RING_PEEK_GOING
    ring = Scenario("", going.memory, {**going.threads, "onlooker": look}, going.wrong,
                    going.reached)  # fmt: skip
    assert fails_under(latch) == fails_under(ring) == WEAK


def test_the_second_look_at_the_epoch_narrows_the_window_and_does_not_close_it():
    """Processors may take the second look before the stores that precede it have left.

    So a writer that lost its lock without dying can finish the publication that it was in. What
    keeps two writers apart is the lock; the epoch stops the next publication for certain.
    """
    assert fails_under(SECOND_LOOK) == TSO


def test_a_mark_set_while_its_taker_falls_asleep_waits_for_the_time_out():
    """The last look before the sleep is at the ring alone, whatever the order of memory.

    It takes a taker that empties the ring between the marker's finding it full and its mark, and
    costs the length of one sleep; the next update wakes it, too.
    """
    assert fails_under(DIRTY_SLEEP) == "SC TSO ARM LAX"
