"""The Python core as a shadow: does once more what another core did, from what that wrote down.

It has no ends of any segment: books, clocks, heartbeat and switch come from the tape, its signals
go nowhere, and whether the ring would have had room is what the other one found.
"""

from collections import defaultdict
from typing import NamedTuple

from engine.gate import Moment
from engine.handover import Decision, State
from engine.reference import Plan, PythonCore
from shm.codes import Verdict
from shm.fabric import Fabric
from shm.layout import BOOK, REPORT, SIGNAL, UPDATE, Signal, Update

VERDICT, UPDATE_ENTRY, REPORT_ENTRY, RELEASE, RETRY = 1, 2, 3, 4, 5
"""Kinds of entries: engine/state.h, `pt_tape_kind`."""
UNREADABLE = (1 << 64) - 1


class Entry(NamedTuple):
    """One entry of the tape; see engine/state.h, `pt_entry`."""

    kind: int
    number: int
    now_ns: int
    heartbeat_ns: int
    trading: int
    detail: int
    update: bytes
    body: bytes

    def decision(self) -> Decision:
        """What an entry of a verdict says."""
        verdict = Verdict(self.detail)
        signalled = verdict is Verdict.SIGNALLED
        return Decision(self.number, verdict, SIGNAL.unpack(self.body) if signalled else None)


class _Nowhere:
    """Counts and measures nothing."""

    def add(self, *_anything: object) -> None:
        """Forget it."""


class Repeater(PythonCore):
    """See the module."""

    def _attach(self, fabric: Fabric) -> None:  # noqa: ARG002  # it has no part in it
        self._counters = _Nowhere()
        self._histograms = defaultdict(_Nowhere)
        self._entry = Entry(0, 0, 0, 0, 0, 0, b"", b"")
        self._decisions: list[Decision] = []
        self._said: Signal | None = None
        self._found_full: set[int] = set()
        self._full = False

    def begin(self, plan: Plan, generation: int, state: State) -> None:
        """Start from the state of the other core."""
        self._plan, self._generation = plan, generation
        self._ingest_epoch = state.ingest_epoch
        for row in plan.pricer.keys.keys() - state.books.keys():
            plan.pricer.forget(row)
        for row, (version, record) in state.books.items():
            plan.pricer.observe(row, BOOK.unpack(record), version, state.ingest_epoch)
        self._reset_for(plan)
        self.restore(state)
        numbers = plan.pricer.number_of
        order = [(numbers[one.basket], one.due_ns) for one in state.queue]
        self._queue.restore(order, {numbers[id_]: count for id_, count in state.tries.items()})

    def repeat(self, entry: Entry, native: list[Decision]) -> list[Decision]:
        """Do what the other core did; what this one says to it."""
        self._entry = entry
        self._decisions = []
        self._found_full = {d.number for d in native if d.verdict is Verdict.RING_FULL}
        match entry.kind:
            case 2:
                self.take(UPDATE.unpack(entry.update), entry.now_ns)
            case 3:
                self.hear(REPORT.unpack(entry.body), entry.now_ns)
            case 4:
                self.release_overdue(entry.now_ns)
            case 5:
                self.retry(entry.now_ns)
        return self._decisions

    def look(self, row: int) -> bool:
        """The book that the other core saw."""
        pricer, entry = self._plan.pricer, self._entry
        if entry.detail == UNREADABLE:
            pricer.forget(row)
            return False
        pricer.observe(row, BOOK.unpack(entry.body), entry.detail, self._ingest_epoch)
        return True

    def _look_around(self, now_ns: int) -> None:
        entry = self._entry
        self._moment = Moment(now_ns, entry.trading == 1, now_ns - entry.heartbeat_ns)

    def _consider(self, number: int, update: Update, seen_ns: int) -> Verdict:
        self._said = None
        self._full = number in self._found_full
        verdict = super()._consider(number, update, seen_ns)
        self._decisions.append(Decision(number, verdict, self._said))
        return verdict

    def _show_one(self, number: int, now_ns: int) -> None:
        """The other core shows what there is to be seen."""

    def _push(self, row: Signal) -> bool:
        if self._full:
            return False
        self._said = row
        return True
