"""Killing: with whatever settings, the right system is stopped, or nobody is told so."""

import secrets

import pytest
from click.testing import CliRunner

from desk.cli import main
from desk.killing import Unconfirmed, kill, settings_of
from shm.codes import Role
from shm.errors import ConfigError
from shm.roles import RoleLock
from shm.segment import SHM_ROOT
from shm.segments import SEGMENTS
from shm.settings import Settings
from shm.system import create_all, destroy_all, living_instances
from tests.desk.venue import settings as settings_in

BAD = '[risk]\nmax_order_usd_e6 = "abc"\n'


@pytest.fixture
def systems(tmp_path, monkeypatch):
    """Starts systems of which an executor seems to run; their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLYTRIO__INSTANCE", raising=False)
    made: list[tuple[str, RoleLock]] = []

    def start() -> str:
        name = f"t-{secrets.token_hex(6)}"
        desk = settings_in(str(tmp_path / "var")).desk
        create_all(Settings(instance=name, desk=desk))
        lock = RoleLock(name, Role.EXECUTOR)
        lock.take()
        made.append((name, lock))
        return name

    yield start
    for name, lock in made:
        lock.release()
        destroy_all(name)
        for role in Role:
            RoleLock(name, role).path.unlink(missing_ok=True)


@pytest.fixture
def only(monkeypatch):
    """Systems of other tests beside these do not count."""

    def look(*names: str) -> None:
        monkeypatch.setattr("desk.killing.living_instances", lambda: list(names))

    return look


def write(tmp_path, text: str) -> None:
    (tmp_path / "polytrio.toml").write_text(text)


def test_a_bad_file_says_at_least_what_it_is_called(systems, tmp_path, only):
    paper, real = systems(), systems()
    only(paper, real)
    write(tmp_path, f'instance = "{real}"\n{BAD}')
    assert settings_of(None, None).instance == real
    assert settings_of(paper, None).instance == paper
    done = CliRunner().invoke(main, ["kill", "--reason", "test"])
    assert (tmp_path / "var" / real / "KILL").exists()
    assert not (tmp_path / "var" / paper / "KILL").exists()
    assert done.exit_code == Unconfirmed.exit_code  # nobody sets the latch here


def test_a_bad_file_of_the_default_name_never_stops_another_system(
    systems, tmp_path, only, monkeypatch
):
    only(systems())
    asked = []
    monkeypatch.setattr("desk.killing._published", asked.append)  # "main" may run on this machine
    write(tmp_path, BAD)
    with pytest.raises(ConfigError, match="max_order_usd_e6"):
        settings_of(None, None)
    assert asked == ["main"]


def test_the_environment_names_the_system_also_beside_a_bad_file(systems, tmp_path, monkeypatch):
    real = systems()
    write(tmp_path, f'instance = "other"\n{BAD}')
    monkeypatch.setenv("POLYTRIO__INSTANCE", real)
    assert settings_of(None, None).instance == real


def test_half_a_file_stops_the_one_system_that_runs_and_asks_where_there_are_more(
    systems, tmp_path, only
):
    real = systems()
    write(tmp_path, 'instance = "re')
    only(real)
    assert settings_of(None, None).instance == real
    other = systems()
    only(real, other)
    with pytest.raises(ConfigError, match=f"{real}, {other} run: name one of them with --instance"):
        settings_of(None, None)
    only()
    with pytest.raises(ConfigError, match="not valid TOML"):
        settings_of(None, None)


def test_systems_that_run_are_found_by_their_locks_whatever_their_version(systems):
    real, other = systems(), systems()
    for name in (real, other):
        destroy_all(name)
    assert {real, other} <= set(living_instances())
    assert "" not in living_instances()


def test_a_kill_of_another_version_is_not_confirmed(systems, tmp_path):
    name = systems()
    settings = settings_of(name, None)
    for plan in SEGMENTS.values():
        for path in SHM_ROOT.glob(f"polytrio.{name}.{plan.name}.*"):
            path.rename(path.with_name(path.name[:-8] + "0" * 8))  # made by other code
    try:
        killed = kill(settings, "test")
        assert not killed.confirmed
        assert killed.running
        assert str(settings.var_path / "KILL") in killed.lines()[-1]
        assert "NOT CONFIRMED" in killed.lines()[-2]
        assert killed.as_json()["confirmed"] is False
    finally:
        for path in SHM_ROOT.glob(f"polytrio.{name}.*.00000000"):
            path.unlink()


def test_a_kill_of_nothing_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    killed = kill(Settings(instance=f"t-{secrets.token_hex(6)}"), "test")
    assert killed.confirmed
    assert "nothing of instance" in killed.lines()[0]
