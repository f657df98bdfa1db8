"""The operations of shm/atomics.h as lists of steps, one Python function for each C function.

tests/proof/test_ordering.py runs the header and these lists side by side and demands the same
steps, locations and values; and that each barrier call in the header's text is named here, as
the `site` of a step. So a change in the header without one here fails.

An address that depends on a loaded value is written as a branch on that value. The header computes
it, and a processor would then keep the order; but a compiler may make a branch of it, and that
orders no loads.
"""

from collections.abc import Callable

from tests.proof.steps import STOP, Branch, Calc, Op, Program, Step, calc

Words = tuple[int, ...]


def acquire(site: str, at: str, to: str) -> Op:
    return Op(Step.LOAD_ACQUIRE, at, to, site=site)


def load(at: str, to: str) -> Op:
    return Op(Step.LOAD_RELAXED, at, to)


def release(site: str, at: str, value: int | Calc) -> Op:
    return Op(Step.STORE_RELEASE, at, value=value, site=site)


def store(at: str, value: int | Calc) -> Op:
    return Op(Step.STORE_RELAXED, at, value=value)


def unless(register: str, wanted: int, otherwise: Program = (STOP,)) -> Branch:
    """Go on if the register holds what is wanted."""
    return Branch(calc(lambda value: value == wanted, register), (), otherwise)


def copy_in(place: str, words: Words) -> Program:
    return tuple(store(f"{place}.{i}", word) for i, word in enumerate(words, 1))


def copy_out(place: str, count: int, name: str) -> Program:
    return tuple(load(f"{place}.{i}", f"{name}.{i}") for i in range(1, count + 1))


def add(at: str, amount: int, name: str) -> Program:
    """pt_add."""
    return (load(at, name), store(at, calc(lambda value: value + amount, name)))


# --- fence of a role, roles -------------------------------------------------------------------


def fenced(epoch: int, name: str) -> Program:
    """pt_fenced, with its caller's return."""
    site = "pt_fenced: pt_load(fence->epoch_word)"
    return (acquire(site, "epoch", name), unless(name, epoch))


ROLE_STORES = ("start_ticks", "pid", "started_ns", "adopted_generation", "state", "heartbeat_ns")


def role_take(holder: dict[str, int], name: str) -> Program:
    """pt_role_take; `holder` has a value for each of ROLE_STORES."""
    raised = calc(lambda value: value + 1, name)
    text = {"started_ns": "now_ns", "adopted_generation": "0", "heartbeat_ns": "now_ns"}
    return (
        acquire("pt_role_take: pt_load(&row->epoch)", "epoch", name),
        release("pt_role_take: pt_store(&row->epoch, epoch)", "epoch", raised),
        *(
            release(f"pt_role_take: pt_store(&row->{at}, {text.get(at, at)})", at, holder[at])
            for at in ROLE_STORES
        ),
    )


# --- ring -------------------------------------------------------------------------------------


def slot(position: int, capacity: int) -> str:
    return f"slot{position % capacity}"


def open_producer(
    position: int, capacity: int, name: str, then: Callable[[int, str], Program]
) -> Program:
    """pt_ring_open_producer; `then` gets the position and the register of the read cache.

    The hint is at `position` or at most a whole ring beyond it.
    """
    hint = f"{name}.write"
    program: Program = (STOP,)
    for start in reversed(range(position, position + capacity + 1)):
        rolled = _roll(start, capacity, f"{name}.{start}", then)
        program = (Branch(calc(lambda write, start=start: write == start, hint), rolled, program),)
    return (acquire("pt_ring_open_producer: pt_load(ring->write)", "write", hint), *program)


def _roll(
    position: int, capacity: int, name: str, then: Callable[[int, str], Program], rolled: int = 0
) -> Program:
    if rolled > capacity:
        return (STOP,)  # more than a ring's worth cannot lie ahead
    commit = f"{name}.commit{position}"
    return (
        acquire(
            "pt_ring_open_producer: pt_load(pt_ring_slot(ring, position))",
            f"{slot(position, capacity)}.commit",
            commit,
        ),
        Branch(
            calc(lambda value: value == position + 1, commit),
            _roll(position + 1, capacity, name, then, rolled + 1),
            (
                release(
                    "pt_ring_open_producer: pt_store(ring->write, position)", "write", position
                ),
                acquire("pt_ring_open_producer: pt_load(ring->read)", "read", f"{name}.read"),
                *then(position, f"{name}.read"),
            ),
        ),
    )


def open_consumer(name: str) -> Program:
    """pt_ring_open_consumer."""
    return (
        acquire("pt_ring_open_consumer: pt_load(ring->read)", "read", f"{name}.read"),
        release("pt_ring_open_consumer: pt_store(ring->waiter, 0)", "waiter", 0),
    )


def push(
    position: int,
    words: Words,
    *,
    capacity: int,
    name: str,
    read_cache: int | str,
    epoch: int = 1,
) -> Program:
    """pt_ring_push; `read_cache` is what the producer knows, or the register that it is in.

    Registers: `name.read`, `name.first` and `name.second` (the two looks at the epoch).
    """
    full = lambda read: position - read > capacity - 1  # noqa: E731  # its text is the header's
    look_again: Program = (
        acquire("pt_ring_push: pt_load(ring->read)", "read", f"{name}.read"),
        Branch(calc(full, f"{name}.read"), (*add("overflow", 1, f"{name}.overflow"), STOP)),
    )
    if isinstance(read_cache, str):
        room: Program = (Branch(calc(full, read_cache), look_again),)
    else:
        room = look_again if full(read_cache) else ()
    here = slot(position, capacity)
    return (
        *room,
        *fenced(epoch, f"{name}.first"),
        Op(Step.FENCE_RELEASE, site="pt_ring_push: pt_fence_release()"),
        *copy_in(here, words),
        *fenced(epoch, f"{name}.second"),
        release("pt_ring_push: pt_store(slot, position + 1)", f"{here}.commit", position + 1),
        store("write", position + 1),
    )


def wake(name: str) -> Program:
    """pt_ring_wake."""
    count = f"{name}.wake"
    more = calc(lambda value: value + 1, count)
    return (
        Op(Step.FENCE_FULL, site="pt_ring_wake: pt_fence_full()"),
        load("waiter", f"{name}.waiter"),
        Branch(
            calc(lambda waiter: waiter != 0, f"{name}.waiter"),
            (
                load("wake", count),
                release(
                    "pt_ring_wake: pt_store(ring->wake, pt_load_relaxed(ring->wake) + 1)",
                    "wake",
                    more,
                ),
                Op(Step.FUTEX_WAKE, "wake", value=1),
            ),
        ),
    )


def ready(position: int, capacity: int, name: str) -> tuple[Op, Calc]:
    """pt_ring_ready: its load, and its answer."""
    site = "pt_ring_ready: pt_load(pt_ring_slot(ring, ring->position))"
    commit = f"{name}.commit"
    look = acquire(site, f"{slot(position, capacity)}.commit", commit)
    return look, calc(lambda value: value == position + 1, commit)


def pop(position: int, *, capacity: int, name: str, words: int = 2) -> Program:
    """pt_ring_pop; registers `name.commit`, `name.1`, `name.2`."""
    look, there = ready(position, capacity, name)
    return (
        look,
        Branch(there, (), (STOP,)),
        *copy_out(slot(position, capacity), words, name),
        release("pt_ring_pop: pt_store(ring->read, ring->position)", "read", position + 1),
    )


def pop_many(position: int, most: int, *, capacity: int, name: str, words: int = 2) -> Program:
    """pt_ring_pop_many; registers as of `pop`, of `name.0` and so on."""
    return _pop_more(position, position, most, (capacity, name, words))


def _pop_more(first: int, position: int, most: int, shape: tuple[int, str, int]) -> Program:
    capacity, name, words = shape
    give_back: Program = ()
    if position > first:
        site = "pt_ring_pop_many: pt_store(ring->read, ring->position)"
        give_back = (release(site, "read", position),)
    if position - first == most:
        return give_back
    this = f"{name}.{position - first}"
    look, there = ready(position, capacity, this)
    taken = copy_out(slot(position, capacity), words, this)
    return (look, Branch(there, (*taken, *_pop_more(first, position + 1, most, shape)), give_back))


def wait(position: int, *, capacity: int, name: str, spins: int = 0) -> Program:
    """pt_ring_wait with a timeout that never passes; registers `name.spin0`, `.last`, `.after`."""
    last, there_at_last = ready(position, capacity, f"{name}.last")
    after, _ = ready(position, capacity, f"{name}.after")
    program: Program = (
        acquire("pt_ring_wait: pt_load(ring->wake)", "wake", f"{name}.expected"),
        release("pt_ring_wait: pt_store(ring->waiter, 1)", "waiter", 1),
        Op(Step.FENCE_FULL, site="pt_ring_wait: pt_fence_full()"),
        last,
        Branch(
            there_at_last,
            (),
            (Op(Step.FUTEX_WAIT, "wake", value=calc(lambda value: value, f"{name}.expected")),),
        ),
        release("pt_ring_wait: pt_store(ring->waiter, 0)", "waiter", 0),
        after,
    )
    for spin in reversed(range(spins + 1)):
        look, there = ready(position, capacity, f"{name}.spin{spin}")
        program = (look, Branch(there, (), program))
    return program


def peek(position: int, *, capacity: int, name: str, words: int = 2) -> Program:
    """pt_ring_peek; `name.write` is there only if the commit word was right."""
    here = slot(position, capacity)
    site = "pt_ring_peek: pt_load(slot)"
    return (
        acquire(site, f"{here}.commit", f"{name}.commit"),
        unless(f"{name}.commit", position + 1),
        *copy_out(here, words, name),
        Op(Step.FENCE_ACQUIRE, site="pt_ring_peek: pt_fence_acquire()"),
        load("write", f"{name}.write"),
    )


# --- latch ------------------------------------------------------------------------------------


def latch_write(words: Words, *, name: str, epoch: int = 1) -> Program:
    """pt_latch_write; registers `name.first`, `name.sequence`, `name.second`."""
    sequence = f"{name}.sequence"
    odd = calc(lambda value: value & 1, sequence)
    return (
        *fenced(epoch, f"{name}.first"),
        load("sequence", sequence),
        Op(Step.FENCE_RELEASE, site="pt_latch_write: pt_fence_release()"),
        Branch(odd, copy_in("copy0", words), copy_in("copy1", words)),
        *fenced(epoch, f"{name}.second"),
        release(
            "pt_latch_write: pt_store(row, sequence + 1)",
            "sequence",
            calc(lambda value: value + 1, sequence),
        ),
    )


def latch_read(*, name: str, words: int = 2, tries: int = 1) -> Program:
    """pt_latch_read; each try fills `name.N.sequence`, `.1`, `.2`, `.again`."""
    this = f"{name}.{tries}"
    odd = calc(lambda value: value & 1, f"{this}.sequence")
    again = latch_read(name=name, words=words, tries=tries - 1) if tries > 1 else (STOP,)
    same = calc(lambda one, two: one == two, f"{this}.sequence", f"{this}.again")
    return (
        acquire("pt_latch_read: pt_load(row)", "sequence", f"{this}.sequence"),
        Branch(odd, copy_out("copy1", words, this), copy_out("copy0", words, this)),
        Op(Step.FENCE_ACQUIRE, site="pt_latch_read: pt_fence_acquire()"),
        load("sequence", f"{this}.again"),
        Branch(same, (), again),
    )


# --- dirty bits -------------------------------------------------------------------------------


def dirty_mark(bit: int, *, name: str, epoch: int = 1) -> Program:
    """pt_dirty_mark; registers `name.first`, `name.mine`, `name.seen`."""
    mine, seen = f"{name}.mine", f"{name}.seen"
    return (
        *fenced(epoch, f"{name}.first"),
        Op(Step.FENCE_FULL, site="pt_dirty_mark: pt_fence_full()"),
        load("marks", mine),
        load("seen", seen),
        Branch(
            calc(lambda one, two: (one ^ two) & bit, mine, seen),
            (),
            (
                release(
                    "pt_dirty_mark: pt_store(word, mine ^ bit)",
                    "marks",
                    calc(lambda value: value ^ bit, mine),
                ),
            ),
        ),
    )


def dirty_take(*, name: str) -> Program:
    """pt_dirty_take; registers `name.now`, `name.seen`. Ends the thread if nothing is dirty."""
    now, seen = f"{name}.now", f"{name}.seen"
    return (
        acquire("pt_dirty_take: pt_load(&marks[word])", "marks", now),
        load("seen", seen),
        Branch(calc(lambda one, two: one == two, now, seen), (STOP,)),
        release("pt_dirty_take: pt_store(&seen[word], now)", "seen", calc(lambda v: v, now)),
        Op(Step.FENCE_FULL, site="pt_dirty_take: pt_fence_full()"),
    )
