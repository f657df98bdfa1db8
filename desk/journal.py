"""`polytrio journal`: what the executor's journal says, for people and as JSON; if it is whole.

Only reads, and may run beside the executor: groups that are not whole yet are not there yet.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import msgspec

from desk.journal_fold import judged
from shm.codes import (
    BasketKind,
    Cause,
    Exchange,
    FillStatus,
    FlightState,
    LegReason,
    LegState,
    Mode,
    Outcome,
    PartialReason,
    Purpose,
    Side,
)
from shm.errors import InputError, JournalDamaged
from shm.journal_files import Place
from shm.journal_follow import Follower
from shm.journal_record import Entry
from shm.layout import Octets
from shm.payloads import PAYLOADS
from shm.records import CancelStep, Evidence, Kind, OrderKind
from shm.settings import Settings

POLL_S = 0.1
_NAMES: dict[str, type[IntEnum] | type[IntFlag]] = {
    "outcome": Outcome,
    "side": Side,
    "exchange": Exchange,
    "order_type": OrderKind,
    "purpose": Purpose,
    "mode": Mode,
    "cause": Cause,
    "step": CancelStep,
    "evidence": Evidence,
}
_NAMES_OF: dict[Kind, dict[str, type[IntEnum] | type[IntFlag]]] = {
    Kind.BASKET: {"kind": BasketKind},
    Kind.REPLY: {"state": LegState, "reason": LegReason},
    Kind.VERDICT: {"state": LegState, "reason": LegReason},
    Kind.ENDED: {"state": FlightState, "reason": PartialReason},
    Kind.FILL: {"status": FillStatus},
    Kind.COUNTED: {"status": FillStatus},
    Kind.STANDS: {"state": FlightState, "reason": PartialReason},
}


def place_of(settings: Settings, instance: str | None, folder: Path | None) -> Place:
    """The journal that is asked for: a folder, or an instance's own."""
    if folder is None:
        folder = Path(settings.desk.var_dir) / (instance or settings.instance) / "journal"
    return Place(folder)


@dataclass(frozen=True)
class Wanted:
    """Which records."""

    flight: int | None = None
    kinds: frozenset[Kind] = frozenset()
    since_seq: int = 0

    def has(self, entry: Entry) -> bool:
        """Whether this is one of them."""
        return (
            entry.seq >= self.since_seq
            and self.flight in {None, entry.flight}
            and (not self.kinds or entry.kind in self.kinds)
        )


def kinds_of(names: Iterable[str]) -> frozenset[Kind]:
    """Kinds by name; `InputError` names the known ones."""
    try:
        return frozenset(Kind[name.upper()] for name in names)
    except KeyError as error:
        known = ", ".join(kind.name.lower() for kind in Kind)
        raise InputError(f"no kind {str(error).lower()} of record; there are: {known}") from None


def entries(place: Place, wanted: Wanted, *, forever: bool = False) -> Iterator[Entry]:
    """Records of all segments that are here; `forever`: and of those to come.

    `JournalDamaged` behind the last one that can be read, if something is wrong with the next.
    """
    numbers = list(place.segments())
    if not numbers:
        raise InputError(f"no journal at {place.folder}: the executor makes one when it first runs")
    follower = Follower(place, numbers[0])
    try:
        while True:
            yield from filter(wanted.has, follower.poll())
            if not forever:
                break
            time.sleep(POLL_S)
        if follower.trouble:
            raise JournalDamaged(f"{follower.trouble}; `polytrio journal verify` says more")
    finally:
        follower.close()


# --- as JSON ----------------------------------------------------------------------------------


def as_json(entry: Entry) -> dict[str, Any]:
    """A record as a flat object: frame first, then payload; codes by name, octets as hex."""
    told: dict[str, Any] = {
        "seq": entry.seq,
        "kind": entry.kind.name,
        "flight": entry.flight,
        "leg": entry.leg,
        "run": entry.run,
        "place": entry.place,
        "group": entry.group,
        "mono_ns": entry.mono_ns,
        "wall_ns": entry.wall_ns,
    }
    names = _NAMES | _NAMES_OF.get(entry.kind, {})
    told["payload"] = {
        field.name: _value(field.kind, names.get(field.name), value)
        for field, value in zip(PAYLOADS[entry.kind].record.fields, entry.payload, strict=True)
    }
    return told


def _value(kind: object, codes: type[IntEnum] | type[IntFlag] | None, value: Any) -> Any:
    if isinstance(kind, Octets):
        return value.decode("utf-8", "backslashreplace") if kind.text else value.hex()
    if codes is None:
        return value
    if issubclass(codes, IntFlag):
        return [flag.name for flag in codes if value & flag]
    return codes(value).name if value in set(codes) else value


def export(place: Place, wanted: Wanted, out: Path | None) -> None:
    """One JSON object a line, into a file or to standard output."""
    encoder = msgspec.json.Encoder()
    with nullcontext(sys.stdout.buffer) if out is None else out.open("wb") as file:
        for entry in entries(place, wanted):
            file.write(encoder.encode(as_json(entry)) + b"\n")


# --- for people -------------------------------------------------------------------------------


def as_text(entry: Entry) -> str:
    """A record as one line. What the venue or an operator wrote cannot break out of it."""
    when = datetime.fromtimestamp(entry.wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    about = f" flight {entry.flight}" if entry.flight else ""
    if entry.kind in {Kind.INTENT, Kind.REPLY, Kind.FILL, Kind.VERDICT}:
        about += f" leg {entry.leg}"
    payload: Mapping[str, Any] = as_json(entry)["payload"]
    said = " ".join(f"{name}={_word(value)}" for name, value in payload.items() if _says(value))
    tied = "" if entry.group == 1 else f" [{entry.place + 1}/{entry.group}]"
    return f"{entry.seq:>8} {when} {entry.kind.name}{tied}{about} {said}".rstrip()


def _says(value: Any) -> bool:
    return value not in (0, "", []) and not (isinstance(value, str) and set(value) == {"0"})


def _word(value: Any) -> str:
    if isinstance(value, str):
        short = value if len(value) <= 32 or " " in value else f"{value[:12]}..{value[-4:]}"
        shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in short)
        return f'"{shown}"' if " " in shown else shown
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def show(
    place: Place,
    wanted: Wanted,
    write: Callable[[str], object],
    *,
    last: int | None,
    follow: bool,
) -> None:
    """Print what is there; `last`: only the newest of it; `follow`: and what comes, for ever."""
    if last is None:
        for entry in entries(place, wanted, forever=follow):
            write(as_text(entry))
        return
    newest = deque(entries(place, wanted), maxlen=last)
    for entry in newest:
        write(as_text(entry))
    if follow:
        since = newest[-1].seq + 1 if newest else 0
        show(place, replace(wanted, since_seq=since), write, last=None, follow=True)


def verdict(place: Place) -> dict[str, Any]:
    """Verify all of it; one JSON object."""
    began_ns = time.monotonic_ns()
    found = judged(place)
    if not found.segments and found.head is None:
        raise InputError(f"no journal at {place.folder}: the executor makes one when it first runs")
    seconds = (time.monotonic_ns() - began_ns) / 1e9
    head = found.head
    return {
        "folder": str(place.folder),
        "whole": not found.faults,
        "records": found.records,
        "seconds": round(seconds, 3),
        "durable_seq": head.durable_seq if head else None,
        "segments": [
            {
                "number": segment.number,
                "records": segment.records,
                "groups": segment.groups,
                "first_seq": segment.first_seq,
                "last_seq": segment.last_seq,
            }
            for segment in found.segments
        ],
        "faults": found.faults,
        "notes": found.notes,
    }


def verdict_text(told: Mapping[str, Any]) -> Iterator[str]:
    """The same in lines."""
    for segment in told["segments"]:
        yield (
            f"segment {segment['number']}: records {segment['first_seq']:,} to "
            f"{segment['last_seq']:,} in {segment['groups']:,} groups"
        )
    yield from (f"note: {note}" for note in told["notes"])
    yield from (f"FAULT: {fault}" for fault in told["faults"])
    state = "whole" if told["whole"] else "NOT whole"
    yield (
        f"{told['folder']} is {state}: {told['records']:,} records in {told['seconds']:.2f} s, "
        f"on disk up to {told['durable_seq']}"
    )
