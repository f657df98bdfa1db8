"""`polytrio journal accept-loss`: the operator's word that a journal is gone, and a new one begun.

The new journal's first record says so, and by whom. It holds no OPENED, so that the executor has to
sweep for orders of this wallet that nobody here knows, and to compare everything with the venue,
before it may trade. What is left of the old one is put beside, never removed.

Killed anywhere in between, the journal is still refused: the head file, which is written last,
names the old one, and where it was lost itself, one that does is put there first. Saying it again
goes on.
"""

import os
import pwd
import re
from pathlib import Path

from desk.journal_fold import judged
from shm.errors import ConfigError, InputError
from shm.journal_files import (
    SYSTEM_CLOCK,
    Clock,
    Head,
    Place,
    begin,
    locks_of,
    new_head,
    new_journal_id,
    replace_head,
    sync_folder,
)
from shm.journal_record import Draft
from shm.journal_verify import Verified
from shm.payloads import clip
from shm.records import Kind, Loss
from shm.segment import SHM_ROOT

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def accept_loss(
    place: Place,
    *,
    wallet: bytes | None,
    actor: str,
    reason: str,
    records: int,
    clock: Clock = SYSTEM_CLOCK,
    root: Path = SHM_ROOT,
) -> Path | None:
    """Begin a new journal in the place of one that is lost; where the remains of the old one are.

    Refused while the executor runs (`RoleTaken`), and if nothing is lost (`InputError`).
    """
    if not place.folder.parent.is_dir():
        raise _nothing(place)
    journal_lock, _ = locks_of(place, bytes(20), root)
    journal_lock.take()
    wallet_lock = None
    try:
        found = judged(place)
        if found.head is None and not found.segments and not found.faults:
            raise _nothing(place)
        if not found.faults:
            raise InputError(
                f"the journal at {place.folder} is whole ({found.records:,} records): nothing is "
                "lost, and nothing was changed"
            )
        address = _wallet_of(found, wallet)
        _, wallet_lock = locks_of(place, address, root)
        wallet_lock.take()
        loss = _loss(found, actor, reason)
        if found.head is None:
            replace_head(place, _stand_in(loss, address))
        remains = _put_aside(place, clock)
        place.sweep()
        place.prepare()
        head = new_head(new_journal_id(), address, bytes(16))
        draft = Draft(Kind.LOSS, 0, 0, loss)
        replace_head(place, begin(place, head, (draft,), records, clock))
    finally:
        if wallet_lock is not None:
            wallet_lock.release()
        journal_lock.release()
    return remains


def _nothing(place: Place) -> InputError:
    return InputError(f"no journal at {place.folder}: the executor begins one by itself")


def _wallet_of(found: Verified, given: bytes | None) -> bytes:
    """Whose journal it was: from what can still be read, else as the operator says."""
    known = [segment.checkpoint.wallet for segment in found.segments if segment.checkpoint]
    if found.head is not None:
        known.append(found.head.wallet)
    if not known and given is None:
        raise ConfigError(
            f"nothing left at {found.place.folder} says whose journal it was: add --wallet 0x..."
        )
    wallet = known[-1][-20:] if known else given
    assert wallet is not None
    if given is not None and given != wallet:
        raise ConfigError(
            f"--wallet is 0x{given.hex()}, and the journal was of 0x{wallet.hex()}: leave it out"
        )
    return wallet


def _loss(found: Verified, actor: str, reason: str) -> Loss:
    """What is known of the lost one."""
    head = found.head or Head(0, 0, 0, 0, 0, 0, bytes(16), bytes(32))
    journal, durable_seq, number = head.journal, head.durable_seq, head.segment
    if found.head is None and found.segments:
        last = found.segments[-1]
        journal = last.link.journal if last.link else 0
        durable_seq, number = last.last_seq, last.number
    return Loss(journal, durable_seq, number, clip(actor, 32), clip(reason, 96))


def _stand_in(loss: Loss, wallet: bytes) -> Head:
    """A head that wants a segment more than there is: nothing can begin or go on in its place."""
    head = new_head(loss.lost_journal or new_journal_id(), wallet, bytes(16))
    return head._replace(segment=loss.lost_segment + 1, durable_seq=loss.lost_durable_seq)


def _put_aside(place: Place, clock: Clock) -> Path | None:
    if not place.folder.exists():
        return None
    remains = place.folder.with_name(f"{place.folder.name}.lost-{clock.wall_ns()}")
    assert not remains.exists()
    place.folder.rename(remains)
    sync_folder(place.folder.parent)
    return remains


def parse_wallet(text: str | None) -> bytes | None:
    """An address as the operator types it."""
    if text is None:
        return None
    if not _ADDRESS.fullmatch(text):
        raise ConfigError(f"--wallet {text!r} is no address: 0x and 40 hex digits are wanted")
    return bytes.fromhex(text[2:])


def whoami() -> str:
    """The operator, as the machine knows him."""
    return pwd.getpwuid(os.getuid()).pw_name
