"""What `doctor` can say: a finding has a place, a cause, a remedy, and a severity."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(msgspec.Struct, frozen=True):
    """One line: what is wrong where, why, and what to do."""

    severity: Severity
    code: str
    subject: str
    cause: str
    remedy: str = ""


def error(code: str, subject: str, cause: str, remedy: str) -> Finding:
    """Something that keeps the system from working, or will."""
    return Finding(Severity.ERROR, code, subject, cause, remedy)


def warning(code: str, subject: str, cause: str, remedy: str) -> Finding:
    """Something that costs messages or room, or shows that something died."""
    return Finding(Severity.WARNING, code, subject, cause, remedy)


def note(code: str, subject: str, cause: str) -> Finding:
    """Something worth knowing."""
    return Finding(Severity.NOTE, code, subject, cause)


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether there is nothing to be done."""
    return all(finding.severity is Severity.NOTE for finding in findings)
