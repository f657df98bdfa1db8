"""Segments that no build of ours would make: invented records, planted damage, hostile schemas."""

import json
import os
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

from shm import segment
from shm.layout import HEADER, Header
from shm.process import boot_id, start_ticks
from shm.segments import PAGE_BYTES, SCHEMA_OFFSET

STRANGE_ID = "0badcafe"

TEA: dict[str, Any] = {
    "name": "tea",
    "size": 64,
    "fields": [
        ["steeped_ns", "<u8", 0, 1],
        ["leaves", "<u2", 8, 4],
        ["sugar_e3", "<i4", 16, 1],
        ["warmth", "<f8", 24, 1],
        ["label", "|S16", 32, 1],
        ["tannin", "|V8", 48, 1],
    ],
}
"""A record with types that our layout does not use."""


def section(name: str, kind: str, rows: int, offset: int, *parts: tuple[dict, int]) -> dict:
    """A section's schema in the form of its kind."""
    payload = sum(record["size"] * count for record, count in parts)
    prelude, stride = {"plain": (0, payload), "latch": (0, 64 + 2 * payload)}.get(
        kind, (384, 8 + payload)
    )
    return {
        "name": name, "kind": kind, "offset": offset, "rows": rows, "stride": stride,
        "prelude": prelude, "payload": payload, "writers": ["kitchen"], "readers": ["guest"],
        "parts": [{"count": count, "record": deepcopy(record)} for record, count in parts],
    }  # fmt: skip


def teahouse() -> dict[str, Any]:
    """A whole invented segment: one section of each kind that we know, and one that we do not."""
    return {
        "segment": "teahouse",
        "purpose": "what is brewing",
        "sections": [
            section("pots", "latch", 4, 0, (TEA, 1)),
            section("orders", "ring", 4, 1024, (TEA | {"size": 56}, 1)),
            section("shelf", "plain", 2, 2048, (TEA, 2)),
            section("steam", "vapour", 1, 3072, (TEA, 1)),
        ],
    }


def write(
    path: Path,
    schema: dict[str, Any] | bytes,
    data: bytes = b"",
    *,
    data_bytes: int = 4096,
    **changed: Any,
) -> Path:
    """A segment file with a right checksum. `changed` are header fields."""
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    data_offset = -(-(SCHEMA_OFFSET + len(text)) // PAGE_BYTES) * PAGE_BYTES
    total = data_offset + max(data_bytes, len(data))
    name = path.name.split(".")
    header = Header(
        magic=0,
        header_bytes=HEADER.size,
        total_bytes=total,
        schema_offset=SCHEMA_OFFSET,
        schema_bytes=len(text),
        data_offset=data_offset,
        created_wall_ns=time.time_ns(),
        creator_pid=os.getpid(),
        creator_start_ticks=start_ticks(os.getpid()),
        endian_tag=segment.ENDIAN_TAG,
        checksum=0,
        layout_hash=bytes.fromhex(name[3]) + bytes(12),
        boot_id=boot_id(),
        segment=name[2].encode(),
        instance=name[1].encode(),
    )._replace(**changed)
    image = bytearray(total)
    image[SCHEMA_OFFSET : SCHEMA_OFFSET + len(text)] = text
    image[data_offset : data_offset + len(data)] = data
    image[: HEADER.size] = HEADER.pack(header)
    path.touch(mode=segment.MODE)
    path.write_bytes(sealed(bytes(image)))
    return path


def sealed(image: bytes) -> bytes:
    """The same file with the magic and the checksum that its header and schema ask for.

    Left as it is where the header points outside the file: no checksum could help it.
    """
    header = HEADER.unpack(image)
    end = header.schema_offset + header.schema_bytes
    if end > len(image):
        return image
    text = image[header.schema_offset : end]
    checksum = segment._checksum(image[:SCHEMA_OFFSET], text)
    header = header._replace(magic=segment.MAGIC, checksum=checksum)
    return HEADER.pack(header) + image[HEADER.size :]


def path_of(instance: str, name: str, layout_id: str = STRANGE_ID) -> Path:
    """Where such a segment lies; the fixture `instance` removes it."""
    return segment.SHM_ROOT / f"polytrio.{instance}.{name}.{layout_id}"
