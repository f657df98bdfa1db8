"""Reloadable: every key of the tree is classified, once; what needs a restart says why."""

import pytest

from shm.reloadable import (
    NEEDS_RESTART,
    RELOADABLE,
    SAFER,
    Change,
    changes,
    follower,
    restart_reason,
)
from shm.settings import Settings
from shm.sources import values, with_values

KEYS = list(values(Settings()))


def trouble(key: str) -> str | None:
    """What is wrong with a key's classification."""
    # A limit is reloadable one way: a change to the same value is none.
    after = 1 if key.startswith("risk.") else 2
    reloadable, restart = follower(key), restart_reason(Change(key, 1, after))
    if reloadable and restart:
        return "in both tables"
    return None if reloadable or restart else "in neither table"


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_in_exactly_one_table(key):
    assert trouble(key) is None


def test_a_key_that_nobody_classified_is_found():
    assert trouble("stages.colour") == "in neither table"
    assert trouble("colour") == "in neither table"


def test_the_tables_name_real_keys_and_roles_only():
    tables = {key.partition(".")[0] + ".*" for key in KEYS if "." in key}
    for key in [*RELOADABLE, *NEEDS_RESTART]:
        assert key in KEYS or key in tables, key
    assert set(RELOADABLE.values()) <= {"desk", "ingest", "engine", "executor", "supervisor"}


def test_changes_are_listed_in_the_order_of_the_tree():
    before = Settings()
    after = with_values(before, {"engine.cooldown_ms": 5, "instance": "x", "desk.coins": ("BTC",)})
    assert [change.key for change in changes(before, after)] == [
        "instance", "desk.coins", "engine.cooldown_ms",
    ]  # fmt: skip
    assert changes(after, after) == []


@pytest.mark.parametrize(
    ("before", "after", "restart"),
    [("paper", "off", False), ("off", "paper", False), ("paper", "live", True),
     ("live", "off", True), ("off", "live", True)],
)  # fmt: skip
def test_execution_may_be_switched_off_and_on_but_not_to_other_money(before, after, restart):
    assert (restart_reason(Change("execution", before, after)) is not None) == restart


def test_each_limit_says_which_way_is_the_careful_one():
    assert set(SAFER) == {key.partition(".")[2] for key in KEYS if key.startswith("risk.")}
    careful_upwards = {name for name, way in SAFER.items() if way == "more"}
    assert careful_upwards == {
        "cash_margin_bps", "group_pause_ms", "fence_end_s", "fence_restart_s", "quarantine_ms",
    }  # fmt: skip


@pytest.mark.parametrize("name", SAFER)
def test_a_limit_is_tightened_at_once_and_loosened_only_by_a_restart(name):
    tight, loose = (1, 2) if SAFER[name] == "less" else (2, 1)
    assert restart_reason(Change(f"risk.{name}", loose, tight)) is None
    assert "tightened" in (restart_reason(Change(f"risk.{name}", tight, loose)) or "")
