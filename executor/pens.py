"""The pens that write groups of journal records: what they do, and the one in plain Python.

`PlainPen` is the reference, and runs without a compiler; executor/pen.pyx is its compiled twin.
"""

import errno
import os
from collections.abc import Sequence
from typing import Any, Protocol

from shm import backend
from shm.journal_record import Draft, Link, seal_group
from shm.records import Kind


class Pen(Protocol):
    """Seals groups and writes them. Compiled: executor/pen.pyx."""

    @property
    def link(self) -> Link:
        """Where the next group continues."""

    def settle(self) -> None:
        """Make the digest of the last group, which the next one carries."""

    def write(
        self, fd: int, offset: int, drafts: Sequence[tuple[Any, ...]], mono_ns: int, wall_ns: int
    ) -> int:
        """Bytes written, or -errno. Only a whole group moves the link."""

    def write_orders(
        self, fd: int, offset: int, orders: tuple[Any, ...], mono_ns: int, wall_ns: int
    ) -> int:
        """The same for (flight, BASKET row, INTENT rows); a leg is the place of its intent."""


class PlainPen:
    """See Pen."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def settle(self) -> None:
        """See Pen."""

    def write(
        self, fd: int, offset: int, drafts: Sequence[tuple[Any, ...]], mono_ns: int, wall_ns: int
    ) -> int:
        """See Pen."""
        group, link = seal_group(self.link, drafts, mono_ns, wall_ns)
        try:
            written = os.pwrite(fd, group, offset)
        except OSError as error:
            return -(error.errno or errno.EIO)
        if written == len(group):
            self.link = link
        return written

    def write_orders(
        self, fd: int, offset: int, orders: tuple[Any, ...], mono_ns: int, wall_ns: int
    ) -> int:
        """See Pen."""
        flight, basket, intents = orders
        legs = [Draft(Kind.INTENT, flight, leg, intent) for leg, intent in enumerate(intents)]
        drafts = [Draft(Kind.BASKET, flight, 0, basket), *legs]
        return self.write(fd, offset, drafts, mono_ns, wall_ns)


def make_pen(link: Link, *, native: bool) -> Pen:
    """The pen that continues at `link`."""
    if not native:
        return PlainPen(link)
    pen: Pen = backend.compiled("executor.pen").Pen(link)
    return pen
