"""Whether a journal can be gone on with, asked as a start asks it: is it whole, does it add up.

Records that are all as they were written may still contradict each other, by a defect of whoever
wrote them. The fold is the executor's, beside code that signs: so it runs in a process of its own.
"""

import subprocess

from desk.processes import python_command
from shm.errors import JournalError
from shm.journal_files import Place
from shm.journal_verify import Verified, verify


def judged(place: Place) -> Verified:
    """What `verify` finds; if that is nothing, also what folding the living segment says.

    `JournalError` if nobody can say.
    """
    found = verify(place)
    if found.segments and not found.faults:
        living = found.segments[-1]
        fault = _fold_fault(str(living.path), living.records)
        if fault:
            found.faults.append(f"{living.path}: {fault}")
    return found


def _fold_fault(path: str, records: int) -> str:
    done = subprocess.run(  # noqa: S603  # our own module
        [*python_command("executor.remembering"), path, str(records)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == JournalError.exit_code:
        return done.stdout.strip()
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise JournalError(
            f"nobody can say whether {path} adds up: exit code {done.returncode}, {said}"
        )
    return ""
