"""The three modes of a running system, and what becomes of a compiled stage that keeps crashing."""

import pytest

from shm import backend
from shm.codes import Role
from shm.errors import InputError
from shm.modes import EngineMode, SocketMode
from tests.conftest import require_or_skip
from tests.pipeline.system import until
from tests.pipeline.verbs import Running

pytestmark = pytest.mark.slow

PLANTED = """
import sys

if "{stage}" in sys.orig_argv:
    from shm import backend

    real = backend.compiled

    def compiled(name):
        module = real(name)
        if name != "{module}":
            return module

        class Crashing(module.{cls}):
            def {method}(self, *_args, **_kwargs):
                import os

                os.abort()

        class Planted:
            LAYOUT_ID = module.LAYOUT_ID
            {cls} = Crashing
            Plan = getattr(module, "Plan", None)

        return Planted

    backend.compiled = compiled
"""


@pytest.fixture
def start(instance, tmp_path):
    """Starts `polytrio run`, with code planted into a stage if that is wanted."""
    require_or_skip(backend.NATIVE, "the compiled kernels")
    running = []

    def begin(planted: dict[str, str] | None = None, **settings: str) -> Running:
        if planted is not None:
            folder = tmp_path / "planted"
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(PLANTED.format(**planted))
            settings["PYTHONPATH"] = str(folder)
        running.append(Running(instance, tmp_path, **settings))
        until(running[-1].all_running, "all stages run")
        return running[-1]

    yield begin
    for system in running:
        system.end()


def require_trading(system: Running) -> None:
    before = system.executor().baskets_complete
    until(lambda: system.executor().baskets_complete > before, "baskets complete")


def test_engine_and_socket_change_while_everybody_else_goes_on(start):
    system = start()
    until(lambda: system.engine.mode == EngineMode.NATIVE, "the native engine")
    epochs = system.epochs()
    system.told("mode", "set", "engine=shadow", "socket=websockets")
    until(lambda: system.engine.mode == EngineMode.SHADOW, "shadow")
    until(lambda: system.ingest.socket_mode == SocketMode.WEBSOCKETS, "websockets")
    until(lambda: system.ingest.books_live == 132, "every book is back")
    require_trading(system)
    until(lambda: system.told("shadow")["native"] > 2, "signals that were compared")
    report = system.told("shadow")
    assert report["on"]
    assert report["differences"] == []
    assert report["native"] == report["python"]
    assert report["timing"]["python_us"]["count"] > 0

    for mode in ("python", "native"):
        system.told("mode", "set", f"engine={mode}")
        until(lambda m=mode: system.engine.mode == EngineMode[m.upper()], mode)
        before = system.engine.signals
        until(lambda b=before: system.engine.signals > b, f"signals in {mode}")
    system.told("mode", "set", "engine=settings", "socket=settings")
    until(lambda: system.ingest.socket_mode == SocketMode.PICOWS, "picows again")
    said = system.told("mode", "show")
    assert (said["engine"]["switch"], said["socket"]["switch"]) == (None, None)
    assert system.epochs() == epochs
    assert "engine python takes over from shadow" in system.log("engine")


def test_execution_is_switched_off_and_on_and_never_to_other_money(start):
    system = start()
    said = system.told("mode", "set", "execution=off")
    assert (said["execution"]["wanted"], said["execution"]["sending"]) == ("off", False)
    assert "EXECUTION OFF: no order leaves" in system.told("status")["modes"]["notices"]
    until(lambda: system.executor().refused_off > 1, "signals that are refused for that reason")
    sent = system.executor().orders_sent
    refused = system.executor().refused_off
    until(lambda: system.executor().refused_off > refused, "and more of them")
    assert system.executor().orders_sent == sent
    code, _, complaint = system.ask("mode", "set", "execution=live")
    assert code == InputError.exit_code
    assert "different wallets" in complaint
    code, _, complaint = system.ask("mode", "set", "engine=quantum")
    assert code == InputError.exit_code
    assert "native, python, shadow" in complaint
    assert system.told("mode", "show")["execution"]["wanted"] == "off"
    system.told("mode", "set", "execution=paper")
    assert system.told("status")["modes"]["notices"] == []
    until(lambda: system.executor().orders_sent > sent, "orders leave again")


def test_a_planted_difference_is_caught_in_a_running_system(start, tmp_path):
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        'if "engine" in sys.orig_argv:\n'
        "    from engine.repeater import Repeater\n"
        "    push = Repeater._push\n"
        "    def greedy(self, row):\n"
        "        profit_usd_e6 = row.profit_usd_e6 + 2_000\n"
        "        return push(self, row._replace(profit_usd_e6=profit_usd_e6))\n"
        "    Repeater._push = greedy\n"
    )
    system = start(PYTHONPATH=str(folder), ENGINE_MODE="shadow")
    until(lambda: system.engine.shadow_profit_alerts > 1, "the difference")
    report = system.told("shadow")
    assert report["worst_usd_e6"] == 2_000
    one = report["differences"][0]
    assert one["differs"] == ["profit"]
    assert one["python"]["profit_usd_e6"] - one["native"]["profit_usd_e6"] == 2_000
    assert one["native"]["legs"] == one["python"]["legs"]
    assert "profits differ by $0.002000" in system.log("engine")
    assert any("SHADOW" in line for line in system.told("status")["modes"]["notices"])
    require_trading(system)


KERNEL = {"stage": "engine", "module": "engine.kernel", "cls": "Kernel", "method": "step"}
KEEPER = {"stage": "ingest", "module": "ingest.native", "cls": "Keeper", "method": "add"}


def test_a_native_engine_that_keeps_crashing_falls_back_and_trades_in_python(start):
    system = start(KERNEL, POLYTRIO__STAGES__FALLBACK_AFTER="2")
    until(lambda: system.engine.mode == EngineMode.PYTHON, "the Python engine")
    said = system.told("mode", "show")
    assert said["engine"]["fallen_back"]
    assert said["engine"]["settings"] == "auto"
    assert said["fallbacks"] == 1
    require_trading(system)
    assert system.row(Role.ENGINE).epoch == 4, "three deaths, and no more"
    assert any("FALLEN BACK" in line for line in system.told("status")["modes"]["notices"])
    assert "PYTHON MODE" in system.log("run")

    system.told("mode", "set", "engine=native")  # it is tried again, crashes, and falls back again
    until(lambda: system.told("mode", "show")["fallbacks"] == 2, "the second fall-back")
    until(lambda: system.running(Role.ENGINE), "the engine runs")
    until(lambda: system.engine.mode == EngineMode.PYTHON, "the Python engine again")
    require_trading(system)
    code, _, err = system.stop()
    assert code == 0, err
    assert "FALLEN BACK to python" in err, "whoever watches the screen is told"


def test_a_compiled_ingest_that_keeps_crashing_falls_back_to_python(start):
    system = start(KEEPER, POLYTRIO__STAGES__FALLBACK_AFTER="2")
    until(lambda: system.ingest.books_live == 132, "books")
    assert system.told("mode", "show")["socket"] | {"wanted": "", "runs": ""} == {
        "settings": "picows", "switch": None, "wanted": "", "runs": "",
        "ingest_native": False, "fallen_back": True,
    }  # fmt: skip
    require_trading(system)
    assert "compiled ingest died 3 times" in system.log("run")
