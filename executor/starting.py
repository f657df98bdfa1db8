"""Start and restart, one path: from the journal and the venue to a ledger that is known to be true.

    fold the journal -> log in -> hand the killer its credentials -> listen to the user channel
    -> cancel whatever rests -> OPENED: what was on its way is in doubt -> read the trades that an
    earlier process may not have seen -> (executor/proving.py resolves, executor/reconciling.py
    compares, while the executor's loop turns)

A journal that is new, or that lost power or was lost, has to look further back, for orders of this
wallet that it does not know. That counts as done when what was found is in the journal; killed
before, the next start looks again. Nobody looks back to before the time since when every fill that
counted is known by its name: it would count again.
"""

import asyncio
import time
from collections.abc import Callable

from executor.chronicle import Chronicle
from executor.credentials import hand_over
from executor.failpoints import reach
from executor.intake import Intake
from executor.journal import Journal
from executor.ledger import Fill
from executor.reconciling import READS_MAX, insist
from executor.snapshot import draft
from executor.venue import Unavailable, Venue
from executor.wire import Trade
from shm import records
from shm.codes import Mode
from shm.errors import ConfigError
from shm.process import boot_id
from shm.records import Kind
from shm.stage import Stage

SWEEP_MS = 2 * 86_400_000
"""How far back a journal looks that may not know all of its orders."""
OVERLAP_MS = 600_000
"""How far before the last record a restarted one looks."""
BUILD = b"polytrio"


async def log_in(stage: Stage, venue: Venue, stopping: Callable[[], bool]) -> bool:
    """Log in and give the killer what it needs; False: told to stop."""
    await insist("log in", venue.log_in, stopping)
    reach("logged-in")
    if venue.credentials is None:
        return False
    try:
        hand_over(stage.settings.var_path, venue.wallet.address, venue.credentials)
    except OSError as error:
        raise ConfigError(
            f"{stage.settings.var_path} cannot be written ({error.strerror}): the kill switch "
            "would have no credentials; make room there"
        ) from None
    return True


async def open_ledger(
    stage: Stage, venue: Venue, journal: Journal, chronicle: Chronicle, intake: Intake
) -> bool:
    """From the fold of the journal to a ledger that has every fill; False: told to stop.

    Called when nothing rests any more and the user channel is open.
    """
    state = chronicle.state
    fresh = state.run == 0
    now_ms = time.time_ns() // 1_000_000
    after_s = -(-_since_ms(journal, chronicle, now_ms) // 1_000)
    found = await insist("rebuild", lambda: _settled(venue, after_s), lambda: stage.stopping)
    if found is None:
        return False
    cash_usd_e6, trades = found
    fills = [fill for trade in trades for fill in intake.fills(trade)]
    opening_usd_e6 = cash_usd_e6 - sum(f.cash_usd_e6 for f in _once(fills)) if fresh else 0
    row = records.Opened(
        system=system_of(stage),
        opening_cash_usd_e6=opening_usd_e6,
        run=state.run + 1,
        settings_crc=stage.settings_version & 0xFFFF_FFFF,
        mode_live=stage.settings.mode == "live",
        boot_id=boot_id(),
        wallet=bytes.fromhex(venue.wallet.maker[2:]).rjust(32, b"\0"),
        build=BUILD,
    )
    reach("opened-unwritten")
    chronicle.tell([draft(Kind.OPENED, row)], durable=True)
    reach("opened")
    intake.open()
    intake.take(trades)
    return True


def system_of(stage: Stage) -> int:
    """Which shared memory this process works on: when it was made."""
    return stage.fabric.segment("control", writable=False).header.created_wall_ns


def _since_ms(journal: Journal, chronicle: Chronicle, now_ms: int) -> int:
    """Since when fills may have come that nobody wrote down, and all that counted have names."""
    state = chronicle.state
    if not journal.needs_sweep:
        since_ms = _last_ms(journal, chronicle, now_ms)
    elif state.run and state.mode is Mode.BOOT:
        # A start that came no further than OPENED: its opening cash is that of its own sweep.
        since_ms = min(now_ms, state.mode_since_ms) - SWEEP_MS
    else:
        since_ms = now_ms - SWEEP_MS
    return max(0, since_ms, state.names_since_ms)


def _last_ms(journal: Journal, chronicle: Chronicle, now_ms: int) -> int:
    """Before what is open, and before the last record."""
    times = [flight.created_ms for flight in chronicle.state.open_flights]
    times += [fill.at_ms for fill in chronicle.state.ledger.unconfirmed.values()]
    if len(journal.found):
        times.append(journal.found[-1].wall_ns // 1_000_000)
    return min(times, default=now_ms) - OVERLAP_MS


def _once(fills: list[Fill]) -> list[Fill]:
    """Each fill that counts, once, whatever number of times the pages show it."""
    return list({(fill.trade, fill.order): fill for fill in fills if fill.counts}.values())


async def _settled(venue: Venue, after_s: int) -> tuple[int, list[Trade]] | Unavailable:
    """Cash, and the trades that were read between two equal readings of it.

    A fill in the meantime would otherwise be counted on one side only.
    """
    before = await venue.cash_usd_e6()
    for _ in range(READS_MAX):
        trades = await venue.trades(after_s)
        after = await venue.cash_usd_e6()
        if isinstance(before, Unavailable):
            return before
        if isinstance(trades, Unavailable):
            return trades
        if before == after:
            return before, trades
        before = after
        await asyncio.sleep(0)
    return Unavailable("balance and trades never stood still")
