"""Paper money reaches nothing but this machine: every connection and every name is seen (E9)."""

import shutil
import subprocess

import pytest

from tests.pipeline.system import POLYTRIO, ROOT, environment, last_json

pytestmark = pytest.mark.slow

SPY = """
import os, sys
def spy(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        where = arguments[event != "socket.getaddrinfo"]
        module = " ".join(sys.orig_argv)
        line = f"{event}|{where!r}|{module}\\n"
        fd = os.open(os.environ["SPY_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line.encode())
        os.close(fd)
sys.addaudithook(spy)
"""  # fmt: skip
HERE = ("127.0.0.1", "localhost", "::1")


def spied(instance, tmp_path, command: list[str], **more: str) -> tuple[subprocess.Popen, list]:
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(SPY)
    log = tmp_path / "spied"
    env = environment(
        instance, tmp_path / "var", PYTHONPATH=str(tmp_path / "spy"), SPY_LOG=str(log),
        POLYTRIO__STAGES__LOOP="asyncio",  # the other loop connects where Python does not see it
        **more,
    )  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    lines = log.read_text().splitlines() if log.exists() else []
    return done, [line.split("|") for line in lines]


def without_a_route(command: list[str]) -> list[str]:
    """The command in a network of its own, which has a loopback and nothing else."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    script = 'ip link set lo up && exec "$@"'
    own = ["unshare", "--map-root-user", "--net", "sh", "-c", script, "sh"]
    if subprocess.run([*own, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs the right to make a network namespace")
    return [*own, *command]


def test_e9_paper_money_trades_without_any_route_and_asks_for_no_other_machine(instance, tmp_path):
    command = without_a_route([*POLYTRIO, "run", "--for", "20", "--json"])
    done, seen = spied(instance, tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert last_json(done.stdout)["baskets_complete"] > 0
    executors = [where for event, where, who in seen
                 if event == "socket.connect" and "-m executor " in who]  # fmt: skip
    assert len(executors) > 3, "the spy sees what there is to see"
    strange = [one for one in seen if not one[1].strip("('\\\"").startswith(HERE)
               and not one[1].startswith(("'/", "'polytrio", "b'"))]  # fmt: skip
    assert strange == []


def test_e9_nobody_who_could_order_even_looks_up_another_host(instance, tmp_path):
    command = [*POLYTRIO, "run", "--for", "8", "--json"]
    done, seen = spied(
        instance, tmp_path, command, POLYTRIO__VENUES__CLOB_URL="https://clob.example"
    )  # fmt: skip
    assert done.returncode == 8, (done.returncode, done.stderr)
    assert "this machine only" in done.stderr
    # The desk reads public pages there, and has neither key nor credentials.
    assert {
        who for _, where, who in seen if "example" in where and "-m desk run" not in who
    } == set()
