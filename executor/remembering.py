"""The state that a journal adds up to; or which record of it cannot be taken in, and why.

    python -m executor.remembering SEGMENT RECORDS

folds the first so many records of a segment's file, as a start does, and says what a start would
say; exit code 12 if it would be refused. For `polytrio journal` (desk/journal_fold.py).
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from executor.fold import apply
from executor.state import State
from shm.errors import JournalDamaged, JournalError, JournalForeign
from shm.journal_found import Found
from shm.journal_record import Entry
from shm.records import Kind

_CONTRADICTIONS = (AssertionError, LookupError, ArithmeticError, TypeError, AttributeError)
"""What the fold raises of a record that cannot follow what stands before it."""


def remembered(entries: Iterable[Entry]) -> State:
    """The state that a living segment adds up to.

    `JournalDamaged` if its snapshot is not what it was made from, or a record cannot follow what
    is before it; `JournalForeign` if one has a code that this version does not know.
    """
    state = State()
    for entry in entries:
        if entry.kind is Kind.CHECKPOINT:
            said = entry.payload.state_digest
            if any(said) and said != state.digest():
                raise JournalDamaged(
                    f"the snapshot before record {entry.seq} of the journal does not add up to "
                    "what it was made from: see docs/journal.md"
                )
        try:
            apply(state, entry)
        except _CONTRADICTIONS as error:
            raise JournalDamaged(
                f"record {entry.seq} of the journal ({entry.kind.name}) is whole and cannot follow "
                f"what stands before it ({error!r}): see docs/journal.md"
            ) from error
        except ValueError as error:
            raise JournalForeign(
                f"record {entry.seq} of the journal ({entry.kind.name}) says what this version "
                f"does not know ({error}): if a newer polytrio wrote it, use that one; else see "
                "docs/journal.md"
            ) from error
    return state


def main() -> None:
    """Say whether a segment adds up."""
    path, count = sys.argv[1:]
    try:
        remembered(Found(Path(path), int(count)))
    except JournalError as error:
        sys.stdout.write(f"{error}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        sys.stdout.write(f"cannot be read: {error.strerror}\n")
        sys.exit(JournalError.exit_code)


if __name__ == "__main__":
    main()
