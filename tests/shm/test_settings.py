"""Settings: one validated tree; whatever is not understood is refused and named."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from shm import limits
from shm.errors import ConfigError
from shm.settings import Settings, load

EXAMPLE = Path(__file__).parents[2] / "deploy" / "polytrio.toml"


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "polytrio.toml"
    path.write_text(text)
    return path


def test_without_file_and_environment_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(None, {"HOME": "/x", "POLYTRIO__VENUE": "polymarket"}) == Settings(
        venue="polymarket"
    )


def test_on_the_simulated_exchange_a_preset_stands_in_for_defaults_but_not_for_what_is_set(
    tmp_path,
):
    preset = limits.SIM_PRESET["risk"]["orders_per_second"]
    assert load(file(tmp_path, ""), {}).risk.orders_per_second == preset
    path = file(tmp_path, "[risk]\norders_per_second = 3\n")
    assert load(path, {}).risk.orders_per_second == 3
    assert load(path, {}).risk.orders_per_day == limits.SIM_PRESET["risk"]["orders_per_day"]
    for text in ('venue = "polymarket"', 'execution = "live"'):
        assert load(file(tmp_path, text), {}).risk == limits.RiskSettings()


def test_the_preset_names_real_keys_and_only_ever_widens():
    for section, preset in limits.SIM_PRESET.items():
        defaults = getattr(Settings(), section)
        for name, value in preset.items():
            shorter = {"doubt_settle_ms", "group_pause_ms", "quarantine_ms"}
            assert (value < getattr(defaults, name)) == (name in shorter), name


@pytest.mark.parametrize("name", [f.name for f in msgspec.structs.fields(limits.RiskSettings)])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "'all'", "nan"])
def test_no_limit_can_be_zero_negative_or_anything_but_a_whole_number(tmp_path, name, value):
    with pytest.raises(ConfigError, match=name):
        load(file(tmp_path, f"[risk]\n{name} = {value}\n"), {})


def test_file_and_environment_are_merged_and_the_environment_wins(tmp_path):
    path = file(tmp_path, 'instance = "a"\n[engine]\ncooldown_ms = 5\n')
    loaded = load(path, {"POLYTRIO__ENGINE__COOLDOWN_MS": "7", "POLYTRIO__VENUE": "sim"})
    assert loaded.instance == "a"
    assert loaded.engine.cooldown_ms == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[engine]\ncooldown = 5\n", "did you mean 'cooldown_ms'"),
        ("colour = 1\n", "unknown field `colour`"),
        (
            "[engine]\ncooldown_ms = 'x'\n",
            r"Expected `int`, got `str` - at `\$.engine.cooldown_ms`",
        ),
        ("[engine]\ncooldown_ms = 0\n", r">= 1"),
        ("[engine]\nmin_net_edge_e8 = 1.5\n", "Expected `int`"),
        ("[executor]\nmax_basket_usd_e6 = -5\n", ">= 1"),
        ("execution = 'lve'\n", "Invalid enum value 'lve'"),
        ("instance = 'A b'\n", "matching regex"),
        ("[engine\n", "not valid TOML"),
        ("[wallet]\nfunder = '0x12'\n", "matching regex"),
    ],
)
def test_bad_settings_name_the_key_and_what_is_wrong(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says):
        load(file(tmp_path, text), {})


def test_an_unknown_environment_key_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown field `colour`"):
        load(file(tmp_path, ""), {"POLYTRIO__ENGINE__COLOUR": "1"})


def test_a_file_that_was_asked_for_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="no settings file"):
        load(tmp_path / "absent.toml", {})


def test_the_tree_survives_its_trip_through_shared_memory():
    tree = Settings(instance="x")
    assert msgspec.json.decode(msgspec.json.encode(tree), type=Settings) == tree


def test_the_example_file_lists_every_key_with_its_default():
    example = tomllib.loads(EXAMPLE.read_text())
    assert example == msgspec.json.decode(msgspec.json.encode(Settings()))


def test_every_section_refuses_unknown_keys():
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert({"no_such_key": 1}, field.type)
