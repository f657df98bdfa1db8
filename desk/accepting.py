"""`polytrio accept`: a difference between journal and venue, shown, confirmed, taken over.

The executor finds the difference and takes it over (executor/accepting.py); here it is asked, and
the operator.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from desk.killing import Unconfirmed, operator, waited, watched
from shm import accepting
from shm.accepting import Answer, Figures, parse_signed, signed
from shm.errors import InputError
from shm.settings import Settings
from shm.units import UnitError, parse_token_id

PATIENCE_S = 40.0
"""For an executor that says nothing, or that it needs less."""
MARGIN_S = 10.0
"""Beyond the time that it says it needs."""
TAKEN_BACK = "nothing was accepted"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of it."""

    figures: Figures
    accepted: bool

    def as_json(self) -> Mapping[str, Any]:
        """For machines: whole numbers, theirs less ours."""
        return {
            "accepted": self.accepted,
            "cash_usd_e6": self.figures.cash_usd_e6,
            "shares_e6": self.figures.shares_e6,
        }

    def lines(self) -> list[str]:
        """For people."""
        if not self.figures:
            return ["nothing differs: cash and every position are the venue's"]
        end = "accepted; `polytrio arm` allows trading again" if self.accepted else TAKEN_BACK
        return [*shown(self.figures), end]


def shown(figures: Figures) -> list[str]:
    """What differs, a line each, to the micro-unit."""
    found = []
    if figures.cash_usd_e6:
        found.append(
            f"cash: {signed(figures.cash_usd_e6)} dollars at the venue, beside the journal"
        )
    for token, size_e6 in figures.shares_e6.items():
        found.append(f"token {token}: {signed(size_e6)} shares at the venue, beside the journal")
    return found


def chosen(cash: str, shares: Sequence[str]) -> Figures:
    """Figures of the command line: `+1.25` and `TOKEN=-5`; `InputError` if they are none."""
    shares_e6: dict[str, int] = {}
    try:
        cash_usd_e6 = parse_signed(cash) if cash else 0
        for word in shares:
            token, _, size = word.partition("=")
            parse_token_id(token)
            shares_e6[token] = parse_signed(size)
    except UnitError as error:
        raise InputError(f"{error}: say --cash +1.25, --shares TOKEN=-5") from None
    return Figures(cash_usd_e6, shares_e6)


def differing(settings: Settings) -> Figures:
    """What the executor finds now."""
    return _told(settings, "", None).found


def accept(settings: Settings, reason: str, figures: Figures) -> Accepted:
    """Have exactly this taken over."""
    return Accepted(_told(settings, reason, figures).found, accepted=True)


def confirmed(figures: Figures, ask: Callable[[str], str]) -> bool:
    """Whether the operator types every figure as it is shown."""
    asked = [("cash", figures.cash_usd_e6)] if figures.cash_usd_e6 else []
    asked += [(f"token {token}", size_e6) for token, size_e6 in figures.shares_e6.items()]
    for what, value_e6 in asked:
        try:
            typed_e6 = parse_signed(ask(f"{what}: type {signed(value_e6)} to accept it").strip())
        except UnitError:
            return False
        if typed_e6 != value_e6:
            return False
    return True


def _told(settings: Settings, reason: str, figures: Figures | None) -> Answer:
    """Ask the executor, and wait for what it says; `Unconfirmed` if it refuses, or says nothing."""
    if watched(settings.instance) is None:
        raise Unconfirmed(f"nothing of instance {settings.instance!r} runs: start it first")
    var_path = settings.var_path
    try:
        word = accepting.say(var_path, operator(), reason, figures)
    except OSError as error:
        raise Unconfirmed(f"{var_path} cannot be written: {error.strerror}") from None
    patience_s = PATIENCE_S
    answer = waited(lambda: accepting.announced(var_path, word), patience_s)
    if answer is not None and answer.within_s:
        patience_s = max(patience_s, answer.within_s + MARGIN_S)
        answer = waited(lambda: accepting.answered(var_path, word), patience_s)
    if answer is None:
        raise Unconfirmed(
            f"the executor has not answered within {patience_s:.0f} s: it waits for a true ledger "
            "(see `polytrio status` and its log), and may still take it for five minutes"
        )
    if answer.refused:
        raise Unconfirmed(f"not accepted: {answer.refused}")
    return answer
