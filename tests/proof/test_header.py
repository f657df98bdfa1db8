"""The lists that are proven are the header's: same steps, locations and values, same barrier calls.

Four bonds, so that nobody can change shm/atomics.h without the proof noticing: each operation is
run with a hook on its accesses and compared; every barrier in the header's text is named in the
lists; every function of the header is run; and the primitives do what their hook says.
"""

import re
import subprocess
from pathlib import Path

import pytest

from shm.layout import RoleRow
from tests.proof.compiling import HEADERS, HERE, compiled
from tests.proof.programs import (
    add,
    dirty_mark,
    dirty_take,
    latch_read,
    latch_write,
    load,
    open_consumer,
    open_producer,
    peek,
    pop,
    pop_many,
    push,
    role_take,
    store,
    wait,
    wake,
)
from tests.proof.steps import Branch, Program, calc, run, sites
from tests.proof.successions import ROW_ORDER

pytestmark = pytest.mark.proof

ONE, TWO = (31, 32), (41, 42)
HOLDER = {
    "start_ticks": 102,
    "pid": 101,
    "started_ns": 103,
    "adopted_generation": 0,
    "state": 104,
    "heartbeat_ns": 103,
}
FIRST_PUSH = push(0, ONE, capacity=2, name="a", read_cache=0)
LATER_PUSH = push(2, ONE, capacity=2, name="a", read_cache=0)
OPEN = open_producer(0, 2, "a", lambda _position, _read: ())
MORE = calc(lambda most: most < 5, "most")
MARK = dirty_mark(4, name="a")

CASES: dict[str, Program] = {
    "push": FIRST_PUSH,
    "push onto a slot given back": LATER_PUSH,
    "push, full": LATER_PUSH,
    "push, refused": FIRST_PUSH,
    "push, refused midway": FIRST_PUSH,
    "push_many": (*FIRST_PUSH, *push(1, TWO, capacity=2, name="b", read_cache=0)),
    "open_producer": OPEN,
    "open_producer, rolling forward": OPEN,
    "open_consumer": open_consumer("a"),
    "wake, nobody sleeps": wake("a"),
    "wake": wake("a"),
    "pop": pop(0, capacity=2, name="a"),
    "pop, nothing": pop(0, capacity=2, name="a"),
    "pop_many": pop_many(0, 2, capacity=2, name="a"),
    "pop_many, fewer": pop_many(1, 3, capacity=2, name="a"),
    "pop_many, nothing": pop_many(0, 3, capacity=2, name="a"),
    "wait, ready": wait(0, capacity=2, name="a"),
    "wait, ready while spinning": wait(0, capacity=2, name="a", spins=1),
    "wait, ready at the last look": wait(0, capacity=2, name="a"),
    "wait, sleeping": wait(0, capacity=2, name="a"),
    "peek": peek(0, capacity=2, name="a"),
    "peek, gone": peek(2, capacity=2, name="a"),
    "latch_write, even": latch_write(ONE, name="a"),
    "latch_write, odd": latch_write(ONE, name="a"),
    "latch_write, refused": latch_write(ONE, name="a"),
    "latch_write, refused midway": latch_write(ONE, name="a"),
    "latch_read, even": latch_read(name="a"),
    "latch_read, odd": latch_read(name="a"),
    "latch_read, again": latch_read(name="a", tries=2),
    "dirty_mark": MARK,
    "dirty_mark, back": MARK,
    "dirty_mark, dirty already": MARK,
    "dirty_mark, refused": MARK,
    "dirty_take": dirty_take(name="a"),
    "dirty_take, nothing": dirty_take(name="a"),
    "role_take": role_take(HOLDER, "a"),
    "histogram_add": (
        *add("bucket", 1, "count"),
        load("max_ns", "most"),
        Branch(MORE, (store("max_ns", 5),)),
    ),
}

PRIMITIVES = {
    "pt_load": ("PT_LOAD_ACQUIRE", "__atomic_load_n", "__ATOMIC_ACQUIRE"),
    "pt_load_relaxed": ("PT_LOAD_RELAXED", "__atomic_load_n", "__ATOMIC_RELAXED"),
    "pt_store": ("PT_STORE_RELEASE", "__atomic_store_n", "__ATOMIC_RELEASE"),
    "pt_store_relaxed": ("PT_STORE_RELAXED", "__atomic_store_n", "__ATOMIC_RELAXED"),
    "pt_fence_acquire": ("PT_FENCE_ACQUIRE", "__atomic_thread_fence", "__ATOMIC_ACQUIRE"),
    "pt_fence_release": ("PT_FENCE_RELEASE", "__atomic_thread_fence", "__ATOMIC_RELEASE"),
    "pt_fence_full": ("PT_FENCE_FULL", "__atomic_thread_fence", "__ATOMIC_SEQ_CST"),
}
"""Function -> what it tells the hook, what it does, in which order."""

_FUNCTION = re.compile(
    r"^static inline [^;{]*?\b(pt_\w+)\([^{;]*\{(.*?)^\}", re.DOTALL | re.MULTILINE
)
_BARRIER_CALL = re.compile(r"\bpt_(?:load|store|fence_acquire|fence_release|fence_full)\(")


def functions(header: Path) -> dict[str, str]:
    """Name -> body, without comments, of each function of the header."""
    text = re.sub(r"(?s)/\*.*?\*/", "", (header / "atomics.h").read_text())
    found = {name: " ".join(body.split()) for name, body in _FUNCTION.findall(text)}
    assert len(found) == text.count("static inline"), "a function is written in another style"
    return found


def barrier_sites(header: Path) -> list[str]:
    """Each barrier call in the header's text, as `function: call`."""
    found = []
    for name, body in functions(header).items():
        for match in _BARRIER_CALL.finditer(body):
            end, depth = match.end(), 1
            while depth:
                depth += {"(": 1, ")": -1}.get(body[end], 0)
                end += 1
            found.append(f"{name}: {body[match.start() : end]}")
    return found


# --- what can be wrong ------------------------------------------------------------------------


def trace_of(program: Path, *case: str) -> str:
    """Without a case: the names of all."""
    done = subprocess.run([program, *case], capture_output=True, text=True, timeout=10)
    return done.stdout if done.returncode == 0 else f"exit {done.returncode}: {done.stderr}"


def expected_trace(case: str, traced: str) -> tuple[str, set[str]]:
    """The trace as the list would have it, and the barriers that it passed.

    What lies in memory before, and what others change, is taken from the real trace.
    """
    memory, changes, before, lines = dict[str, int](), dict[int, tuple[str, int]](), 0, []
    for line in traced.splitlines():
        what, *words = line.split()
        if what == "memory":
            memory[words[0]] = int(words[1])
            lines.append(line)
        elif what == "change":
            changes[before] = (words[0], int(words[1]))
        before += what == "step"
    steps, after = run(CASES[case], memory, changes)
    for number, (op, value) in enumerate(steps, 1):
        lines.append(f"step {op.step.name} {op.at or '-'} {value}")
        if number in changes:
            lines.append("change {} {}".format(*changes[number]))
    lines += [f"end {at} {value}" for at, value in sorted(after.items()) if value != 0]
    return "\n".join(lines), {op.site for op, _ in steps} - {""}


def trace_trouble(program: Path) -> list[str]:
    """Where the header and the lists do different things."""
    names = trace_of(program).splitlines()
    trouble = [f"only one side has the case {name!r}" for name in set(names) ^ set(CASES)]
    passed: set[str] = set()
    for case in CASES:
        traced = trace_of(program, case)
        wanted, barriers = expected_trace(case, traced)
        passed |= barriers
        start = [line for line in traced.splitlines() if not line.startswith("end ")]
        end = sorted(line for line in traced.splitlines() if line.startswith("end "))
        if "\n".join(start + end) != wanted:
            trouble.append(f"{case}: the header does\n{traced}\nthe list has\n{wanted}")
    every = set[str]().union(*(sites(program) for program in CASES.values()))
    return trouble + [f"no case passes {site}" for site in every - passed]


def text_trouble(header: Path) -> list[str]:
    """What the header's text has and the lists do not, or the other way round."""
    bodies = functions(header)
    trouble = []
    for name, (hook, builtin, order) in PRIMITIVES.items():
        body = bodies.pop(name, "")
        if [re.findall(r"\bPT_[A-Z]+_[A-Z]+\b", body), re.findall(r"\b__atomic_\w+", body),
            re.findall(r"\b__ATOMIC_\w+", body)] != [[hook], [builtin], [order]]:  # fmt: skip
            trouble.append(f"{name} is not what its hook says: {body}")
    for name, body in bodies.items():
        if re.search(r"__atomic_|__sync_|\bvolatile (?!\()|stdatomic", body):
            trouble.append(f"{name} goes past the primitives: {body}")
    driver = (HERE / "trace.c").read_text() + " ".join(bodies.values())
    trouble += [f"{name} is never run" for name in bodies if not re.search(rf"\b{name}\(", driver)]
    named = set[str]().union(*(sites(program) for program in CASES.values()))
    written = barrier_sites(header)
    trouble += [f"twice in one function: {site}" for site in written if written.count(site) > 1]
    return trouble + [f"only one side has the barrier {site}" for site in named ^ set(written)]


# --- the tests --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def traces(tmp_path_factory) -> Path:
    return compiled(tmp_path_factory.mktemp("trace"), "trace.c")


@pytest.mark.parametrize("case", CASES)
def test_the_header_takes_the_steps_of_the_list(traces, case):
    traced = trace_of(traces, case)
    steps = [line for line in traced.splitlines() if not line.startswith("end ")]
    wanted = [line for line in expected_trace(case, traced)[0].splitlines()
              if not line.startswith("end ")]  # fmt: skip
    assert steps == wanted


def test_the_header_and_the_lists_agree_in_everything(traces):
    assert trace_trouble(traces) == []
    assert text_trouble(HEADERS) == []


def test_an_onlooker_loads_a_role_row_in_the_order_that_is_proven():
    # The last word belongs to no order: a holder clears it after it took the role.
    assert RoleRow._fields == (*ROW_ORDER, "adopted_settings")


PLANTED = {
    "a fence dropped": ("    pt_fence_release(); /* SYNC ring-peek", "    /*"),
    "a full fence weakened": (
        "pt_fence_full(); /* SYNC ring-sleep",
        "pt_fence_release(); /* SYNC ring-sleep",
    ),
    "a store relaxed": ("pt_store(slot, position + 1)", "pt_store_relaxed(slot, position + 1)"),
    "a load relaxed": ("sequence = pt_load(row)", "sequence = pt_load_relaxed(row)"),
    "two stores swapped": (
        "pt_store(&row->start_ticks, start_ticks);\n    pt_store(&row->pid, pid);",
        "pt_store(&row->pid, pid);\n    pt_store(&row->start_ticks, start_ticks);",
    ),
    "an access too many": (
        "ring->position = position + 1;\n",
        "ring->position = position + 1;\n    pt_store(ring->waiter, 0);\n",
    ),
    "a store past the hook": (
        "ring->position++;\n    pt_store(ring->read, ring->position);",
        "ring->position++;\n    *ring->read = ring->position;",
    ),
    "a hidden store beside the hook": (
        "ring->position++;\n    pt_store(ring->read, ring->position);",
        "ring->position++;\n    ring->read[1] = 7;\n    pt_store(ring->read, ring->position);",
    ),
    "another value": ("pt_store(ring->waiter, 1)", "pt_store(ring->waiter, 2)"),
    "a primitive that does less than it says": (
        "value, __ATOMIC_RELEASE)",
        "value, __ATOMIC_RELAXED)",
    ),
    "a function that nobody proves": (
        "/* --- histogram",
        "static inline void pt_new(uint64_t *word) { pt_store_relaxed(word, 1);\n}\n/* --- hist",
    ),
    "a builtin outside the primitives": (
        "    return pt_load_relaxed(ring->write) <=",
        "    return __atomic_load_n(ring->write, __ATOMIC_RELAXED) <=",
    ),
}


@pytest.mark.parametrize("edit", PLANTED)
def test_a_planted_change_of_the_header_is_noticed(tmp_path, edit):
    old, new = PLANTED[edit]
    text = (HEADERS / "atomics.h").read_text()
    assert old in text, "the header has changed: plant it elsewhere"
    (tmp_path / "atomics.h").write_text(text.replace(old, new, 1))
    changed = compiled(tmp_path, "trace.c", "-iquote", str(tmp_path))
    assert trace_trouble(changed) + text_trouble(tmp_path)
