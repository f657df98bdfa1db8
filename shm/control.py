"""The control block: the settings everybody runs with, and the switches the operator holds."""

import zlib

import msgspec

from shm.errors import SegmentDamaged, SegmentMissing
from shm.fabric import Fabric
from shm.layout import SETTINGS_BLOB, SETTINGS_BYTES, SWITCHES, SettingsBlob
from shm.settings import Settings


def publish_settings(fabric: Fabric, settings: Settings) -> None:
    """Hand the validated settings to the stages; the caller holds the supervisor's role."""
    text = msgspec.json.encode(settings)
    assert len(text) <= SETTINGS_BYTES, f"settings are {len(text)} bytes, {SETTINGS_BYTES} fit"
    table = fabric.write_table("control.settings", SETTINGS_BLOB)
    generation = table.version(0) + 1
    table.write(0, SettingsBlob(generation, len(text), zlib.crc32(text), text))


def read_settings(fabric: Fabric) -> Settings | None:
    """The settings that whoever started the system has published; None before that.

    `SegmentDamaged` if they are not what was published.
    """
    row = fabric.read_table("control.settings", SETTINGS_BLOB).read(0)
    if row is None or row.length == 0:
        return None
    text = row.text[: row.length]
    if zlib.crc32(text) != row.checksum:
        raise SegmentDamaged(
            "the settings in shared memory are not those that were published: "
            "stop the system and start it again (its memory is made anew)"
        )
    return msgspec.json.decode(text, type=Settings)


def require_settings(fabric: Fabric) -> Settings:
    """The settings of a system that is up; `SegmentMissing` if it is still being made."""
    settings = read_settings(fabric)
    if settings is None:
        raise SegmentMissing("the system is still being started: try again")
    return settings


class SwitchBoard:
    """The operator's switches as a stage sees them: one load each."""

    def __init__(self, fabric: Fabric) -> None:
        self._cells = fabric.counters("control.switches", SWITCHES, write=False)

    @property
    def trading(self) -> bool:
        """Whether new baskets may be sent; any number but desk's own 1 is damage, and means no."""
        return self._cells.read().trading_enabled == 1


class SwitchPanel:
    """desk's hand on the switches."""

    def __init__(self, fabric: Fabric) -> None:
        self._cells = fabric.counters("control.switches", SWITCHES, write=True)

    def set_trading(self, *, enabled: bool) -> None:
        """Allow or forbid new baskets; what is on its way is finished either way."""
        self._cells.set("trading_enabled", int(enabled))
