"""The error tree, and the exit code that each branch gives a process.

    PolytrioError                 every error that a person can do something about
    |-- ConfigError          3    settings are wrong; names the key and what is allowed
    |-- SegmentError         4    shared memory is not what this build expects
    |   |-- SegmentMissing   4    not there: nobody has made it
    |   |-- SegmentExists    4    there already, and made by another version or a live owner
    |   |-- LayoutMismatch   4    there, but of another version, machine, boot or user
    |   |-- SegmentOrphaned  4    the name now leads to another segment, or to none
    |   |-- SegmentDamaged   4    a record in it cannot be what its writer wrote
    |   `-- SegmentNoRoom    4    the memory for it is not there
    |-- RoleTaken            5    another process fills this role; a second one may not start
    |-- FencedError          6    our epoch of the role is over; a successor has taken it
    |-- PortTaken            7    a listening port is in use
    |-- LiveRefused          8    live trading was asked for and a condition for it is missing
    |-- VenueRefused         9    the venue answered, and the answer forbids going on
    |-- InputError          10    a file that was given cannot be read as what it should be
    |-- GaveUp              11    a stage kept crashing and is left down
    |-- VenueUnreachable    15    the live venue, which is mirrored, does not answer
    `-- JournalError        12    the executor's journal cannot be gone on with
        |-- JournalDamaged  12    a record in it is not what was written, and it is not the last one
        |-- JournalGone     12    it was here, and it is not any more
        |-- JournalOlder    12    what is here ends before what was on disk already
        |-- JournalForeign  12    of another wallet, or of a newer version
        `-- JournalNoRoom   12    the disk does not give the space that it needs

Exit code 0 is a wanted end, 2 is the command line's own (unknown option), 1 and signals are
defects. A supervisor restarts after 1 and signals only: the other causes do not go away by
trying again.

Expected outcomes (a full ring, a refused order) are values, never errors of this tree.
"""

from typing import ClassVar

UNREADABLE = (ValueError, RecursionError)
"""What decoding raises for bytes that are not what they should be. msgspec's errors and those of
UTF-8 are ValueErrors; what is nested too deeply is refused also where nobody wants to know it."""


class PolytrioError(Exception):
    """Base of all errors with a known cause; the message says what to change."""

    exit_code: ClassVar[int] = 1


class ConfigError(PolytrioError):
    """Settings are wrong; the message names the key and what is allowed there."""

    exit_code = 3


class SegmentError(PolytrioError):
    """Shared memory is not what this build expects."""

    exit_code = 4


class SegmentMissing(SegmentError):
    """Nobody has made this segment."""


class SegmentExists(SegmentError):
    """The segment is there already and must not be replaced silently."""


class LayoutMismatch(SegmentError):
    """The segment belongs to another version, machine, boot or user, or its header is damaged."""


class SegmentOrphaned(SegmentError):
    """The segment that we have mapped no longer has a name; its replacement is another one."""


class SegmentDamaged(SegmentError):
    """A record that a decision rests on was changed by something that is not its writer."""


class SegmentNoRoom(SegmentError):
    """The machine does not give the memory that a segment needs."""


class RoleTaken(PolytrioError):
    """Another process holds the kernel lock of this role."""

    exit_code = 5


class FencedError(PolytrioError):
    """The role's epoch moved on; whatever this process would write now is refused."""

    exit_code = 6


class PortTaken(PolytrioError):
    """A port that we must listen on is in use."""

    exit_code = 7


class LiveRefused(PolytrioError):
    """A condition for live trading is missing."""

    exit_code = 8


class VenueRefused(PolytrioError):
    """The venue gave an answer that forbids going on (banned, wrong wallet, wrong version)."""

    exit_code = 9


class VenueUnreachable(PolytrioError):
    """The live venue, whose books are mirrored, does not answer."""

    exit_code = 15


class InputError(PolytrioError):
    """A file or argument cannot be read as what it should be."""

    exit_code = 10


class GaveUp(PolytrioError):
    """A stage crashed too often in too short a time."""

    exit_code = 11


class JournalError(PolytrioError):
    """The journal cannot be gone on with; the message says what to do."""

    exit_code = 12


class JournalDamaged(JournalError):
    """A record that was acknowledged is not what was written."""


class JournalGone(JournalError):
    """The journal, or the head file that says how far it had come, is not there any more."""


class JournalOlder(JournalError):
    """The journal ends before a record that was on disk already: an older copy, or a lost end."""


class JournalForeign(JournalError):
    """The journal belongs to another wallet, or was written by a newer version."""


class JournalNoRoom(JournalError):
    """The disk does not give the space that a segment of the journal needs."""


EXIT_CODES_FINAL = tuple(
    sorted({0, 2, *(child.exit_code for child in PolytrioError.__subclasses__())})
)
"""Exit codes after which a restart cannot help; deploy/supervisord.conf repeats them (tested)."""
