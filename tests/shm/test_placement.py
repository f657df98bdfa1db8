"""Placement: a core of its own for each stage, or none at all."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.codes import STAGES, Role
from shm.errors import ConfigError
from shm.placement import core_of, dedicated_cores, parse_list, thread_siblings


def test_with_too_few_cores_nobody_is_pinned():
    assert dedicated_cores(range(3), {}) == []
    assert dedicated_cores([0, 1], {}) == []


def test_the_first_core_is_left_to_the_rest():
    assert dedicated_cores(range(4), {}) == [1, 2, 3]
    assert dedicated_cores([8, 3, 5, 9, 11], {}) == [5, 8, 9]


def test_two_threads_of_one_core_are_never_both_used():
    pairs = {core: frozenset({core, (core + 4) % 8}) for core in range(8)}
    assert dedicated_cores(range(8), pairs) == [1, 2, 3]
    twins = {core: frozenset({core & ~1, core | 1}) for core in range(8)}
    assert dedicated_cores(range(8), twins) == [2, 4, 6]
    assert dedicated_cores(range(6), twins) == []


@given(st.sets(st.integers(0, 64)), st.integers(1, 4))
def test_chosen_cores_are_allowed_and_on_different_physical_cores(allowed, threads):
    siblings = {
        core: frozenset(range(core // threads * threads, core // threads * threads + threads))
        for core in allowed
    }
    chosen = dedicated_cores(sorted(allowed), siblings)
    assert len(chosen) in {0, len(STAGES)}
    assert set(chosen) <= allowed
    assert len({core // threads for core in chosen}) == len(chosen)


def test_the_settings_win_and_are_checked():
    assert core_of(Role.ENGINE, (4, 6, 7), range(8)) == 6
    with pytest.raises(ConfigError, match="wants 3 cores"):
        core_of(Role.ENGINE, (4, 6), range(8))
    with pytest.raises(ConfigError, match="core 9 for executor"):
        core_of(Role.EXECUTOR, (4, 6, 9), range(8))


def test_the_kernels_list_format_is_read():
    assert parse_list("0\n") == {0}
    assert parse_list("0-2,5,7-8\n") == {0, 1, 2, 5, 7, 8}


def test_this_machines_siblings_contain_the_core_itself():
    for core, siblings in thread_siblings(sorted(os.sched_getaffinity(0))).items():
        assert core in siblings
