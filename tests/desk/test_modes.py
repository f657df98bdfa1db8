"""desk and the modes: what may be chosen, what is refused, and what is said of it."""

import pytest

from desk.modes import Choice, ModeKeeper, modes_of, objection, parsed
from shm.codes import Role
from shm.control import SwitchPanel
from shm.errors import InputError, SegmentMissing
from shm.fabric import Fabric
from shm.layout import ENGINE_STATS, SUPERVISION, WISH, Wish
from shm.modes import Answer, EngineMode, Execution, SocketMode, WishKind
from shm.settings import Settings
from shm.system import create_all

PAPER = Settings()
OFF = Settings(execution="off")
LIVE = Settings(execution="live")


class Asked:
    """A system whose desk the test turns, and whose operator it plays."""

    def __init__(self, instance: str) -> None:
        create_all(Settings(instance=instance))
        self.instance = instance
        self.fabric = Fabric(instance, Role.DESK)
        self.panel = SwitchPanel(self.fabric)
        self.keeper = ModeKeeper(self.fabric, self.panel)
        self._wishes = Fabric(instance, Role.OPERATOR).write_table("control.wish", WISH)

    def wish(self, number: int, engine=0, execution=0, socket=0, kind=WishKind.MODES) -> None:
        self._wishes.write(0, Wish(number, kind, engine, execution, socket, 1))
        self.keeper.turn()

    @property
    def answer(self) -> tuple[int, int]:
        row = self.panel.read()
        return row.wish_seen, row.wish_answer


@pytest.fixture
def asked(instance, monkeypatch) -> Asked:
    monkeypatch.setattr("shm.backend.NATIVE", True)
    return Asked(instance)


def test_a_wish_is_carried_out_and_answered(asked):
    asked.wish(7, EngineMode.SHADOW + 1, Execution.OFF + 1, SocketMode.WEBSOCKETS + 1)
    row = asked.panel.read()
    assert (row.engine_mode, row.execution, row.socket_mode) == (3, 3, 2)
    assert asked.answer == (7, Answer.DONE)
    asked.wish(8, execution=Execution.NONE + 1)
    row = asked.panel.read()
    assert (row.engine_mode, row.execution, row.socket_mode) == (3, 0, 2), "the others stay"


@pytest.mark.parametrize(
    ("engine", "execution", "socket"),
    [(99, 0, 0), (0, 99, 0), (0, 0, 99), (0, Execution.LIVE + 1, 0),
     (EngineMode.PYTHON + 1, Execution.LIVE + 1, 0)],
)  # fmt: skip
def test_what_cannot_be_is_refused_whole(asked, engine, execution, socket):
    asked.wish(3, engine, execution, socket)
    row = asked.panel.read()
    assert (row.engine_mode, row.execution, row.socket_mode) == (0, 0, 0)
    assert asked.answer == (3, Answer.REFUSED)


def test_a_wish_to_somebody_else_is_left_alone(asked):
    asked.wish(3, EngineMode.PYTHON + 1, kind=WishKind.RELOAD)
    assert asked.answer == (0, Answer.NONE)


def test_a_desk_that_starts_again_does_not_carry_out_an_old_wish_once_more(asked):
    asked.wish(5, EngineMode.SHADOW + 1)
    asked.panel.set_engine(EngineMode.PYTHON)  # chosen since
    ModeKeeper(asked.fabric, asked.panel).turn()
    assert asked.panel.read().engine_mode == EngineMode.PYTHON


def test_a_wish_that_a_dead_desk_left_is_carried_out_by_the_next_one(asked):
    asked._wishes.write(0, Wish(9, WishKind.MODES, EngineMode.PYTHON + 1, 0, 0, 1))
    ModeKeeper(asked.fabric, asked.panel).turn()
    assert asked.answer == (9, Answer.DONE)


@pytest.mark.parametrize(
    ("choice", "settings", "native", "says"),
    [
        (Choice(engine=EngineMode.NATIVE), PAPER, False, "C compiler"),
        (Choice(engine=EngineMode.SHADOW), PAPER, False, "C compiler"),
        (Choice(engine=EngineMode.PYTHON), PAPER, False, None),
        (Choice(engine=EngineMode.NONE), PAPER, False, None),
        (Choice(engine=EngineMode.SHADOW), PAPER, True, None),
        (Choice(execution=Execution.LIVE), PAPER, True, "made for paper money"),
        (Choice(execution=Execution.LIVE), OFF, True, "made for paper money"),
        (Choice(execution=Execution.PAPER), LIVE, True, "made for live money"),
        (Choice(execution=Execution.PAPER), OFF, True, None),
        (Choice(execution=Execution.OFF), LIVE, True, None),
        (Choice(execution=Execution.NONE), LIVE, True, None),
        (Choice(socket=SocketMode.WEBSOCKETS), PAPER, False, None),
    ],
)
def test_every_objection_has_its_reason(choice, settings, native, says):
    found = objection(choice, settings, native=native)
    assert (found is None) == (says is None)
    assert says is None or says in found


def test_words_become_a_choice():
    assert parsed(("engine=native", "execution=off")) == Choice(
        engine=EngineMode.NATIVE, execution=Execution.OFF
    )
    assert parsed(("socket=settings",)) == Choice(socket=SocketMode.NONE)


@pytest.mark.parametrize(
    ("word", "says"),
    [("engine", "engine is one of settings, native, python, shadow"),
     ("engine=none", "engine is one of"), ("motor=on", "say one of engine, socket, execution"),
     ("execution=real", "execution is one of settings, paper, live, off"), ("", "say one of")],
)  # fmt: skip
def test_words_that_mean_nothing_are_refused_with_what_is_allowed(word, says):
    with pytest.raises(InputError, match=says):
        parsed((word,))


def test_what_nobody_may_overlook_is_said(asked):
    assert modes_of(asked.instance).notices == []
    asked.panel.set_execution(Execution.OFF)
    supervisor = Fabric(asked.instance, Role.SUPERVISOR)
    cells = supervisor.counters("control.supervision", SUPERVISION, write=True)
    cells.set("fallback", 1)
    cells.set("ingest_fallback", 1)
    engine = Fabric(asked.instance, Role.ENGINE)
    engine.counters("stats-engine.counters", ENGINE_STATS, write=True).set(
        "shadow_profit_alerts", 2
    )
    said = modes_of(asked.instance)
    assert len(said.notices) == 4
    text = "\n".join(said.lines())
    for word in (
        "native engine kept crashing",
        "compiled ingest kept",
        "EXECUTION OFF",
        "SHADOW: 2",
    ):
        assert word in text
    assert said.as_json()["engine"]["fallen_back"]


def test_where_nothing_runs_that_is_said(instance):
    with pytest.raises(SegmentMissing):
        modes_of(instance)
