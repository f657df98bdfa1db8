"""What a segment says about itself: the JSON schema behind its header, checked before it is used.

The inspector reads by this schema and by nothing else, and it may come from a version that nobody
here has seen, from a damaged file, or from somebody who means harm. So all of it is checked once,
before the first row is read: whatever a checked schema points at lies inside its segment.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from shm.errors import UNREADABLE, LayoutMismatch
from shm.layout import COMMIT_BYTES
from shm.segments import LATCH_HEAD_BYTES, RING_SLOTS_OFFSET, Kind

TOTAL_BYTES_MAX = 1 << 30
"""Ours have a few megabytes; a file that claims a thousand times as much is not looked at."""

_WORD = 8
_FORMAT = re.compile(r"<[iu][1248]|<f[48]|\|[iu]1|\|[SV][1-9][0-9]{0,6}", re.ASCII)

Name = Annotated[str, Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_-]{0,47}\Z")]
Bytes = Annotated[int, Meta(ge=0, le=TOTAL_BYTES_MAX)]
Count = Annotated[int, Meta(ge=1, le=1 << 20)]


class FieldSchema(msgspec.Struct, frozen=True, array_like=True):
    """One field: numpy's format, the offset inside its record, elements."""

    name: Name
    format: str
    offset: Bytes
    count: Count

    @property
    def item_bytes(self) -> int:
        """Size of one element."""
        return int(self.format[2:])

    @property
    def is_word(self) -> bool:
        """Whether it is one unsigned or signed 64-bit integer."""
        return self.count == 1 and self.format in {"<u8", "<i8"}

    @property
    def type_name(self) -> str:
        """The type for people: `u64`, `i32 x16`, `text 32`, `bytes 16`."""
        match self.format[1]:
            case "S":
                name = f"text {self.item_bytes}"
            case "V":
                name = f"bytes {self.item_bytes}"
            case letter:
                name = f"{letter}{8 * self.item_bytes}"
        return name if self.count == 1 else f"{name} x{self.count}"


class RecordSchema(msgspec.Struct, frozen=True):
    """One record: its fields lie inside `size` bytes."""

    name: Name
    size: Annotated[int, Meta(ge=1, le=1 << 24)]
    fields: tuple[FieldSchema, ...]

    def field(self, name: str) -> FieldSchema | None:
        """The field of this name, if there is one."""
        return next((field for field in self.fields if field.name == name), None)


class PartSchema(msgspec.Struct, frozen=True):
    """So many records of one kind, one after the other, inside a row."""

    count: Count
    record: RecordSchema


class SectionSchema(msgspec.Struct, frozen=True):
    """A run of equal rows; `offset` counts from the segment's data."""

    name: Name
    kind: str
    offset: Bytes
    rows: Count
    stride: Bytes
    prelude: Bytes
    payload: Bytes
    writers: tuple[Name, ...]
    readers: tuple[Name, ...]
    parts: tuple[PartSchema, ...]


class SegmentSchema(msgspec.Struct, frozen=True):
    """All of one segment."""

    segment: Name
    purpose: str
    sections: tuple[SectionSchema, ...]


def parse(text: bytes, name: str) -> SegmentSchema:
    """JSON -> schema that is right in itself; `LayoutMismatch` says what is wrong with it."""
    try:
        schema = msgspec.json.decode(text, type=SegmentSchema)
    except UNREADABLE as error:
        raise LayoutMismatch(f"{name} has a schema that cannot be read: {error}") from None
    _check(schema, name)
    return schema


def require_inside(schema: SegmentSchema, name: str, data_offset: int, total_bytes: int) -> None:
    """`LayoutMismatch` unless every section lies inside the segment, on whole words."""
    if total_bytes > TOTAL_BYTES_MAX:
        raise LayoutMismatch(f"{name} is {total_bytes} bytes, too large to be one of ours")
    for section in schema.sections:
        start = data_offset + section.offset
        if start % _WORD or start + section.prelude + section.stride * section.rows > total_bytes:
            raise LayoutMismatch(f"{name} places its section {section.name} outside itself")


def _check(schema: SegmentSchema, name: str) -> None:
    def require(holds: bool, what: str) -> None:
        if not holds:
            raise LayoutMismatch(f"{name} has a schema that cannot be: {what}")

    require(schema.purpose.isprintable() and len(schema.purpose) < 200, "unprintable purpose")
    require(bool(schema.sections), "no sections")
    require(_distinct([section.name for section in schema.sections]), "sections share a name")
    for section in schema.sections:
        require(section.kind.isprintable() and len(section.kind) < 32, "unprintable kind")
        payload = sum(part.count * part.record.size for part in section.parts)
        require(payload == section.payload > 0, f"payload of {section.name}")
        for part in section.parts:
            _check_record(part.record, require)
        require(_form_holds(section), f"form of {section.name}")


def _check_record(record: RecordSchema, require: Callable[[bool, str], None]) -> None:
    require(bool(record.fields), f"{record.name} has no fields")
    require(_distinct([field.name for field in record.fields]), f"fields of {record.name}")
    for field in record.fields:
        require(bool(_FORMAT.fullmatch(field.format)), f"type of {record.name}.{field.name}")
        end = field.offset + field.item_bytes * field.count
        require(end <= record.size, f"place of {record.name}.{field.name}")


def _form_holds(section: SectionSchema) -> bool:
    """Whether strides fit the protocol of the section's kind; other kinds are not ours to judge."""
    match section.kind:
        case Kind.PLAIN:
            return section.prelude == 0 and section.stride == section.payload
        case Kind.LATCH:
            form = (0, LATCH_HEAD_BYTES + 2 * section.payload)
            return (section.prelude, section.stride) == form and section.payload % _WORD == 0
        case Kind.RING:
            form = (RING_SLOTS_OFFSET, COMMIT_BYTES + section.payload)
            capacity_fits = section.rows & (section.rows - 1) == 0
            return (section.prelude, section.stride) == form and (
                capacity_fits and section.payload % _WORD == 0
            )
        case _:
            return True


def _distinct(names: list[str]) -> bool:
    return len(set(names)) == len(names)


@lru_cache(maxsize=256)
def dtype_of(record: RecordSchema) -> np.dtype[Any]:
    """What numpy calls a checked record."""
    return np.dtype(
        {
            "names": [field.name for field in record.fields],
            "formats": [
                field.format if field.count == 1 else (field.format, (field.count,))
                for field in record.fields
            ],
            "offsets": [field.offset for field in record.fields],
            "itemsize": record.size,
        }
    )
