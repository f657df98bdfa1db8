"""What the executor believes: its whole journal read back, and the claims that follow from it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from executor import fold
from executor.flights import LEG_OPEN
from executor.state import State
from shm.codes import Mode, Purpose
from shm.journal_files import Place
from shm.journal_found import Found
from shm.journal_record import Entry
from shm.journal_scan import read_segment
from shm.records import Kind
from sim.verdict import Claim


@dataclass(frozen=True)
class Books:
    """The journal from its first record on."""

    state: State
    """Of its living segment, as a restarted executor would find it."""
    intents: dict[str, str]
    """Order hash -> what it was meant for."""
    claims: dict[str, Claim]
    halts: list[tuple[int, int | None]]
    """(from, to) of each, on the monotonic clock."""
    records: int

    @property
    def quiet(self) -> bool:
        """Nothing is on its way."""
        return not self.state.open_flights and not self.state.ledger.unconfirmed

    @property
    def positions_e6(self) -> dict[str, int]:
        """Token -> size, of what is held."""
        holdings = self.state.ledger.holdings
        return {token: held.size_e6 for token, held in holdings.items() if held.size_e6}


def entries_of(path: Path, number: int) -> list[Entry]:
    """The valid records of a segment."""
    fd = os.open(path, os.O_RDONLY)
    try:
        count = read_segment(fd, path, number).records
    finally:
        os.close(fd)
    return list(Found(path, count))


def history(folder: Path) -> Iterator[Entry]:
    """What happened, without the snapshots that repeat it."""
    for number, path in sorted(Place(folder).segments().items()):
        found = entries_of(path, number)
        first = next(i for i, entry in enumerate(found) if entry.kind is Kind.CHECKPOINT)
        yield from found[first + 1 :]


def read_books(folder: Path) -> Books:
    """Read and fold everything."""
    number, path = max(Place(folder).segments().items())
    state = fold.apply_all(State(), entries_of(path, number))
    everything = list(history(folder))
    remember, fold.REMEMBER_MS = fold.REMEMBER_MS, 2**62
    try:
        whole = fold.apply_all(State(), everything)
    finally:
        fold.REMEMBER_MS = remember
    claims, intents = {}, {}
    for flight in whole.flights.values():
        basket = flight.purpose is Purpose.BASKET
        meant = f"signal {flight.signal}" if basket else f"repair {flight.id}"
        for place, leg in enumerate(flight.legs):
            seen = whole.ledger.of_order(leg.order_hash)
            filled_e6 = seen.size_e6 + seen.voided_e6
            claims[leg.order_hash] = Claim(leg.state not in LEG_OPEN, filled_e6)
            intents[leg.order_hash] = f"{meant} leg {place}"
    return Books(state, intents, claims, halts_of(everything), len(everything))


def halts_of(entries: list[Entry]) -> list[tuple[int, int | None]]:
    """From each HALTED to the next ARMED; a process that starts may send nothing either."""
    halts: list[tuple[int, int | None]] = []
    since: int | None = None
    for entry in entries:
        if entry.kind is not Kind.MODE:
            continue
        if entry.payload.mode == Mode.HALTED and since is None:
            since = entry.mono_ns
        elif entry.payload.mode == Mode.ARMED and since is not None:
            halts.append((since, entry.mono_ns))
            since = None
    return [*halts, (since, None)] if since is not None else halts
