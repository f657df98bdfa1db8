"""Key, password and API credentials of a running system: only where they belong (checker C7)."""

import base64
import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from executor import keystore
from executor.credentials import FILE_NAME
from shm.codes import Role
from shm.passwords import CREDENTIAL, CREDENTIALS
from shm.segment import SHM_ROOT
from tests.conftest import require_or_skip
from tests.pipeline.needles import family, files_below, found_in, memory, needles
from tests.pipeline.system import POLYTRIO, ROOT, System, environment, until

pytestmark = pytest.mark.slow

PASSWORD_BYTES = 24


class Guarded:
    """A running system whose wallet is a keystore, and what must stay secret of it."""

    def __init__(self, instance: str, tmp_path: Path) -> None:
        self.var = tmp_path / "var"
        self.key = secrets.token_bytes(31) + b"\1"
        self.password = secrets.token_urlsafe(PASSWORD_BYTES).encode()
        key_file = tmp_path / "wallet.json"
        key_file.write_bytes(keystore.encrypt(self.key, self.password, 2**10))
        key_file.chmod(0o600)
        reading, writing = os.pipe()
        os.write(writing, self.password + b"\n")
        os.close(writing)
        os.set_inheritable(reading, True)
        self.env = environment(instance, self.var, POLYTRIO__WALLET__KEY_FILE=str(key_file))
        command = [*POLYTRIO, "run", "--json", "--password-fd", str(reading)]
        self.system = started(instance, command, self.env, tmp_path, reading)
        os.close(reading)
        self.instance = instance

    @property
    def wanted(self) -> set[bytes]:
        """What no file, no argument and no environment may hold."""
        return needles(self.key) | needles(self.password)

    @property
    def credentials(self) -> set[bytes]:
        """API secret and passphrase."""
        handed = json.loads((self.var / self.instance / FILE_NAME).read_bytes())
        secret = base64.urlsafe_b64decode(handed["secret"])
        words = {handed["secret"].encode(), handed["passphrase"].encode()}
        return needles(secret) | words

    def pid(self, role: Role) -> int:
        """The process of a stage."""
        row = self.system.row(role)
        assert row is not None
        return row.pid


def started(instance: str, command: list[str], env: dict, cwd: Path, fd: int) -> System:
    """As a shell starts it with `3< password`."""
    system = System.__new__(System)
    system.instance = instance
    system.process = subprocess.Popen(
        command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        pass_fds=(fd,),
    )  # fmt: skip
    return system


@pytest.fixture
def guarded(instance, tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))  # a core would be written
    found = Guarded(instance, tmp_path)
    yield found
    resource.setrlimit(resource.RLIMIT_CORE, limit)
    if found.system.process.poll() is None:
        found.system.process.kill()
        found.system.process.communicate()


def trading(system: System) -> bool:
    return system.all_running() and system.executor().baskets_sent > 0


def test_h8_secrets_are_nowhere_but_where_they_belong(guarded, instance, tmp_path):
    system = guarded.system
    until(lambda: trading(system), "baskets are sent")
    wanted, credentials = guarded.wanted, guarded.credentials

    # A death and a second start with the same password; no core is left of it.
    first = guarded.pid(Role.EXECUTOR)
    os.kill(first, signal.SIGABRT)
    until(lambda: system.running(Role.EXECUTOR) and guarded.pid(Role.EXECUTOR) != first, "back")
    until(lambda: trading(system), "baskets are sent again")

    for pid in family(system.process.pid):
        for name in ("environ", "cmdline"):
            data = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not found_in(data, wanted | credentials), f"{name} of {pid}"
    shared = [path for path in SHM_ROOT.glob(f"polytrio.{instance}.*") if path.is_file()]
    assert len(shared) > 8
    for path in [*shared, *files_below(tmp_path)]:
        hits = found_in(path.read_bytes(), wanted)
        assert not hits, path
        if path.name != FILE_NAME:
            assert not found_in(path.read_bytes(), credentials), path
    assert (guarded.var / instance / "journal" / "000001.journal").exists()
    assert not [path for path in files_below(tmp_path) if path.name.startswith("core")]

    code, out, err = system.stop()
    assert code == 0, err
    assert not found_in((out + err).encode(), wanted | credentials)
    for path in files_below(tmp_path):
        assert not found_in(path.read_bytes(), wanted), path


def test_h8_no_process_but_the_signer_ever_has_the_key_in_memory(guarded):
    if os.geteuid() != 0:
        pytest.skip("needs the right to look into other processes' memory")
    system = guarded.system
    until(lambda: trading(system), "baskets are sent")
    key = needles(guarded.key)
    password = needles(guarded.password)
    for role in (Role.INGEST, Role.ENGINE, Role.KILLER):
        for piece in memory(guarded.pid(role)):
            assert not found_in(piece, key | password | {b"BEGIN PRIVATE"}), role
    executor = list(memory(guarded.pid(Role.EXECUTOR)))
    assert not any(found_in(piece, password) for piece in executor), "read once, and wiped"
    for piece in memory(system.process.pid):
        assert not found_in(piece, key), "the supervisor has the password, never the key"
    assert any(found_in(piece, password) for piece in memory(system.process.pid)), (
        "the search finds what is there"
    )
    system.stop()


def test_a_wrong_password_ends_the_run_with_one_line(instance, tmp_path):
    key_file = tmp_path / "wallet.json"
    key_file.write_bytes(keystore.encrypt(bytes(31) + b"\7", b"right", 2**10))
    key_file.chmod(0o600)
    reading, writing = os.pipe()
    os.write(writing, b"wrong horse")
    os.close(writing)
    env = environment(instance, tmp_path / "var", POLYTRIO__WALLET__KEY_FILE=str(key_file))
    command = [*POLYTRIO, "run", "--password-fd", str(reading)]
    system = started(instance, command, env, tmp_path, reading)
    os.close(reading)
    code, out, err = system.finish()
    assert code == 3, err
    assert "the password is wrong" in err
    assert "wrong horse" not in out + err


@pytest.fixture
def deployed(instance, tmp_path):
    """Starts a deployment whose wallet is a keystore, with or without its credential."""
    require_or_skip((Path(sys.executable).parent / "supervisord").exists(), "supervisord")
    key_file = tmp_path / "wallet.json"
    key_file.write_bytes(keystore.encrypt(bytes(31) + b"\7", b"correct horse", 2**10))
    key_file.chmod(0o600)
    (tmp_path / CREDENTIAL).write_bytes(b"correct horse\n")
    started = []

    def start(**more: str) -> System:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        env = environment(
            instance, tmp_path / "var", POLYTRIO__WALLET__KEY_FILE=str(key_file),
            POLYTRIO__SIM__PORT=str(port), **more,
        )  # fmt: skip
        started.append(System(instance, [sys.executable, "supervisor.py", "up"], env, ROOT))
        return started[-1]

    yield start
    for system in started:
        if system.process.poll() is None:
            system.process.terminate()
        system.process.communicate(timeout=60)


def test_a_deployment_opens_its_keystore_with_a_systemd_credential(deployed, tmp_path):
    system = deployed(**{CREDENTIALS: str(tmp_path)})
    until(system.all_running, "all stages run", 60)
    pid = system.row(Role.EXECUTOR).pid
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0, "it is hardened"
    assert b"horse" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_deployment_without_the_credential_is_refused_at_once(deployed):
    code, out, err = deployed().finish()
    assert code == 3, out
    assert "systemd credential 'wallet-password'" in err


def test_the_search_sees_every_shape_of_a_planted_secret():
    secret = bytes(range(100, 132))
    wanted = needles(secret)
    for shape in (secret.hex(), repr(secret), base64.b64encode(secret).decode(), str(secret[8:16])):
        assert found_in(f"log: {shape}\n".encode(), wanted), shape
    assert not found_in(b"log: nothing at all, 0123456789abcdef", wanted)
