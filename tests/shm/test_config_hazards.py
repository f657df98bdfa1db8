"""Settings as people get them wrong (E8), and a process in odd surroundings (E11)."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shm.errors import ConfigError
from shm.settings import load
from tests.pipeline.system import ROOT

TREE: dict[str, Any] = tomllib.loads((ROOT / "deploy" / "polytrio.toml").read_text())
KEYS = [
    (section, name)
    for section, value in TREE.items()
    for name in (value if isinstance(value, dict) else [""])
]


def value_of(key: tuple[str, str]) -> Any:
    section, name = key
    return TREE[section][name] if name else TREE[section]


def text_of(key: tuple[str, str], name: str, value: str) -> str:
    section, inner = key
    return f"[{section}]\n{name} = {value}\n" if inner else f"{name} = {value}\n"


def refusal(text: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        try:
            load(Path(file.name), {})
        except ConfigError as error:
            return str(error)
    return ""


@given(st.sampled_from(KEYS), st.data())
@settings(max_examples=300)
def test_e8_a_mistyped_key_is_refused_by_name(key, data):
    section, inner = key
    name = inner or section
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("abcxyz_9"))
    typed = name[:at] + letter + name[at + data.draw(st.integers(0, 1)) :]
    known = set(TREE[section]) if inner else set(TREE)
    if typed in known or not re.fullmatch(r"[a-z][a-z0-9_]*", typed):
        return
    said = refusal(text_of(key, typed, "1"))
    assert typed in said
    assert "\n" not in said


WRONG_VALUES = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    "''",
    "{}",
    "[[1]]",
    "1979-05-27",
    "-1",
    "10000000000000000000000",
]


@pytest.mark.parametrize("value", WRONG_VALUES)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: ".".join(key).rstrip("."))
def test_e8_a_value_of_the_wrong_kind_is_refused_by_the_keys_name(key, value):
    default = value_of(key)
    if isinstance(default, str) and value == "''":
        return  # an empty text is a value of some of them
    said = refusal(text_of(key, key[1] or key[0], value))
    assert (key[1] or key[0]) in said, said
    assert "\n" not in said


LIMITS = [
    key
    for key in KEYS
    if key[0] == "risk" or (key[1].startswith("max_") and type(value_of(key)) is int)
]


@pytest.mark.parametrize("key", LIMITS, ids=".".join)
@pytest.mark.parametrize("value", ["0", "-5"])
def test_e8_no_limit_is_switched_off_by_zero(key, value):
    said = refusal(text_of(key, key[1], value))
    assert key[1] in said, said


def test_e8_the_checks_are_not_all_refusals():
    for key in KEYS:
        section, inner = key
        value = value_of(key)
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, list):
            text = str(value).replace("'", '"')
        else:
            text = f'"{value}"' if isinstance(value, str) else str(value)
        assert refusal(text_of(key, inner or section, text)) == ""


# --- odd surroundings -----------------------------------------------------------------------------

STAGES = ["ingest", "engine", "executor", "executor.killer"]


@pytest.mark.parametrize("stage", STAGES)
def test_e11_a_stage_without_its_assertions_does_not_start(stage, instance):
    done = subprocess.run(
        [sys.executable, "-O", "-P", "-m", stage, "--instance", instance],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == ConfigError.exit_code
    assert "python -O strips the assertions" in done.stderr


FOLD = """
from tests.executor.stories import Story
story = Story(3).act_many(300)
print(story.state.digest().hex(), len(story.entries))
"""
SURROUNDINGS = [
    {},
    {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "4242", "TZ": "America/New_York", "LC_ALL": "tr_TR.UTF-8"},
    {"PYTHONHASHSEED": "0", "TZ": "Asia/Kathmandu", "LANG": "de_DE.UTF-8", "PYTHONUTF8": "0"},
]


def test_e11_e12_the_same_journal_is_the_same_state_whatever_the_locale_zone_and_hash_seed():
    said = {
        subprocess.run(
            [sys.executable, "-c", FOLD], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, **more},
        ).stdout
        for more in SURROUNDINGS
    }  # fmt: skip
    assert len(said) == 1
    assert len(said.pop().split()) == 2
