"""Rehearsal: it goes the whole way of an order, and there is no way out of it."""

import ast
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import rehearsing
from executor.rehearsing import EVERY_NS, Rehearsal
from shm.journal_record import RECORD_BYTES
from shm.limits import RiskSettings
from shm.settings import ExecutorSettings

NOW_NS = 10**15
OUTWARD = {"http", "venue", "dispatch", "journal", "chronicle", "state", "situation", "user"}
"""Modules through which bytes leave, are written down, or anything is remembered."""


@pytest.fixture(scope="module")
def rehearsal():
    return Rehearsal()


@given(now_ns=st.integers(10**9, 2**62))
def test_it_is_decided_signed_and_written_whenever_it_is(rehearsal, now_ns):
    assert rehearsal.rehearse(now_ns) == 4 * RECORD_BYTES


def test_what_is_written_goes_nowhere(rehearsal):
    assert os.readlink(f"/proc/self/fd/{rehearsal._fd}") == os.devnull


def test_nobody_knows_the_key_and_each_rehearsal_has_its_own(rehearsal):
    def wallet(one: Rehearsal) -> str:
        return one._launcher._batch._requests.fixed["POLY_ADDRESS"]

    assert wallet(rehearsal) != wallet(Rehearsal())


def test_it_cannot_reach_what_sends_or_remembers():
    tree = ast.parse(Path(rehearsing.__file__).read_text("utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    }
    assert imported.isdisjoint({f"executor.{module}" for module in OUTWARD})


def test_it_takes_its_turn_when_it_is_time_and_not_before(monkeypatch):
    rehearsal = Rehearsal()
    monkeypatch.setattr(rehearsing.time, "monotonic_ns", lambda: NOW_NS)
    assert rehearsal.turn(NOW_NS)
    assert not rehearsal.turn(NOW_NS + EVERY_NS - 1)
    assert rehearsal.turn(NOW_NS + EVERY_NS)


def test_one_that_is_refused_half_way_is_found_out(rehearsal, monkeypatch):
    monkeypatch.setattr(rehearsing, "LIMITS", (ExecutorSettings(), RiskSettings(collar_ticks=1)))
    assert rehearsal.rehearse(NOW_NS)
    few = (ExecutorSettings(), RiskSettings(max_order_shares=1))
    monkeypatch.setattr(rehearsing, "LIMITS", few)
    with pytest.raises(AssertionError, match="SHARES"):
        rehearsal.rehearse(NOW_NS)
