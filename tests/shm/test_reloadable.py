"""Reloadable: every key of the tree is classified, once; what needs a restart says why."""

import re
from pathlib import Path

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
    after = 1 if key in SAFER else 2
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
    assert {key for key in SAFER if key.startswith("risk.")} == {
        key for key in KEYS if key.startswith("risk.")
    }
    assert set(SAFER) <= set(KEYS)
    careful_upwards = {key for key, way in SAFER.items() if way == "more"}
    assert careful_upwards == {
        "risk.cash_margin_bps", "risk.group_pause_ms", "risk.fence_end_s", "risk.fence_restart_s",
        "risk.quarantine_ms", "executor.cash_reserve_usd_e6", "executor.doubt_settle_ms",
    }  # fmt: skip


@pytest.mark.parametrize("key", SAFER)
def test_a_limit_is_tightened_at_once_and_loosened_only_by_a_restart(key):
    tight, loose = (1, 2) if SAFER[key] == "less" else (2, 1)
    assert restart_reason(Change(key, loose, tight)) is None
    assert follower(key) is not None
    assert "tightened" in (restart_reason(Change(key, tight, loose)) or "")


def test_no_limit_of_the_last_hop_is_loosened_while_it_runs():
    """Every setting of a stage that the table of limits in docs/reliability.md names."""
    text = (Path(__file__).parents[2] / "docs/reliability.md").read_text()
    table = text.partition("## Limits at the last hop")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:risk|executor|engine|ingest)\.[a-z0-9_]+)`", table))
    assert "executor.cash_reserve_usd_e6" in named
    assert {key for key in named & set(KEYS) if not restart_reason(Change(key, 1, 1))} <= set(SAFER)
