"""Sources: which value came from where, read again the same way; plain names for the modes."""

import msgspec
import pytest

from shm.errors import ConfigError
from shm.origin import Origin
from shm.settings import Settings
from shm.sources import DERIVED, FILE, PRESET, derived, flat, read, read_again, values


def write(tmp_path, text):
    path = tmp_path / "polytrio.toml"
    path.write_text(text)
    return path


def test_every_value_that_is_no_default_has_a_source(tmp_path):
    path = write(tmp_path, 'instance = "x"\n[engine]\ncooldown_ms = 250\nmin_edge_bps = 3\n')
    variables = {"POLYTRIO__ENGINE__MIN_EDGE_BPS": "7", "ENGINE_MODE": "python", "HOME": "/h"}
    settings, origin = read(path, variables)
    assert settings.engine.min_edge_bps == 7
    assert settings.engine.mode == "python"
    source_of = origin.source_of
    assert source_of["instance"] == FILE
    assert source_of["engine.cooldown_ms"] == FILE  # said, although it is the default
    assert source_of["engine.min_edge_bps"] == "POLYTRIO__ENGINE__MIN_EDGE_BPS"
    assert source_of["engine.mode"] == "ENGINE_MODE"
    assert source_of["risk.orders_per_second"] == PRESET
    defaults = values(Settings())
    for key, value in values(settings).items():
        assert value == defaults[key] or key in source_of, key
    assert origin.environment.keys() == {"POLYTRIO__ENGINE__MIN_EDGE_BPS", "ENGINE_MODE"}
    assert (origin.file, origin.found, origin.asked) == (str(path), True, True)


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("ENGINE_MODE", "native", "engine.mode"),
        ("ENGINE_MODE", "python", "engine.mode"),
        ("ENGINE_MODE", "shadow", "engine.mode"),
        ("SOCKET_MODE", "picows", "ingest.socket"),
        ("SOCKET_MODE", "websockets", "ingest.socket"),
        ("EXECUTION_MODE", "paper", "execution"),
        ("EXECUTION_MODE", "live", "execution"),
        ("EXECUTION_MODE", "off", "execution"),
    ],
)
def test_the_three_modes_have_plain_names_in_the_environment(tmp_path, name, value, key):
    loaded = read(write(tmp_path, ""), {name: value})
    assert values(loaded.settings)[key] == value
    long = f"POLYTRIO__{key.upper().replace('.', '__')}"
    assert read(write(tmp_path, ""), {long: value}).settings == loaded.settings
    assert read(write(tmp_path, ""), {name: value, long: value}).settings == loaded.settings


def test_two_names_that_contradict_each_other_are_refused_with_both(tmp_path):
    variables = {"ENGINE_MODE": "python", "POLYTRIO__ENGINE__MODE": "native"}
    with pytest.raises(ConfigError, match="ENGINE_MODE=python and POLYTRIO__ENGINE__MODE=native"):
        read(write(tmp_path, ""), variables)


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("[engine]\nkernel = 'python'\n", {}, "`engine.kernel` is called `engine.mode` now"),
        ("mode = 'paper'\n", {}, "`mode` is called `execution` now"),
        ("", {"POLYTRIO__ENGINE__KERNEL": "python"}, "`engine.kernel` is called `engine.mode`"),
        ("", {"POLYTRIO__MODE": "live"}, "`mode` is called `execution` now"),
    ],
)
def test_keys_of_earlier_versions_are_refused_by_their_new_name(tmp_path, text, variables, says):
    with pytest.raises(ConfigError, match=says):
        read(write(tmp_path, text), variables)


def test_without_execution_it_is_still_paper_money():
    assert Settings(execution="off").mode == "paper"
    assert Settings(execution="paper").mode == "paper"
    assert Settings(execution="live").mode == "live"


def test_reading_again_uses_the_same_file_and_variables_wherever_it_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "[engine]\ncooldown_ms = 5\n")
    first = read(None, {"ENGINE_MODE": "python"})
    assert not first.origin.asked
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("POLYTRIO__ENGINE__COOLDOWN_MS", "9")
    origin = msgspec.json.decode(msgspec.json.encode(first.origin), type=Origin)
    assert read_again(origin) == first


def test_a_file_that_came_later_is_read_and_one_that_is_gone_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    without = read(None, {})
    assert read_again(without.origin) == without
    path = write(tmp_path, "[engine]\ncooldown_ms = 5\n")
    with_file = read_again(without.origin)
    assert with_file.settings.engine.cooldown_ms == 5
    path.unlink()
    assert read_again(without.origin) == without
    with pytest.raises(ConfigError, match="no settings file"):
        read_again(with_file.origin)


def test_settings_without_an_origin_cannot_be_read_again():
    with pytest.raises(ConfigError, match="from no file"):
        read_again(Origin())


def test_what_was_filled_in_after_reading_is_told_apart(tmp_path):
    loaded = read(write(tmp_path, "[sim]\nport = 8700\n"), {})
    final = derived(loaded, loaded.settings.with_addresses("http://127.0.0.1:8700"))
    assert final.settings.venues.clob_url == "http://127.0.0.1:8700"
    assert final.origin.source_of["venues.clob_url"] == DERIVED
    assert final.origin.source_of["sim.port"] == FILE
    assert final.origin.filled["venues.clob_url"] == ""
    again = derived(final, final.settings.anchored())
    assert again.origin.filled["venues.clob_url"] == ""
    assert again.origin.filled["desk.var_dir"] == "var"


def test_a_tree_becomes_a_list_of_keys():
    assert flat({"a": 1, "b": {"c": [2], "d": {"e": 3}}}) == {"a": 1, "b.c": [2], "b.d.e": 3}
