"""What the executor believes: its whole journal read back, and the claims that follow from it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from executor import fold, forgetting
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

    intents: dict[str, str]
    """Order hash -> what it was meant for."""
    claims: dict[str, Claim]
    written_halted: set[str]
    """Hashes of orders that were written down within one of them."""
    repairs: set[str]
    """Hashes of orders that complete a basket or sell what is left of one."""
    records: int


def is_quiet(state: State) -> bool:
    """Whether nothing is on its way."""
    return not state.open_flights and not state.ledger.unconfirmed


def positions_e6(state: State) -> dict[str, int]:
    """Token -> size, of what is held."""
    holdings = state.ledger.holdings
    return {token: held.size_e6 for token, held in holdings.items() if held.size_e6}


def read_living(folder: Path) -> State:
    """The living segment, as a restarted executor would find it."""
    number, path = max(Place(folder).segments().items())
    return fold.apply_all(State(), entries_of(path, number))


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
    everything = list(history(folder))
    remember, forgetting.REMEMBER_MS = forgetting.REMEMBER_MS, 2**62
    try:
        whole = fold.apply_all(State(), everything)
    finally:
        forgetting.REMEMBER_MS = remember
    claims, intents, repairs = {}, {}, set()
    for flight in whole.flights.values():
        basket = flight.purpose is Purpose.BASKET
        meant = f"signal {flight.signal}" if basket else f"repair {flight.id}"
        for place, leg in enumerate(flight.legs):
            seen = whole.ledger.of_order(leg.order_hash)
            filled_e6 = seen.size_e6 + seen.voided_e6
            claims[leg.order_hash] = Claim(leg.state not in LEG_OPEN, filled_e6)
            intents[leg.order_hash] = f"{meant} leg {place}"
            if not basket:
                repairs.add(leg.order_hash)
    return Books(intents, claims, written_halted(everything), repairs, len(everything))


def written_halted(entries: list[Entry]) -> set[str]:
    """Hashes of all orders that stand between a HALTED and the next ARMED."""
    halted, found = False, set()
    for entry in entries:
        if entry.kind is Kind.MODE:
            halted = entry.payload.mode == Mode.HALTED or (
                halted and entry.payload.mode != Mode.ARMED
            )
        elif entry.kind is Kind.INTENT and halted:
            found.add("0x" + entry.payload.order_hash.hex())
    return found
