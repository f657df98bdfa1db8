"""Journal and state in one hand: what is told is written first, and folded when it is there.

Nobody else appends, and nobody else changes the state. Orders have a way of their own: written
before their bytes leave, folded right after, so that the fold is not on the way to the wire.

A disk without room keeps what has to be told here, in order; until it is written nothing may be
sent (`blocked`). A disk that fails ends the process: the next start finds what is true.
"""

from collections.abc import Callable, Sequence
from typing import Any

from executor.failpoints import reach
from executor.fold import apply
from executor.journal import Journal, JournalFull, JournalPoisoned, Unwritten
from executor.remembering import remembered
from executor.snapshot import draft, may_be_taken, snapshot
from executor.state import Turn
from shm.errors import JournalError
from shm.journal_record import GROUP_MAX, Draft, Entry
from shm.records import Basket, Intent, Kind

OnTurn = Callable[[Turn], None]


class Chronicle:
    """See the module."""

    def __init__(self, journal: Journal, on_turn: OnTurn) -> None:
        self._journal = journal
        self._on_turn = on_turn
        self._waiting: list[Draft] = []
        self._orders: list[Draft] = []
        """Written, and to be folded when their bytes have left."""
        self.state = remembered(journal.found)
        self.version = 0
        """Changes with each record that is folded."""
        self.on_told: Callable[[], None] = _nobody
        """Called after records were folded."""
        self.trouble = ""
        """Why nothing could be written the last time; empty again as soon as anything was."""

    @property
    def blocked(self) -> bool:
        """Whether something that happened is not in the journal yet."""
        return bool(self._waiting)

    @property
    def seq(self) -> int:
        """Number of the last record that any crash of a process survives."""
        return self._journal.written_seq

    @property
    def durable_seq(self) -> int:
        """Number of the last record that a loss of power survives."""
        return self._journal.durable_seq

    @property
    def orders_written(self) -> int:
        """INTENT records that this process has written."""
        return self._journal.intents

    def tell(self, drafts: Sequence[Draft], *, durable: bool = False) -> None:
        """Write what happened, and take it in."""
        assert not self._orders, "orders that were written are folded first"
        self._waiting += drafts
        self.flush(durable=durable)

    def say(self, kind: Kind, row: Any, flight: int = 0, leg: int = 0) -> None:
        """`tell` one record."""
        self.tell([draft(kind, row, flight, leg)])

    def flush(self, *, durable: bool = False) -> None:
        """Write what waits, as far as there is room."""
        while self._waiting:
            group = self._waiting[:GROUP_MAX]
            written = self._journal.append(group, durable=durable)
            if not self._accepted(written):
                return
            self.trouble = ""
            del self._waiting[: len(group)]
            self._fold(group)

    def write_orders(self, basket: Basket, intents: Sequence[Intent]) -> bool:
        """Write a batch before it leaves; False: nothing was written, and nothing may be sent.

        Its flight's number is the one that `next_flight` said.
        """
        assert not self._waiting, "nothing is sent while something is not written"
        flight = self.next_flight
        durable = self._journal.must_sync(basket.reserved_usd_e6)
        written = self._journal.append_orders(flight, basket, intents, durable=durable)
        if not self._accepted(written):
            return False
        legs = [Draft(Kind.INTENT, flight, leg, row) for leg, row in enumerate(intents)]
        self._orders = [Draft(Kind.BASKET, flight, 0, basket), *legs]
        return True

    def fold_orders(self) -> None:
        """Take in what `write_orders` wrote."""
        orders, self._orders = self._orders, []
        self._fold(orders)

    @property
    def next_flight(self) -> int:
        """Number of the flight that is written next: that of its first record."""
        return self._journal.written_seq + 1

    def rotate_when_full(self) -> None:
        """Begin a new segment, if it is time and nothing is under way."""
        if self._journal.full and not self._waiting and may_be_taken(self.state):
            reach("rotation-unmade")
            digest = self.state.digest()
            self._accepted(self._journal.rotate(snapshot(self.state), digest=digest))
            reach("rotation-done")

    def require_disk(self) -> None:
        """`JournalError` if the disk has failed, also if only the syncing thread has seen it."""
        if self._journal.trouble is not None:
            raise JournalError(self._journal.trouble.why)

    def close(self) -> None:
        """Bring everything to disk, and give the journal back."""
        self._journal.close()

    def _accepted(self, written: int | Unwritten) -> bool:
        match written:
            case JournalPoisoned(why):
                raise JournalError(why)
            case JournalFull(why):
                self.trouble = why
                return False
            case _:
                return True

    def _fold(self, group: Sequence[Draft]) -> None:
        """Take in what has just been written, exactly as a reader would find it."""
        journal, first = self._journal, self._journal.written_seq - len(group) + 1
        mono_ns, wall_ns = journal.stamp
        for place, (kind, flight, leg, payload) in enumerate(group):
            entry = Entry(
                first + place, kind, flight, leg, journal.run, place, len(group), mono_ns, wall_ns,
                payload,
            )  # fmt: skip
            self.version += 1
            for turn in apply(self.state, entry):
                self._on_turn(turn)
        self.on_told()


def _nobody() -> None:
    """Nobody wants to know."""
