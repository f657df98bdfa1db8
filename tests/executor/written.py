"""A chronicle on a real journal in a folder of the test's own, whose disk can be made full."""

import errno
import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from executor.chronicle import Chronicle
from executor.journal import Journal
from executor.snapshot import draft, market_row, word
from shm import records
from shm.codes import (
    BasketKind,
    Cause,
    FillStatus,
    FlightState,
    LegReason,
    LegState,
    MarketKind,
    Mode,
    Outcome,
    PartialReason,
    Purpose,
    Side,
)
from shm.inventory import opposite
from shm.journal_files import Clock
from shm.limits import JournalSettings
from shm.process import boot_id
from shm.records import Kind
from tests.engine.factory import market

WALLET = b"\x11" * 20
START_MS = 1_795_000_000_000
CASH_USD_E6 = 1_000_000_000
SIZE_E6 = 10_000_000
PRICES_E4 = (6_000, 6_900, 5_900)
OUTCOMES = (Outcome.YES, Outcome.NO, Outcome.NO)
MARKETS = [market(0, MarketKind.ABOVE, 10), market(1, MarketKind.RANGE, 10, 20),
           market(2, MarketKind.ABOVE, 20)]  # fmt: skip


class Counted(Counter):
    """Counters as the stages have them, without shared memory."""

    def add(self, name: str, amount: int = 1) -> None:
        if amount:
            self[name] += amount


class Disk:
    """Stands between a journal and its pen: while `error` is set nothing can be written."""

    def __init__(self, pen) -> None:
        self.pen = pen
        self.error = 0

    @property
    def link(self):
        return self.pen.link

    def settle(self) -> None:
        self.pen.settle()

    def write(self, *what) -> int:
        return -self.error or self.pen.write(*what)

    def write_orders(self, *what) -> int:
        return -self.error or self.pen.write_orders(*what)


_OPENED: list[Journal] = []


@pytest.fixture(autouse=True)
def journals_end() -> Iterator[None]:
    """Journals hold descriptors and locks as long as their process lives; here, for one test."""
    yield
    while _OPENED:
        _OPENED.pop().close()


class Written:
    """A chronicle, and short words for what happens in tests."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder = folder
        self.settings = JournalSettings(**settings)
        self.turns = []
        self.clock_ms = itertools.count(START_MS)
        self.monotonic_ns = time.monotonic_ns
        self.boot_id = boot_id()
        self.open()

    def open(self) -> None:
        clock = Clock(self.elapsed_ns, lambda: next(self.clock_ms) * 1_000_000)
        self.journal = Journal.open(
            self.folder / "journal", WALLET, self.settings,
            clock=clock, root=self.folder, threaded=False,
        )  # fmt: skip
        _OPENED.append(self.journal)
        self.disk = self.journal._pen = Disk(self.journal._pen)
        self.chronicle = Chronicle(self.journal, self.turns.append)

    def elapsed_ns(self) -> int:
        """The clock that nobody sets; a test may have one of its own."""
        return self.monotonic_ns()

    def reopen(self) -> None:
        """As the next process finds it."""
        self.chronicle.close()
        self.open()

    @property
    def state(self):
        return self.chronicle.state

    def fill_disk(self) -> None:
        self.disk.error = errno.ENOSPC

    def make_room(self) -> None:
        self.disk.error = 0

    # --- what happens ---------------------------------------------------------------------------

    def begin(self, mode: Mode = Mode.ARMED) -> "Written":
        """A process has come to a true ledger."""
        row = records.Opened(
            1, CASH_USD_E6, self.state.run + 1, 0, 0, self.boot_id, b"\1" * 32, b"build"
        )
        self.chronicle.say(Kind.OPENED, row)
        self.chronicle.tell([draft(Kind.MARKET, market_row(one)) for one in MARKETS])
        if mode is Mode.BOOT:
            return self
        self.move(Mode.RECONCILING, Cause.START)
        if mode is not Mode.RECONCILING:
            self.move(Mode.DISARMED, Cause.CLEAN)
        if mode not in {Mode.RECONCILING, Mode.DISARMED}:
            self.move(Mode.ARMED, Cause.OPERATOR)
        if mode not in {Mode.RECONCILING, Mode.DISARMED, Mode.ARMED}:
            self.move(mode, Cause.DAY_LOSS)
        return self

    def move(self, mode: Mode, cause: Cause) -> None:
        self.chronicle.say(Kind.MODE, records.ModeChange(0, mode, cause, b"test", b""))

    def orders(self, legs: int = 3, created_ms: int = START_MS, signal: int = 1):
        """A basket's records for `write_orders`."""
        basket = records.Basket(
            signal, 5, 0, 20_000, SIZE_E6, 20_000_000, 10**6, created_ms, MARKETS[0].group,
            BasketKind.TRIANGLE_BUY, Purpose.BASKET, legs,
        )  # fmt: skip
        flight = self.chronicle.next_flight
        return basket, [intent(flight, place, created_ms) for place in range(legs)]

    def launch(self, created_ms: int = START_MS, signal: int = 1, **forms):
        """A basket whose bytes have left."""
        basket, intents = self.orders(3, created_ms, signal)
        intents = complement(intents, **forms) if forms else intents
        assert self.chronicle.write_orders(basket, intents)
        self.chronicle.fold_orders()
        flight = list(self.state.flights.values())[-1]
        self.sent(flight)
        return flight

    def sent(self, flight) -> None:
        row = records.Sent(flight.created_ms, 1, 99, bytes(16))
        self.chronicle.say(Kind.SENT, row, flight.id)

    def reply(self, flight, *states: LegState) -> None:
        for place, state in enumerate(states):
            self.reply_one(flight, place, state)

    def reply_one(
        self, flight, place: int, state: LegState, reason: LegReason = LegReason.NONE
    ) -> None:
        name = bytes.fromhex(flight.legs[place].order_hash[2:])
        row = records.Reply(flight.created_ms, 200, state, reason, name, bytes(16), b"")
        self.chronicle.say(Kind.REPLY, row, flight.id, place)

    def keep(self, flight) -> None:
        """It is decided to keep what filled to the end."""
        row = records.Ended(START_MS, 0, 0, 0, 0, FlightState.PARTIAL, PartialReason.KILLED)
        self.chronicle.say(Kind.ENDED, row, flight.id)

    def fill(self, flight, place: int, status=FillStatus.CONFIRMED, at_ms: int = START_MS) -> None:
        leg = flight.legs[place]
        row = records.Fill(
            at_ms, leg.size_e6, 0, leg.price_e4, leg.side, status, 0,
            f"t{flight.id}-{place}".encode(), bytes.fromhex(leg.order_hash[2:]), word(leg.token),
        )  # fmt: skip
        self.chronicle.say(Kind.FILL, row, flight.id)

    def complete(self, flight) -> None:
        self.reply(flight, *[LegState.FILLED] * 3)
        for place in range(3):
            self.fill(flight, place)


def complement(intents, *, sold=()):
    """The orders of the opposite basket, at one less the prices; those at some places as sales of
    what a trio has bought.
    """
    found = []
    for place, order in enumerate(intents):
        one, outcome = MARKETS[place], OUTCOMES[place]
        if place in sold:
            found.append(order._replace(side=Side.SELL))
            continue
        token = one.no_token if outcome is Outcome.YES else one.yes_token
        found.append(order._replace(
            outcome=opposite(outcome), token=token, price_e4=10_000 - order.price_e4,
        ))  # fmt: skip
    return found


def intent(flight: int, place: int, at_ms: int) -> records.Intent:
    """An order of a basket."""
    one, outcome = MARKETS[place % 3], OUTCOMES[place % 3]
    token = one.yes_token if outcome is Outcome.YES else one.no_token
    name = sha256(f"{flight}/{place}".encode()).digest()
    return records.Intent(
        7, 2, 3, at_ms, SIZE_E6, one.row, PRICES_E4[place % 3], outcome, Side.BUY, one.exchange,
        records.OrderKind.FOK, 0, name, token, os.urandom(65),
    )  # fmt: skip
