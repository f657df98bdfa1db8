"""Two layouts compared: fields added, removed, moved or retyped, and sections of another shape.

A side is named by a word: `build` (the layout of this code), a layout id of 8 digits (what lies in
shared memory under it), a segment's name, or a file that `show --schema` has written.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from shm.errors import UNREADABLE, InputError, SegmentError
from shm.inspector import find, open_view
from shm.schemas import RecordSchema, SectionSchema, SegmentSchema, parse
from shm.segment import list_files
from shm.segments import LAYOUT_ID, SEGMENTS

Layout = dict[str, SegmentSchema]
"""Segment name -> schema."""

_FILE_BYTES_MAX = 16 << 20


class Change(msgspec.Struct, frozen=True):
    """One difference; `was` and `now` are empty where there was or is nothing."""

    what: str
    place: str
    was: str = ""
    now: str = ""


def compare(old: Mapping[str, SegmentSchema], new: Mapping[str, SegmentSchema]) -> list[Change]:
    """Every difference between two layouts, in the order of the old one, then what is new."""
    return list(_segments(old, new))


def _segments(
    old: Mapping[str, SegmentSchema], new: Mapping[str, SegmentSchema]
) -> Iterator[Change]:
    for name in _both(old, new):
        if name not in new:
            yield Change("removed", name, was="segment")
        elif name not in old:
            yield Change("added", name, now="segment")
        else:
            before = {section.name: section for section in old[name].sections}
            after = {section.name: section for section in new[name].sections}
            yield from _sections(name, before, after)


def _sections(
    segment: str, old: Mapping[str, SectionSchema], new: Mapping[str, SectionSchema]
) -> Iterator[Change]:
    for name in _both(old, new):
        place = f"{segment}.{name}"
        if name not in new:
            yield Change("removed", place, was=f"{old[name].kind} section")
        elif name not in old:
            yield Change("added", place, now=f"{new[name].kind} section")
        else:
            yield from _section(place, old[name], new[name])


def _section(place: str, old: SectionSchema, new: SectionSchema) -> Iterator[Change]:
    if old.offset != new.offset:
        yield Change("moved", place, f"at {old.offset}", f"at {new.offset}")
    for name in ("kind", "rows", "stride", "prelude", "writers", "readers"):
        was, now = _text(getattr(old, name)), _text(getattr(new, name))
        if was != now:
            yield Change("changed", f"{place} {name}", was, now)
    before = {part.record.name: part for part in old.parts}
    after = {part.record.name: part for part in new.parts}
    if list(before) != list(after) and set(before) == set(after):
        yield Change("changed", f"{place} order of records", ", ".join(before), ", ".join(after))
    for name in _both(before, after):
        if name not in after:
            yield Change("removed", f"{place}.{name}", was="record")
        elif name not in before:
            yield Change("added", f"{place}.{name}", now="record")
        else:
            was, now = str(before[name].count), str(after[name].count)
            if was != now:
                yield Change("changed", f"{place}.{name} count", was, now)
            yield from _record(f"{place}.{name}", before[name].record, after[name].record)


def _record(place: str, old: RecordSchema, new: RecordSchema) -> Iterator[Change]:
    if old.size != new.size:
        yield Change("changed", f"{place} size", f"{old.size} bytes", f"{new.size} bytes")
    before = {field.name: field for field in old.fields}
    after = {field.name: field for field in new.fields}
    for name in _both(before, after):
        was, now = before.get(name), after.get(name)
        if now is None and was is not None:
            yield Change("removed", f"{place}.{name}", was=f"{was.type_name} at {was.offset}")
        elif was is None and now is not None:
            yield Change("added", f"{place}.{name}", now=f"{now.type_name} at {now.offset}")
        elif was is not None and now is not None:
            if was.offset != now.offset:
                yield Change("moved", f"{place}.{name}", f"at {was.offset}", f"at {now.offset}")
            if was.type_name != now.type_name:
                yield Change("retyped", f"{place}.{name}", was.type_name, now.type_name)


def _both(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [*old, *(name for name in new if name not in old)]


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def this_build() -> Layout:
    """The layout of this code."""
    return {name: parse(plan.schema, f"segment {name}") for name, plan in SEGMENTS.items()}


def resolve(word: str, instance: str) -> tuple[Layout, bool]:
    """The layout that a word names, and whether it is all of one; `InputError` if it names none.

    What is not all of a layout (one segment, one file) is compared with its like only.
    """
    if word == "build":
        return this_build(), True
    if Path(word).is_file():
        return _from_file(Path(word)), False
    files = [file for file in list_files() if file.layout_id == word]
    if files:
        ours = [file for file in files if file.instance == instance] or files
        found: Layout = {}
        for file in ours:
            if file.segment not in found:
                try:
                    found[file.segment] = open_view(file).schema
                except SegmentError as error:
                    raise InputError(str(error)) from None
        return found, True
    try:
        return {word: find(instance, word).schema}, False
    except SegmentError as error:
        present = sorted({file.layout_id for file in list_files()})
        raise InputError(
            f"{word!r} names no layout: give `build` ({LAYOUT_ID}), a file of `show --schema`, a "
            f"segment of instance {instance!r}, or a layout id that is present "
            f"({', '.join(present) or 'none is'}); {error}"
        ) from None


def _from_file(path: Path) -> Layout:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise InputError(f"{path} is too large to be a schema")
        text = path.read_bytes()
        value = msgspec.json.decode(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UNREADABLE as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    try:
        parts = value if isinstance(value, list) else [value]
        schemas = [parse(msgspec.json.encode(part), str(path)) for part in parts]
    except SegmentError as error:
        raise InputError(str(error)) from None
    return {schema.segment: schema for schema in schemas}


def pair(old: str, new: str, instance: str) -> tuple[Layout, Layout]:
    """Both sides, cut down to what both could have: one segment is compared with one segment."""
    (before, before_whole), (after, after_whole) = resolve(old, instance), resolve(new, instance)
    if before_whole and not after_whole:
        before = {name: schema for name, schema in before.items() if name in after}
    if after_whole and not before_whole:
        after = {name: schema for name, schema in after.items() if name in before}
    return before, after
