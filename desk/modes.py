"""The three modes while the system runs: who may choose what, what holds, and how it is asked for.

desk has the switches; a command line asks it by a wish (shm/wishes.py) and is answered. What cannot
be is refused there, so that no switch ever says something that no stage could do.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from shm import backend
from shm.control import (
    SettingsReader,
    SwitchBoard,
    SwitchPanel,
    fallen_back,
    ingest_fallen_back,
    require_published,
)
from shm.errors import InputError
from shm.fabric import Fabric
from shm.layout import ENGINE_STATS, INGEST_STATS, Wish
from shm.modes import Answer, EngineMode, Execution, SocketMode, WishKind
from shm.settings import Settings
from shm.wishes import Operator, WishReader

AS_SETTINGS = "settings"
"""The word that takes a choice back."""
_log = logging.getLogger("desk.modes")
_ModeT = TypeVar("_ModeT", bound=IntEnum)


class Choice(NamedTuple):
    """What is wanted of the modes; None leaves one alone, NONE gives it back to the settings."""

    engine: EngineMode | None = None
    socket: SocketMode | None = None
    execution: Execution | None = None


_KINDS: dict[str, type[IntEnum]] = {
    "engine": EngineMode,
    "socket": SocketMode,
    "execution": Execution,
}


def parsed(words: tuple[str, ...]) -> Choice:
    """`engine=shadow socket=picows execution=off` as a choice; `InputError` if it is none."""
    found: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in _KINDS:
            raise InputError(f"{word!r}: say one of {', '.join(_KINDS)}, as in `engine=native`")
        allowed = {AS_SETTINGS: 0} | {m.name.lower(): m for m in _KINDS[name] if m}
        if value not in allowed:
            raise InputError(f"{word!r}: {name} is one of {', '.join(allowed)}")
        found[name] = _KINDS[name](allowed[value])
    return Choice(**found)


def objection(choice: Choice, settings: Settings, *, native: bool) -> str | None:
    """Why a choice cannot be; None if it can."""
    if choice.engine in {EngineMode.NATIVE, EngineMode.SHADOW} and not native:
        return "the kernels are not built: install a C compiler and run `make clean setup`"
    money = {Execution.PAPER: "paper", Execution.LIVE: "live"}
    wanted = money.get(choice.execution) if choice.execution else None
    if wanted is not None and wanted != settings.mode:
        return (
            f"this system was made for {settings.mode} money, and paper and live are different "
            "wallets: stop it, change `execution` and start it again"
        )
    return None


# --- desk's side --------------------------------------------------------------------------------


class ModeKeeper:
    """desk's ear for wishes. Needs its role."""

    def __init__(self, fabric: Fabric, panel: SwitchPanel) -> None:
        self._fabric = fabric
        self._panel = panel
        self._wishes = WishReader(fabric, WishKind.MODES)

    def turn(self) -> None:
        """Hear what is asked for, if anything new is."""
        wish = self._wishes.news()
        if wish is None or wish.number == self._panel.read().wish_seen:
            return  # one that a predecessor of ours has answered
        settings = require_published(self._fabric).settings
        try:
            choice = _wished(wish)
        except ValueError:
            _log.warning("a wish that means nothing: %s", wish)
            self._panel.answer(wish.number, Answer.REFUSED)
            return
        against = objection(choice, settings, native=backend.NATIVE)
        if against is not None:
            _log.warning("refused: %s", against)
            self._panel.answer(wish.number, Answer.REFUSED)
            return
        self._carry_out(choice)
        self._panel.answer(wish.number, Answer.DONE)

    def _carry_out(self, choice: Choice) -> None:
        if choice.engine is not None:
            self._panel.set_engine(choice.engine)
        if choice.socket is not None:
            self._panel.set_socket(choice.socket)
        if choice.execution is not None:
            self._panel.set_execution(choice.execution)
        for name, mode in choice._asdict().items():
            if mode is not None:
                _log.warning(
                    "%s: %s, as asked for", name, mode.name.lower() if mode else "settings"
                )


def _wished(wish: Wish) -> Choice:
    return Choice(
        _one_less(EngineMode, wish.engine_mode),
        _one_less(SocketMode, wish.socket_mode),
        _one_less(Execution, wish.execution),
    )


def _one_less(kind: type[_ModeT], number: int) -> _ModeT | None:
    return kind(number - 1) if number else None


# --- the command line's side --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Modes:
    """What was chosen where, and what runs."""

    instance: str
    settings_version: int
    tree: Settings
    switches: Choice
    effective: Choice
    engine_runs: EngineMode
    socket_runs: SocketMode
    ingest_native: bool
    engine_fell_back: bool
    ingest_fell_back: bool
    fallbacks: int
    sending: bool
    shadow_alerts: int

    @property
    def notices(self) -> list[str]:
        """What nobody may overlook."""
        found = []
        if self.engine_fell_back:
            found.append(
                "the native engine kept crashing: FALLEN BACK to python; "
                "`polytrio mode set engine=native` tries it again"
            )
        if self.ingest_fell_back:
            found.append(
                "the compiled ingest kept crashing: FALLEN BACK to python; "
                "`polytrio mode set socket=settings` tries it again"
            )
        if not self.sending:
            found.append("EXECUTION OFF: no order leaves")
        if self.shadow_alerts:
            found.append(
                f"SHADOW: {self.shadow_alerts} alerts, the engines differ; see `polytrio shadow`"
            )
        return found

    def as_json(self) -> Mapping[str, Any]:
        """For machines."""
        return {
            "instance": self.instance,
            "settings_version": self.settings_version,
            "engine": {
                "settings": self.tree.engine.mode,
                "switch": _word(self.switches.engine),
                "wanted": _word(self.effective.engine) or "auto",
                "runs": _word(self.engine_runs),
                "fallen_back": self.engine_fell_back,
            },
            "socket": {
                "settings": self.tree.ingest.socket,
                "switch": _word(self.switches.socket),
                "wanted": _word(self.effective.socket),
                "runs": _word(self.socket_runs),
                "ingest_native": self.ingest_native,
                "fallen_back": self.ingest_fell_back,
            },
            "execution": {
                "settings": self.tree.execution,
                "switch": _word(self.switches.execution),
                "wanted": _word(self.effective.execution),
                "sending": self.sending,
            },
            "fallbacks": self.fallbacks,
            "notices": self.notices,
        }

    def lines(self) -> list[str]:
        """For people."""
        ingest = "" if self.ingest_native else ", ingest in Python"
        return [
            f"engine     {_word(self.engine_runs) or 'not running yet'}"
            + _said(self.tree.engine.mode, self.switches.engine),
            f"socket     {_word(self.socket_runs) or 'not running yet'}{ingest}"
            + _said(self.tree.ingest.socket, self.switches.socket),
            f"execution  {_word(self.effective.execution)}"
            + _said(self.tree.execution, self.switches.execution),
            *self.notices,
        ]


def _word(mode: IntEnum | None) -> str | None:
    return mode.name.lower() if mode else None


def _said(settings: str, switch: IntEnum | None) -> str:
    chosen = f", switch {_word(switch)}" if switch else ""
    return f"  (settings {settings}{chosen})"


class ModesWatch:
    """Looks at the modes of a running system."""

    def __init__(self, fabric: Fabric) -> None:
        self._instance = fabric.instance
        self._published = require_published(fabric)
        self._settings = SettingsReader(fabric)
        self._board = SwitchBoard(fabric)
        self._engine = fabric.counters("stats-engine.counters", ENGINE_STATS, write=False)
        self._ingest = fabric.counters("stats-ingest.counters", INGEST_STATS, write=False)

    def look(self) -> Modes:
        """What was chosen where, and what runs."""
        if self._settings.changed():
            self._published = self._settings.read() or self._published
        board, settings = self._board, self._published.settings
        switches, supervision = board.read(), board.supervision()
        engine, ingest = self._engine.read(), self._ingest.read()
        return Modes(
            instance=self._instance,
            settings_version=self._published.version,
            tree=settings,
            switches=Choice(
                _known(EngineMode, switches.engine_mode),
                _known(SocketMode, switches.socket_mode),
                _known(Execution, switches.execution),
            ),
            effective=Choice(
                board.engine(settings), board.socket(settings), board.execution(settings)
            ),
            engine_runs=_known(EngineMode, engine.mode),
            socket_runs=_known(SocketMode, ingest.socket_mode),
            ingest_native=ingest.native == 1,
            engine_fell_back=fallen_back(switches, supervision),
            ingest_fell_back=ingest_fallen_back(switches, supervision),
            fallbacks=supervision.fallbacks + supervision.ingest_fallbacks,
            sending=board.sending(settings),
            shadow_alerts=engine.shadow_profit_alerts + engine.shadow_count_alerts,
        )


def modes_of(instance: str) -> Modes:
    """Look once; `SegmentMissing` if nothing runs."""
    return ModesWatch(Fabric(instance)).look()


def _known(kind: type[_ModeT], number: int) -> _ModeT:
    return kind(number) if number in set(kind) else kind(0)


def choose(instance: str, choice: Choice) -> Modes:
    """Ask desk for other modes; what holds then. `InputError` if it refuses, with the reason."""
    settings = require_published(Fabric(instance)).settings
    against = objection(choice, settings, native=backend.NATIVE)
    if against is not None:
        raise InputError(against)
    with Operator(instance) as operator:
        answer = operator.choose(choice.engine, choice.execution, choice.socket)
    if answer is not Answer.DONE:
        raise InputError("desk refuses: see its log")
    return modes_of(instance)
