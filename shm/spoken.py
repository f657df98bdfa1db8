"""Numbers of states, kinds and reasons as words, for people who read rows in the inspector.

Only for segments of this build: another version's numbers may mean something else. JSON keeps the
numbers. What a partial basket's or a refusal's `reason` is, the row's own `kind` says.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from shm.codes import (
    BasketKind,
    BookState,
    Cause,
    Exchange,
    FlightState,
    HashState,
    LegReason,
    LegState,
    MarketKind,
    MarketState,
    Mode,
    Outcome,
    PartialReason,
    Purpose,
    Refusal,
    ReportKind,
    Role,
    Side,
    StageState,
    Verdict,
)
from shm.modes import EngineMode, Execution, SocketMode, WishKind

Codes = type[IntEnum]

_LEGS: dict[str, Codes] = {"leg_outcome": Outcome, "leg_side": Side}
_FATES: dict[str, Codes] = {"leg_state": LegState, "leg_reason": LegReason}
_CHOICES: dict[str, Codes] = {
    "engine_mode": EngineMode, "execution": Execution, "socket_mode": SocketMode,
}  # fmt: skip
CODES: Mapping[str, Mapping[str, Codes]] = {
    "role_row": {"row": Role, "state": StageState},
    "switches": _CHOICES,
    "wish": {"kind": WishKind, **_CHOICES},
    "market": {"kind": MarketKind, "state": MarketState, "exchange": Exchange},
    "book": {"state": BookState, "hash_state": HashState},
    "basket_row": {"kind": BasketKind, "verdict": Verdict, **_LEGS},
    "signal": {"kind": BasketKind, **_LEGS},
    "shadow_row": {
        "kind": BasketKind, "native_leg_outcome": Outcome, "python_leg_outcome": Outcome,
    },
    "report": {"kind": ReportKind, **_FATES},
    "flight": {
        "kind": BasketKind, "state": FlightState, "reason": PartialReason, "purpose": Purpose,
        **_LEGS, **_FATES,
    },
    "account": {"mode": Mode, "cause": Cause},
    "engine_stats": {"mode": EngineMode},
    "ingest_stats": {"socket_mode": SocketMode},
}  # fmt: skip
"""Record -> field -> what its numbers mean; tests hold it against the layout."""
REASONS: Mapping[int, Codes] = {ReportKind.REFUSED: Refusal, ReportKind.PARTIAL: PartialReason}


def in_words(records: Iterable[str], row: Mapping[str, Any]) -> dict[str, Any]:
    """A row made of these records with words for its codes; other numbers stay numbers."""
    codes: dict[str, Codes] = {}
    for record in records:
        codes |= CODES.get(record, {})
        if record == "report" and row.get("kind") in REASONS:
            codes["reason"] = REASONS[row["kind"]]
    return {
        field: _worded(codes[field], value) if field in codes else value
        for field, value in row.items()
    }


def _worded(codes: Codes, value: Any) -> Any:
    if isinstance(value, list):
        used = max((index for index, code in enumerate(value, 1) if code), default=0)
        return [_worded(codes, code) for code in value[:used]]
    if value not in set(codes) or codes(value).name == "NONE":
        return value
    return codes(value).name.lower()
