"""The control block: the settings everybody runs with, and the switches the operator holds."""

import time
import zlib
from typing import NamedTuple

import msgspec

from shm.errors import ConfigError, SegmentDamaged, SegmentMissing
from shm.fabric import Fabric
from shm.layout import (
    ORIGIN_BYTES,
    SETTINGS_BLOB,
    SETTINGS_BYTES,
    SUPERVISION,
    SWITCHES,
    SettingsBlob,
    Supervision,
    Switches,
)
from shm.modes import Answer, EngineMode, Execution, SocketMode
from shm.origin import Origin
from shm.settings import Settings

# --- settings -----------------------------------------------------------------------------------


class Published(NamedTuple):
    """Settings as they stand in shared memory."""

    settings: Settings
    origin: Origin
    version: int
    asked: int
    """Number of the wish that this publication answers."""
    published_wall_ns: int


def publish_settings(
    fabric: Fabric, settings: Settings, origin: Origin | None = None, asked: int = 0
) -> int:
    """Hand validated settings to the stages, all at once; returns their version.

    The caller holds the supervisor's role. `ConfigError` if they are longer than what fits.
    """
    text = msgspec.json.encode(settings)
    origin_text = msgspec.json.encode(origin or Origin())
    if len(text) > SETTINGS_BYTES or len(origin_text) > ORIGIN_BYTES:
        raise ConfigError(
            f"the settings are {len(text)} bytes ({SETTINGS_BYTES} fit), and what is said of their "
            f"origin {len(origin_text)} ({ORIGIN_BYTES} fit): shorten names and addresses"
        )
    table = fabric.write_table("control.settings", SETTINGS_BLOB)
    version = table.version(0) + 1
    table.write(
        0,
        SettingsBlob(
            generation=version,
            published_wall_ns=time.time_ns(),
            asked=asked,
            length=len(text),
            origin_length=len(origin_text),
            checksum=zlib.crc32(text),
            origin_checksum=zlib.crc32(origin_text),
            text=text,
            origin=origin_text,
        ),
    )
    return version


class SettingsReader:
    """Follows the settings: one load tells whether they have changed."""

    def __init__(self, fabric: Fabric) -> None:
        self._table = fabric.read_table("control.settings", SETTINGS_BLOB)
        self._seen = 0

    def changed(self) -> bool:
        """Whether there is something newer than what was read last."""
        return self._table.version(0) != self._seen

    def read(self) -> Published | None:
        """The settings; None before the first publication, or while a new one comes in.

        `SegmentDamaged` if they are not what was published.
        """
        row = self._table.read(0)
        if row is None or row.length == 0:
            return None
        text, origin = row.text[: row.length], row.origin[: row.origin_length]
        if (zlib.crc32(text), zlib.crc32(origin)) != (row.checksum, row.origin_checksum):
            raise SegmentDamaged(
                "the settings in shared memory are not those that were published: "
                "stop the system and start it again (its memory is made anew)"
            )
        self._seen = self._table.seen
        return Published(
            msgspec.json.decode(text, type=Settings),
            msgspec.json.decode(origin, type=Origin),
            row.generation,
            row.asked,
            row.published_wall_ns,
        )


def read_settings(fabric: Fabric) -> Settings | None:
    """The settings that whoever started the system has published; see `SettingsReader.read`."""
    published = SettingsReader(fabric).read()
    return None if published is None else published.settings


def require_published(fabric: Fabric) -> Published:
    """The settings of a system that is up; `SegmentMissing` if it is still being made."""
    published = SettingsReader(fabric).read()
    if published is None:
        raise SegmentMissing("the system is still being started: try again")
    return published


def require_settings(fabric: Fabric) -> Settings:
    """The same without where they are from."""
    return require_published(fabric).settings


# --- switches -----------------------------------------------------------------------------------

_EXECUTIONS = frozenset(Execution)
_ENGINES = frozenset(EngineMode) - {EngineMode.NONE}
_SOCKETS = frozenset(SocketMode) - {SocketMode.NONE}


class SwitchBoard:
    """The operator's switches as a stage sees them: a few loads each."""

    def __init__(self, fabric: Fabric) -> None:
        self._cells = fabric.counters("control.switches", SWITCHES, write=False)
        self._supervision = fabric.counters("control.supervision", SUPERVISION, write=False)

    def read(self) -> Switches:
        """All switches."""
        return self._cells.read()

    def supervision(self) -> Supervision:
        """What the supervisor has decided."""
        return self._supervision.read()

    @property
    def trading(self) -> bool:
        """Whether new baskets may be sent; any number but desk's own 1 is damage, and means no."""
        return self._cells.get("trading_enabled") == 1

    def execution(self, settings: Settings) -> Execution:
        """What becomes of signals; a number that nobody can have set means off."""
        switched = self._cells.get("execution")
        if switched == Execution.NONE:
            return Execution[settings.execution.upper()]
        return Execution(switched) if switched in _EXECUTIONS else Execution.OFF

    def sending(self, settings: Settings) -> bool:
        """Whether orders may leave: with the kind of money that this system was made for."""
        return self.execution(settings) is Execution[settings.mode.upper()]

    def engine(self, settings: Settings) -> EngineMode | None:
        """The engine that was chosen by switch or settings, or by the supervisor after crashes.

        None: it is left to the engine ("auto").
        """
        switches, supervision = self.read(), self.supervision()
        chosen: EngineMode | None = None
        if switches.engine_mode in _ENGINES:
            chosen = EngineMode(switches.engine_mode)
        elif settings.engine.mode != "auto":
            chosen = EngineMode[settings.engine.mode.upper()]
        if fallen_back(switches, supervision) and chosen is not EngineMode.PYTHON:
            return EngineMode.PYTHON
        return chosen

    def socket(self, settings: Settings) -> SocketMode:
        """The library that was chosen by switch or settings to carry the market channel."""
        switched = self.read().socket_mode
        if switched in _SOCKETS:
            return SocketMode(switched)
        return SocketMode[settings.ingest.socket.upper()]

    @property
    def ingest_in_python(self) -> bool:
        """Whether the supervisor has given up the compiled ingest after crashes."""
        return ingest_fallen_back(self.read(), self.supervision())


def ingest_fallen_back(switches: Switches, supervision: Supervision) -> bool:
    """The same as `fallen_back`, of the compiled keeper and listener."""
    return supervision.ingest_fallback == switches.socket_choices + 1


def fallen_back(switches: Switches, supervision: Supervision) -> bool:
    """Whether the supervisor's decision for Python holds: no choice was made since."""
    return supervision.fallback == switches.choices + 1


class SwitchPanel:
    """desk's hand on the switches."""

    def __init__(self, fabric: Fabric) -> None:
        self._cells = fabric.counters("control.switches", SWITCHES, write=True)

    def read(self) -> Switches:
        """All switches."""
        return self._cells.read()

    def set_trading(self, *, enabled: bool) -> None:
        """Allow or forbid new baskets; what is on its way is finished either way."""
        self._cells.set("trading_enabled", int(enabled))

    def set_engine(self, mode: EngineMode) -> None:
        """Choose an engine (NONE: the one of the settings); ends a fall-back."""
        self._cells.set("engine_mode", mode)
        self._cells.add("choices")

    def set_socket(self, mode: SocketMode) -> None:
        """Choose a library for the market channel (NONE: as the settings say); ends a fall-back."""
        self._cells.set("socket_mode", mode)
        self._cells.add("socket_choices")

    def set_execution(self, execution: Execution) -> None:
        """Choose what becomes of signals (NONE: what the settings say)."""
        self._cells.set("execution", execution)

    def answer(self, wish: int, answer: Answer) -> None:
        """Say that a wish was heard, after it was fulfilled or refused."""
        self._cells.set("wish_answer", answer)
        self._cells.set("wish_seen", wish)
