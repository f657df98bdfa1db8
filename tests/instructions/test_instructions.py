"""The hot path costs what the record says, at most a tenth more; and the counting would notice."""

import shutil

import pytest

from tests.conftest import require_or_skip
from tests.instructions.counting import THINGS, Thing, compiler, instructions, record

PLANTED_IN = [thing for thing in THINGS if thing.name in {"price_change", "update", "keccak"}]
GROWTH_MAX = 1.10
PLANTED_GROWTH = 0.15
TURNS = 1_000
"""Of the empty loop, to find out what one of them costs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    require_or_skip(shutil.which("cc") is not None, "a C compiler")
    require_or_skip(shutil.which("valgrind") is not None, "valgrind")
    return tmp_path_factory.mktemp("instructions")


def recorded(thing: Thing) -> int:
    """What it cost; a compiler that nobody has counted with is said and proves nothing."""
    here = compiler()
    count = record().get(here, {}).get(thing.name)
    if count is None:
        pytest.skip(f"no record of {thing.name} for {here}: python -m tests.instructions.record")
    return count


def trouble(thing: Thing, count: int, before: int) -> str:
    if count <= before * GROWTH_MAX:
        return ""
    return (
        f"{thing.name}: {count} instructions a message, {before} on record "
        f"({count / before - 1:+.1%}); if that is wanted: python -m tests.instructions.record"
    )


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.name)
def test_a_message_costs_at_most_a_tenth_more_than_on_record(folder, thing):
    assert trouble(thing, instructions(thing, folder), recorded(thing)) == ""


def test_a_compiler_without_a_record_is_said_and_nothing_fails(folder, monkeypatch):
    monkeypatch.setattr("tests.instructions.test_instructions.compiler", lambda: "vax pcc 1.1.0")
    with pytest.raises(pytest.skip.Exception, match=r"no record of ring for vax pcc 1.1.0"):
        recorded(next(thing for thing in THINGS if thing.name == "ring"))


@pytest.mark.parametrize("thing", PLANTED_IN, ids=lambda thing: thing.name)
def test_a_planted_busy_loop_of_15_per_cent_is_noticed(folder, thing):
    before = instructions(thing, folder)
    a_turn = (instructions(thing, folder, TURNS) - before) / TURNS
    count = instructions(thing, folder, round(before * PLANTED_GROWTH / a_turn))
    assert count == pytest.approx(before * (1 + PLANTED_GROWTH), rel=0.03)
    assert trouble(thing, count, before) != ""


def test_the_same_message_costs_the_same_twice(folder):
    first, second = (instructions(THINGS[0], folder) for _ in range(2))
    assert first == second
