"""The rules of the proxy: which connections or messages are spoilt, and how; files of them.

    [[rules]]
    way = "down"
    request = "POST /orders"
    when = { nth = 2 }
    then = { do = "drop" }

Toxics of bytes are chosen by connection, toxics of messages (HTTP messages, WebSocket frames) by
message; `nth`, `every`, `chance` and `count` count what passes the filters `way` and `request`.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shm.errors import ConfigError

Millis = Annotated[int, Meta(ge=0, le=3_600_000)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 40)]
Number = Annotated[int, Meta(ge=1, le=10**9)]


class Toxic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Base of all toxics."""


class Latency(Toxic, frozen=True, tag="latency"):
    """Every piece takes `ms` longer, give or take up to `jitter_ms`; the order stays."""

    ms: Millis
    jitter_ms: Millis = 0


class Bandwidth(Toxic, frozen=True, tag="bandwidth"):
    """At most so many bytes a second pass."""

    bytes_per_s: Annotated[int, Meta(ge=1, le=1 << 40)]


class Slice(Toxic, frozen=True, tag="slice"):
    """Pieces of `bytes` bytes, one packet each, with `gap_ms` between them."""

    bytes: Number = 1
    gap_ms: Millis = 0


class Stall(Toxic, frozen=True, tag="stall"):
    """After `after_bytes` bytes nothing passes for `ms`; 0 is for ever."""

    after_bytes: Bytes = 0
    ms: Millis = 0


class Vanish(Toxic, frozen=True, tag="vanish"):
    """After `after_bytes` bytes the peer is gone without a word: nothing passes, nothing closes."""

    after_bytes: Bytes = 0


class Reset(Toxic, frozen=True, tag="reset"):
    """After `after_bytes` bytes the connection ends with RST."""

    after_bytes: Bytes = 0


class Close(Toxic, frozen=True, tag="close"):
    """After `after_bytes` bytes the connection ends with FIN."""

    after_bytes: Bytes = 0


class Refuse(Toxic, frozen=True, tag="refuse"):
    """The connection is reset as soon as it is made."""


class Drop(Toxic, frozen=True, tag="drop"):
    """The message vanishes, the connection stays."""


class Repeat(Toxic, frozen=True, tag="repeat"):
    """The message comes `times` more times."""

    times: Annotated[int, Meta(ge=1, le=100)] = 1


class Late(Toxic, frozen=True, tag="late"):
    """The message, and what follows it, waits for `ms`; also when its sender has gone meanwhile."""

    ms: Millis


class Swap(Toxic, frozen=True, tag="swap"):
    """The message comes after the next one."""


ByteToxic = Latency | Bandwidth | Slice | Stall | Vanish | Reset | Close | Refuse
MessageToxic = Drop | Repeat | Late | Swap


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of those that pass the filters are meant, and from when to when."""

    nth: Number | tuple[Number, ...] | None = None
    every: Number | None = None
    chance: Annotated[float, Meta(gt=0, le=1)] | None = None
    count: Number | None = None
    from_ms: Millis = 0
    until_ms: Millis | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. `request` is how the request line begins, such as "POST /orders"."""

    then: ByteToxic | MessageToxic
    way: Literal["up", "down", "both"] = "both"
    request: str = ""
    when: When = When()
    name: str = ""

    def __post_init__(self) -> None:
        if self.request and isinstance(self.then, ByteToxic):
            raise ValueError("`request` is for toxics of messages: bytes know no requests")


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of rules."""

    rules: tuple[Rule, ...] = ()


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a JSON or TOML file; `ConfigError` that names the file and the place in it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--faults {path}: {error.strerror}") from error
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
    try:
        return decode(raw, type=Script).rules
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"--faults {path}: {error}") from error
