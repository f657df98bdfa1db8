"""The frame of a journal record: 256 bytes, sealed so that damage, loss and disorder all show.

         0  magic u32            what this is
         4  version u8           of the frame
         5  kind u8              shm/records.py
         6  place u8             position in its group, from 0
         7  group u8             records in the group
         8  seq u64              from 1, without gap over all segments
        16  flight u64           number of the BASKET record that it belongs to; 0: of none
        24  mono_ns u64          CLOCK_MONOTONIC
        32  wall_ns u64
        40  journal u64          random id of this journal
        48  previous 8 bytes     BLAKE2b of the group before, all its bytes
        56  run u32              how many OPENED there were so far, this one included
        60  leg u8, then 3 bytes of zeros
        64  payload              up to 188 bytes, then zeros
       252  crc u32              zlib's CRC-32 of the 252 bytes before

A *group* is what was written by one call: it counts as a whole or not at all. The CRC shows a torn
or flipped record; `seq`, `journal` and the chain of `previous` show what a CRC cannot: records that
were deleted, repeated, reordered, or that come from another place. All records of a group have the
same `previous`. It is computed once the group before has been written, so that it costs an order
nothing.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from shm.payloads import PAYLOAD_BYTES, PAYLOADS
from shm.records import Kind

RECORD_BYTES = 256
PAYLOAD_AT = 64
CRC_AT = PAYLOAD_AT + PAYLOAD_BYTES
GROUP_MAX = 255
MAGIC = int.from_bytes(b"PTJL", "little")
VERSION = 1
DIGEST_BYTES = 8

HEAD = struct.Struct("<IBBBBQQQQQ8sIB3x")
SEAL = struct.Struct("<I")
assert HEAD.size == PAYLOAD_AT
assert CRC_AT + SEAL.size == RECORD_BYTES

ZERO_RECORD = bytes(RECORD_BYTES)
KINDS = {int(kind): kind for kind in Kind}


class Draft(NamedTuple):
    """A record that is to be written. Any tuple like it will do."""

    kind: Kind
    flight: int
    leg: int
    payload: tuple[Any, ...] | bytes
    """The kind's row, or its bytes if they are packed already."""


class Entry(NamedTuple):
    """A record that was read."""

    seq: int
    kind: Kind
    flight: int
    leg: int
    run: int
    place: int
    group: int
    mono_ns: int
    wall_ns: int
    payload: Any
    """The kind's row (shm/records.py)."""


class Link(NamedTuple):
    """Where a journal can be continued."""

    journal: int
    seq: int
    """Of the next record."""
    run: int
    previous: bytes
    """Digest of the last group."""


def first_link(journal: int) -> Link:
    """Where a new journal begins."""
    return Link(journal, 1, 0, bytes(DIGEST_BYTES))


def digest_of(group: bytes | bytearray | memoryview) -> bytes:
    """What the next group will carry as `previous`."""
    return blake2b(group, digest_size=DIGEST_BYTES).digest()


def seal_group(
    link: Link, drafts: Sequence[tuple[Any, ...]], mono_ns: int, wall_ns: int
) -> tuple[bytes, Link]:
    """Frame and seal one group; its bytes, and the link behind it.

    The reference for the compiled pen (executor/journal.h).
    """
    assert 0 < len(drafts) <= GROUP_MAX, f"a group of {len(drafts)} records"
    run = link.run
    records: list[bytes] = []
    for place, (kind, flight, leg, payload) in enumerate(drafts):
        run += kind == Kind.OPENED
        body = payload if isinstance(payload, bytes) else PAYLOADS[kind].pack(payload)
        assert len(body) <= PAYLOAD_BYTES, f"a payload of {len(body)} bytes"
        head = HEAD.pack(
            MAGIC, VERSION, kind, place, len(drafts), link.seq + place, flight, mono_ns, wall_ns,
            link.journal, link.previous, run, leg,
        )  # fmt: skip
        record = (head + body).ljust(CRC_AT, b"\0")
        records.append(record + SEAL.pack(zlib.crc32(record)))
    group = b"".join(records)
    return group, Link(link.journal, link.seq + len(drafts), run, digest_of(group))


def seal_all(
    link: Link, drafts: Iterable[tuple[Any, ...]], mono_ns: int, wall_ns: int
) -> tuple[list[bytes], Link]:
    """Seal as many groups as it takes."""
    groups: list[bytes] = []
    waiting = list(drafts)
    while waiting:
        now, waiting = waiting[:GROUP_MAX], waiting[GROUP_MAX:]
        group, link = seal_group(link, now, mono_ns, wall_ns)
        groups.append(group)
    return groups, link


def entry_at(data: bytes | memoryview, at: int) -> Entry:
    """Decode a record that was found to be valid."""
    (_, _, kind, place, group, seq, flight, mono_ns, wall_ns, _, _, run, leg) = HEAD.unpack_from(
        data, at
    )
    return Entry(
        seq, KINDS[kind], flight, leg, run, place, group, mono_ns, wall_ns,
        PAYLOADS[KINDS[kind]].unpack(data, at + PAYLOAD_AT),
    )  # fmt: skip
