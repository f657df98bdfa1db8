"""Reload: the last good file holds, whatever is written into it, however, and by whom."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shm import reload, sources
from shm.codes import Role
from shm.control import SettingsReader
from shm.errors import FencedError, SegmentMissing
from shm.fabric import Fabric
from shm.layout import RELOADING
from shm.modes import Reloaded
from shm.reload import LOOK_S, PATIENCE_S, SETTLE_S, Reloader
from shm.roles import RoleHolder, RoleLock, RoleTable
from shm.segment import SHM_ROOT, list_files
from shm.sources import DERIVED, derived, read
from shm.system import create_all
from shm.wishes import Operator

BEFORE = "[engine]\ncooldown_ms = 100\n"
AFTER = "[engine]\ncooldown_ms = 200\nmin_edge_bps = 5\n"


class System:
    """A system as far as settings go: segments, a file, and whoever turns the reloader."""

    def __init__(self, instance: str, path: Path, text: str = BEFORE) -> None:
        path.write_text(text)
        self.instance = instance
        self.path = path
        variables = {"POLYTRIO__INSTANCE": instance}
        loaded = read(path, variables)
        self.loaded = derived(loaded, loaded.settings.with_addresses("http://127.0.0.1:9"))
        self.fabric = create_all(*self.loaded)
        self.reader = SettingsReader(Fabric(instance))
        self.reloader = Reloader(self.fabric)
        self.now_s = 1_000.0
        self.pass_time(3.0)

    def pass_time(self, seconds: float, step_s: float = 0.25) -> None:
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.reloader.turn(self.now_s)

    @property
    def published(self):
        return self.reader.read()

    @property
    def cooldown_ms(self) -> int:
        return self.published.settings.engine.cooldown_ms

    @property
    def outcome(self):
        return Fabric(self.instance).read_table("control.reloading", RELOADING).read(0)

    @property
    def says(self) -> str:
        return self.outcome.text[: self.outcome.length].decode()

    def settle(self) -> None:
        self.pass_time(LOOK_S + 3 * SETTLE_S)


@pytest.fixture
def system(instance, tmp_path) -> System:
    return System(instance, tmp_path / "polytrio.toml")


def test_at_the_start_the_file_says_what_holds_and_nothing_is_told(system):
    assert system.published.version == 1
    assert system.outcome.attempts == 0


def test_a_changed_file_is_taken_over_as_one_version_and_its_changes_are_told(system):
    system.path.write_text(AFTER)
    system.settle()
    published = system.published
    assert (published.version, system.cooldown_ms) == (2, 200)
    assert published.settings.engine.min_edge_bps == 5
    assert published.origin.source_of["engine.min_edge_bps"] == "file"
    assert system.outcome.result == Reloaded.PUBLISHED
    assert "engine.cooldown_ms 100 -> 200" in system.says
    control = Fabric(system.instance).segment("control", writable=False)
    assert RoleTable(control).row(Role.SUPERVISOR).adopted_settings == 2
    system.settle()
    assert system.published.version == 2


BAD = [
    ("[engine]\ncooldown_ms = ", "not valid TOML"),
    ("[engine]\ncooldown = 5\n", "did you mean 'cooldown_ms'"),
    ("[engine]\ncooldown_ms = 0\n", "engine.cooldown_ms"),
    ("[engine]\ncooldown_ms = 5\n[sim]\nseed = 4\n", r"needs a restart: sim.seed \(the simulated"),
    ("venue = 'polymarket'\n", "needs a restart: venue "),
    ("execution = 'live'\n", "needs a restart: execution .*wallet"),
    ("[venues]\nclob_url = 'http://other'\n", "needs a restart: venues.clob_url"),
    ("[engine]\nkernel = 'python'\n", "is called `engine.mode` now"),
    (b"\xff\xfe", "not valid TOML"),
    ("a = " + "[" * 3_000, "not valid TOML"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_a_bad_file_changes_nothing_and_says_why(system, text, says):
    import re

    system.path.write_bytes(text if isinstance(text, bytes) else text.encode())
    system.settle()
    assert (system.published.version, system.cooldown_ms) == (1, 100)
    assert system.outcome.result == Reloaded.REFUSED
    assert re.search(says, system.says)
    attempts = system.outcome.attempts
    system.settle()
    assert system.outcome.attempts == attempts, "the same bad file is told once"
    system.path.write_text(BEFORE)
    system.settle()
    assert system.outcome.result == Reloaded.UNCHANGED, "and that it is good again, too"
    assert system.published.version == 1


def test_a_file_that_vanishes_for_good_is_refused_and_one_that_is_replaced_is_not(system):
    system.path.rename(system.path.with_suffix(".old"))
    system.pass_time(LOOK_S)
    system.path.write_text(AFTER)
    system.settle()
    assert (system.published.version, system.outcome.result) == (2, Reloaded.PUBLISHED)
    system.path.unlink()
    system.settle()
    assert system.published.version == 2
    assert system.outcome.result == Reloaded.REFUSED
    assert "no settings file" in system.says


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_without_waiting_for_it(system, make):
    system.path.unlink()
    make(system.path)
    system.settle()
    assert system.published.version == 1
    assert system.outcome.result == Reloaded.REFUSED
    assert "no plain file" in system.says


# --- a file that is being written ---------------------------------------------------------------


def write_half(system: System) -> None:
    """Half of a good file, which is valid by itself, with the other half still to come."""
    with system.path.open("w") as file:
        file.write("[engine]\ncooldown_ms = 300\n")
        file.flush()
        os.fsync(file.fileno())
        system.pass_time(20.0)
        assert system.published.version == 1, "half a file was taken over"
        assert system.outcome.attempts == 0
        file.write("min_edge_bps = 5\n")


def test_half_a_file_changes_nothing_however_long_it_stays_half(system):
    write_half(system)
    system.settle()
    assert (system.published.version, system.cooldown_ms) == (2, 300)
    assert system.published.settings.engine.min_edge_bps == 5


def test_a_reader_that_does_not_ask_the_kernel_would_take_half_a_file(system, monkeypatch):
    monkeypatch.setattr(reload, "read_whole", sources.plainly)
    with pytest.raises(AssertionError, match="half a file was taken over"):
        write_half(system)


def test_an_empty_file_that_is_filled_a_moment_later_is_not_taken_for_all_defaults(system):
    system.path.write_text("")
    system.pass_time(LOOK_S)
    system.path.write_text(AFTER)
    system.settle()
    assert [system.published.version, system.cooldown_ms] == [2, 200]
    assert system.outcome.attempts == 1


def test_whoever_asks_for_a_file_that_is_being_written_waits_a_little_and_is_told(system):
    with system.path.open("a"):
        system.reloader.ask()
        system.pass_time(PATIENCE_S - 0.5)
        assert system.outcome.attempts == 0
        system.pass_time(1.0)
        assert system.outcome.result == Reloaded.REFUSED
        assert "open for writing" in system.says
    system.reloader.ask()
    system.pass_time(0.25)
    assert system.outcome.result == Reloaded.UNCHANGED


WRITER = """
import sys
while True:
    with open(sys.argv[1], "w") as file:
        for number in range(50):
            file.write(f"# {number}\\n")
            if number % 10 == 0:
                file.flush()
        file.write("[engine]\\ncooldown_ms = 77\\n")
        file.flush()
        file.write("min_edge_bps = 7\\n")
"""


def test_a_writer_that_never_rests_is_never_read_in_the_middle_and_harms_nobody(tmp_path):
    path = tmp_path / "busy.toml"
    path.write_text("")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    try:
        whole = held_back = 0
        deadline_s = time.monotonic() + 30
        while whole < 200 and time.monotonic() < deadline_s:
            try:
                text = reload.read_whole(path)
            except reload.BeingWritten:
                held_back += 1
                continue
            assert text == "" or text.endswith("min_edge_bps = 7\n"), "read in the middle"
            whole += text != ""
        assert whole
        assert held_back
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
    assert signal.getsignal(signal.SIGIO) is signal.SIG_IGN


# --- what was filled in at the start ------------------------------------------------------------


def test_addresses_that_were_filled_in_stay_also_when_the_file_names_the_empty_ones(system):
    url = system.published.settings.venues.clob_url
    system.path.write_text(AFTER + '[venues]\nclob_url = ""\n')
    system.settle()
    published = system.published
    assert published.version == 2
    assert published.settings.venues.clob_url == url
    assert published.origin.source_of["venues.clob_url"] == DERIVED
    system.path.write_text(BEFORE)
    system.settle()
    assert system.published.settings == system.loaded.settings.anchored()
    system.path.write_text(BEFORE + '[desk]\nvar_dir = "var"\n')
    system.settle()
    assert system.outcome.result != Reloaded.REFUSED


def test_a_relative_path_is_the_one_of_the_start_wherever_it_is_read_again(
    instance, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "polytrio.toml"
    text = f"instance = '{instance}'\n[desk]\nvar_dir = 'mine'\n"
    path.write_text(text)
    reloader = Reloader(create_all(*read(path, {})))
    assert reloader.settings.desk.var_dir == str(tmp_path / "mine")
    monkeypatch.chdir("/")
    path.write_text(text + "days = 3\n")
    reloader.ask()
    reloader.turn(1.0)
    assert (reloader.settings.desk.days, reloader.running.version) == (3, 2)
    assert reloader.settings.desk.var_dir == str(tmp_path / "mine")


def test_a_variable_of_the_start_still_wins_over_the_file(instance, tmp_path):
    path = tmp_path / "polytrio.toml"
    path.write_text(BEFORE)
    variables = {"POLYTRIO__INSTANCE": instance, "POLYTRIO__ENGINE__COOLDOWN_MS": "7"}
    reloader = Reloader(create_all(*read(path, variables)))
    path.write_text(AFTER)
    reloader.ask()
    reloader.turn(1.0)
    assert reloader.settings.engine.cooldown_ms == 7
    assert reloader.settings.engine.min_edge_bps == 5


# --- any sequence -------------------------------------------------------------------------------

GOOD = st.builds(
    lambda cooldown, bps, coins: (
        f"[engine]\ncooldown_ms = {cooldown}\nmin_edge_bps = {bps}\n[desk]\ncoins = {coins}\n"
    ),
    st.integers(1, 5),
    st.integers(0, 3),
    st.sampled_from(['["BTC"]', '["BTC", "ETH"]']),
)
FILES = st.one_of(GOOD, st.sampled_from([text for text, _ in BAD[:8]]))
ACTS = st.lists(st.tuples(FILES, st.sampled_from(["look", "ask", "half"])), max_size=8)


@settings(max_examples=60)
@given(acts=ACTS, seed=st.integers(0, 10**9))
def test_after_any_sequence_of_good_and_bad_files_the_last_good_one_holds(acts, seed):
    tell(acts, seed)


def test_a_supervisor_that_publishes_what_needs_a_restart_is_found(monkeypatch):
    monkeypatch.setattr(reload, "require_reloadable", lambda _found: None)
    with pytest.raises(AssertionError):
        tell([("[engine]\ncooldown_ms = 5\n[sim]\nseed = 4\n", "ask")], 1)


def tell(acts: list[tuple[str, str]], seed: int) -> None:
    """Files one after the other, each in its way; after each the last good one must hold."""
    instance = f"t-{os.getpid()}-{seed}"[:24]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.callback(lambda: [file.path.unlink() for file in list_files(instance)])
        system = System(instance, Path(folder) / "polytrio.toml")
        good, versions = BEFORE, 1
        for text, how in acts:
            if how == "half":
                with system.path.open("w") as file:
                    file.write(text[: len(text) // 2])
                    file.flush()
                    system.settle()
                    assert system.published.version == versions
                    file.write(text[len(text) // 2 :])
                system.settle()
            else:
                system.path.write_text(text)
                if how == "ask":
                    system.reloader.ask()
                system.settle()
            if text.startswith("[engine]\ncooldown_ms = ") and text.endswith("]\n"):
                versions += parsed(good, folder) != parsed(text, folder)
                good = text
            assert system.published.version == versions
            assert system.published.settings.engine == parsed(good, folder).engine
            assert system.published.settings.desk.coins == parsed(good, folder).desk.coins


def parsed(text: str, folder: str):
    path = Path(folder) / "compared.toml"
    path.write_text(text)
    return read(path, {}).settings


# --- who may, and who asks ----------------------------------------------------------------------


def test_a_supervisor_that_was_replaced_publishes_nothing_more(system):
    RoleHolder(Fabric(system.instance, Role.SUPERVISOR).segment("control", writable=True),
               Role.SUPERVISOR)  # fmt: skip
    system.path.write_text(AFTER)
    with pytest.raises(FencedError):
        system.settle()
    assert system.published.version == 1


def test_a_supervisor_that_starts_late_takes_over_what_changed_meanwhile(system):
    system.path.write_text(AFTER)
    system.reloader = Reloader(system.fabric)
    system.settle()
    assert system.cooldown_ms == 200


@pytest.fixture
def turning(system):
    """The system with its supervisor at work, in a thread."""
    lock = RoleLock(system.instance, Role.SUPERVISOR)
    lock.take()
    done = threading.Event()

    def turn() -> None:
        while not done.wait(0.01):
            system.reloader.turn(time.monotonic())

    def ignore(_number, _handler) -> None:
        """Only the main thread may set one; it has been set before."""

    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reload.signal, "signal", ignore)
        thread = threading.Thread(target=turn)
        thread.start()
        yield system
        done.set()
        thread.join()
    lock.release()


def test_who_asks_gets_the_answer_to_his_own_wish(turning):
    turning.path.write_text(AFTER)
    with Operator(turning.instance) as operator:
        answer = operator.reload()
    assert (answer.result, answer.generation) == (Reloaded.PUBLISHED, 2)
    assert turning.published.asked == answer.asked == 1
    with Operator(turning.instance) as operator:
        answer = operator.reload()
    assert (answer.result, answer.asked) == (Reloaded.UNCHANGED, 2)
    turning.path.write_text("[engine\n")
    with Operator(turning.instance) as operator:
        answer = operator.reload()
    assert (answer.result, answer.generation, answer.asked) == (Reloaded.REFUSED, 2, 3)


def test_where_nobody_supervises_the_asker_is_told_at_once(system):
    with Operator(system.instance) as operator, pytest.raises(SegmentMissing, match="supervisor"):
        operator.reload()


KILLED = """
import sys, time
from shm.modes import WishKind
from shm.wishes import Operator
operator = Operator(sys.argv[1])
operator._ask(WishKind.RELOAD)
print("asked", flush=True)
time.sleep(60)
"""


def test_an_asker_that_is_killed_leaves_the_way_free_for_the_next(turning):
    turning.path.write_text(AFTER)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, turning.instance], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"asked\n"
    process.kill()
    process.stdout.close()
    process.wait()
    with Operator(turning.instance) as operator:
        assert operator.reload().generation == 2
    assert not RoleLock(turning.instance, Role.OPERATOR).held_by_anyone()
    assert (SHM_ROOT / f"polytrio.{turning.instance}.operator.lock").exists()
