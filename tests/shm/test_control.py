"""Control: who chose which mode, what holds, and what damage to a switch may cause."""

import pytest

from shm.codes import Role
from shm.control import SwitchBoard, SwitchPanel, fallen_back, publish_settings, require_published
from shm.errors import ConfigError
from shm.fabric import Fabric
from shm.layout import SUPERVISION, SWITCHES
from shm.modes import Answer, EngineMode, Execution, SocketMode
from shm.origin import Origin
from shm.settings import EngineSettings, Settings
from shm.supervision import Supervision
from shm.system import create_all


class Control:
    """The switches of one instance from all sides."""

    def __init__(self, instance: str, **settings) -> None:
        self.settings = Settings(instance=instance, **settings)
        fabric = create_all(self.settings)
        self.supervision = Supervision(fabric)
        self.panel = SwitchPanel(Fabric(instance, Role.DESK))
        self.board = SwitchBoard(Fabric(instance, Role.EXECUTOR))
        self.cells = Fabric(instance, Role.DESK).counters("control.switches", SWITCHES, write=True)

    @property
    def engine(self):
        return self.board.engine(self.settings)

    @property
    def sending(self) -> bool:
        return self.board.sending(self.settings)


@pytest.mark.parametrize(
    ("configured", "switched", "sending"),
    [
        ("paper", Execution.NONE, True),
        ("paper", Execution.OFF, False),
        ("paper", Execution.PAPER, True),
        ("paper", Execution.LIVE, False),  # desk refuses to set it: then nothing is sent at all
        ("off", Execution.NONE, False),
        ("off", Execution.PAPER, True),
        ("off", Execution.OFF, False),
        ("off", Execution.LIVE, False),
        ("live", Execution.NONE, True),
        ("live", Execution.PAPER, False),
        ("live", Execution.OFF, False),
    ],
)
def test_orders_leave_only_with_the_money_that_the_system_was_made_for(
    instance, configured, switched, sending
):
    control = Control(instance, execution=configured)
    control.panel.set_execution(switched)
    assert control.sending is sending


@pytest.mark.parametrize("number", [4, 5, 2**32, 2**64 - 1])
def test_a_damaged_execution_switch_means_off(instance, number):
    control = Control(instance)
    assert control.sending
    control.cells.set("execution", number)
    assert control.board.execution(control.settings) is Execution.OFF
    assert not control.sending


@pytest.mark.parametrize("number", [4, 2**32, 2**64 - 1])
def test_a_damaged_engine_switch_means_the_engine_of_the_settings(instance, number):
    control = Control(instance, engine=EngineSettings(mode="python"))
    control.cells.set("engine_mode", number)
    assert control.engine is EngineMode.PYTHON


def test_the_switch_goes_before_the_settings_until_it_is_taken_back(instance):
    control = Control(instance, engine=EngineSettings(mode="native"))
    assert control.engine is EngineMode.NATIVE
    control.panel.set_engine(EngineMode.SHADOW)
    assert control.engine is EngineMode.SHADOW
    control.panel.set_engine(EngineMode.NONE)
    assert control.engine is EngineMode.NATIVE
    assert Control(instance).engine is None


def test_an_answer_is_seen_after_what_was_done(instance):
    control = Control(instance)
    control.panel.answer(7, Answer.REFUSED)
    row = control.panel.read()
    assert (row.wish_seen, row.wish_answer) == (7, Answer.REFUSED)


def test_settings_that_do_not_fit_are_refused_and_the_old_ones_stay(instance):
    fabric = create_all(Settings(instance=instance))
    long = Origin(environment={"POLYTRIO__VENUES__CLOB_URL": "x" * 9_000})
    with pytest.raises(ConfigError, match="shorten"):
        publish_settings(fabric, Settings(instance=instance), long)
    assert require_published(Fabric(instance)).version == 1


# --- fall-back ----------------------------------------------------------------------------------

needs_kernels = pytest.mark.usefixtures("kernels")


@pytest.fixture
def kernels(monkeypatch):
    """As on a machine with kernels: only the supervisor's decision is tried here."""
    monkeypatch.setattr("shm.backend.NATIVE", True)


@needs_kernels
@pytest.mark.parametrize("mode", ["auto", "native", "shadow"])
def test_a_native_engine_that_keeps_dying_falls_back_and_any_choice_ends_that(instance, mode):
    control = Control(instance, engine=EngineSettings(mode=mode))
    after = control.settings.stages.fallback_after
    assert not any(control.supervision.engine_died(deaths) for deaths in range(1, after + 1))
    assert not control.supervision.fallen_back
    assert control.supervision.engine_died(after + 1)
    assert control.engine is EngineMode.PYTHON
    assert control.supervision.fallen_back
    assert not control.supervision.engine_died(100), "it is in Python already"
    row = control.board.supervision()
    assert (row.fallbacks, row.fallback_deaths) == (1, after + 1)
    control.panel.set_engine(EngineMode.NATIVE)
    assert not control.supervision.fallen_back
    assert control.engine is EngineMode.NATIVE
    assert control.supervision.engine_died(after + 1), "and so on"
    assert control.engine is EngineMode.PYTHON
    control.panel.set_engine(EngineMode.NONE)
    assert control.engine is (None if mode == "auto" else EngineMode[mode.upper()])


@needs_kernels
def test_an_engine_that_runs_in_python_by_choice_has_nothing_to_fall_back_to(instance):
    control = Control(instance, engine=EngineSettings(mode="python"))
    assert not control.supervision.engine_died(1_000)
    assert not control.supervision.fallen_back


def test_without_kernels_there_is_no_fall_back(instance, monkeypatch):
    monkeypatch.setattr("shm.backend.NATIVE", False)
    assert not Control(instance).supervision.engine_died(1_000)


def test_a_fall_back_is_a_fact_of_shared_memory_not_of_the_supervisors_process(instance, kernels):
    control = Control(instance)
    assert control.supervision.engine_died(1_000)
    row = Fabric(instance).counters("control.supervision", SUPERVISION, write=False).read()
    assert fallen_back(control.panel.read(), row)
    assert Supervision(Fabric(instance, Role.SUPERVISOR)).fallen_back


# --- the market channel -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [3, 2**32, 2**64 - 1])
def test_a_damaged_socket_switch_means_the_library_of_the_settings(instance, number):
    control = Control(instance)
    control.cells.set("socket_mode", number)
    assert control.board.socket(control.settings) is SocketMode.PICOWS


def test_the_socket_switch_goes_before_the_settings_until_it_is_taken_back(instance):
    control = Control(instance)
    control.panel.set_socket(SocketMode.WEBSOCKETS)
    assert control.board.socket(control.settings) is SocketMode.WEBSOCKETS
    control.panel.set_socket(SocketMode.NONE)
    assert control.board.socket(control.settings) is SocketMode.PICOWS


@needs_kernels
def test_a_compiled_ingest_that_keeps_dying_falls_back_and_any_choice_of_a_socket_ends_that(
    instance,
):
    control = Control(instance)
    after = control.settings.stages.fallback_after
    died = control.supervision.stage_died
    assert not any(died(Role.INGEST, deaths) for deaths in range(1, after + 1))
    assert not control.board.ingest_in_python
    assert died(Role.INGEST, after + 1)
    assert control.board.ingest_in_python
    assert not died(Role.INGEST, 100), "it is in Python already"
    assert control.engine is None, "the engine has nothing to do with it"
    control.panel.set_engine(EngineMode.NATIVE)
    assert control.board.ingest_in_python
    control.panel.set_socket(SocketMode.NONE)
    assert not control.board.ingest_in_python
    assert control.board.supervision().ingest_fallbacks == 1


@needs_kernels
@pytest.mark.parametrize("role", [Role.EXECUTOR, Role.KILLER])
def test_no_other_stage_falls_back(instance, role):
    assert not Control(instance).supervision.stage_died(role, 1_000)
