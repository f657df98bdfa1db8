"""Payloads of journal records as bytes: packed strictly, unpacked; texts that fit a field."""

from hashlib import blake2b
from typing import Any, Generic

from shm import records, snapshot_records
from shm.layout import Octets, Record, RowT
from shm.records import Kind

PAYLOAD_BYTES = 188
"""Room of a payload in its record."""

_SEAL_BYTES = 4
"""What follows a payload; with it a payload ends on a whole cache line."""


class Payload(Generic[RowT]):
    """The bytes of one kind's payload; strict where `Record.pack` would cut or pad silently."""

    def __init__(self, row: type[RowT]) -> None:
        self.row = row
        self.record = Record(row, head=_SEAL_BYTES)
        assert self.record.size <= PAYLOAD_BYTES, f"{row.__name__} has {self.record.size} bytes"
        self._octets = tuple(
            (i, field.name, field.kind)
            for i, field in enumerate(self.record.fields)
            if isinstance(field.kind, Octets)
        )
        self._texts = tuple(i for i, _, kind in self._octets if kind.text)

    def pack(self, row: RowT) -> bytes:
        """Row -> bytes; ValueError or struct.error if a value does not fit its field."""
        if len(row) != len(self.record.fields):
            raise ValueError(f"{self.record.name} has {len(self.record.fields)} fields")
        for i, name, kind in self._octets:
            length = len(row[i])
            if length > kind.count or (length < kind.count and not kind.text):
                raise ValueError(f"{name}: {length} bytes for a field of {kind.count}")
        return self.record.pack(row)

    def unpack(self, data: bytes | memoryview, offset: int = 0) -> RowT:
        """Bytes at `offset` -> row; texts without their padding."""
        row = self.record.unpack(data, offset)
        if not self._texts:
            return row
        values = list(row)
        for i in self._texts:
            values[i] = values[i].rstrip(b"\0")
        return self.row(*values)


PAYLOADS: dict[Kind, Payload[Any]] = {
    Kind.OPENED: Payload(records.Opened),
    Kind.BASKET: Payload(records.Basket),
    Kind.INTENT: Payload(records.Intent),
    Kind.SENT: Payload(records.Sent),
    Kind.REPLY: Payload(records.Reply),
    Kind.FILL: Payload(records.Fill),
    Kind.VERDICT: Payload(records.Verdict),
    Kind.ENDED: Payload(records.Ended),
    Kind.CANCEL: Payload(records.Cancel),
    Kind.MODE: Payload(records.ModeChange),
    Kind.LIMITS: Payload(records.Limits),
    Kind.COMPARED: Payload(records.Compared),
    Kind.STRANGER: Payload(records.Stranger),
    Kind.HOLDING: Payload(snapshot_records.Holding),
    Kind.COUNTED: Payload(snapshot_records.Counted),
    Kind.FIGURES: Payload(snapshot_records.Figures),
    Kind.CHECKPOINT: Payload(snapshot_records.Checkpoint),
    Kind.LOSS: Payload(records.Loss),
    Kind.MARKET: Payload(records.Market),
    Kind.REDEEMED: Payload(records.Redeemed),
    Kind.MARK: Payload(records.Mark),
    Kind.PACE: Payload(snapshot_records.Pace),
    Kind.STANDS: Payload(snapshot_records.Stands),
    Kind.ADOPTED: Payload(records.Adopted),
}


def clip(text: str, room: int) -> bytes:
    """Text for a field of `room` bytes: UTF-8, cut at a character, without NUL."""
    encoded = text.replace("\0", " ").encode("utf-8", "replace")[:room]
    return encoded.decode("utf-8", "ignore").encode()


def trade_id(text: str) -> bytes:
    """A trade's id as its field holds it: itself, or a digest if it is unlike any so far."""
    encoded = text.encode("utf-8", "surrogatepass")
    if 0 < len(encoded) <= 40 and encoded.isascii() and b"\0" not in encoded:
        return encoded
    return b"#" + blake2b(encoded, digest_size=19).hexdigest().encode()
