"""In what two engines differ that were given the same: signals, profit, size, legs, edge. Pure."""

from typing import NamedTuple

from engine.handover import Decision
from shm.codes import Verdict
from shm.layout import SHADOW_ROW, ShadowRow, Signal
from shm.modes import Differs

PROFIT_ALERT_USD_E6 = 1_000
"""A tenth of a cent."""
COUNT_ALERT_PART = 20
"""Numbers of signals that are more than a twentieth apart are an alert,"""
COUNT_ALERT_LEAST = 20
"""as soon as there are so many that it means something."""


class Pair(NamedTuple):
    """What both said of a basket; None: it was no hit for that one."""

    number: int
    native: Decision | None
    python: Decision | None

    @property
    def native_signal(self) -> Signal | None:
        """What the deciding engine sent."""
        return None if self.native is None else self.native.signal

    @property
    def python_signal(self) -> Signal | None:
        """What the other one would have sent."""
        return None if self.python is None else self.python.signal


def pairs(native: list[Decision], python: list[Decision]) -> list[Pair]:
    """Decisions of one look by basket, in the order of the native ones."""
    mine = {decision.number: decision for decision in native}
    others = {decision.number: decision for decision in python}
    return [
        Pair(number, mine.get(number), others.get(number))
        for number in dict.fromkeys([*mine, *others])
    ]


def differs(pair: Pair) -> Differs:
    """In what the two are not alike; the clocks of each are its own."""
    native, python = pair.native_signal, pair.python_signal
    if native is None and python is None:
        said = {Verdict.NONE if one is None else one.verdict for one in pair[1:]}
        return Differs.VERDICT if len(said) > 1 else Differs(0)
    if python is None:
        return Differs.MISSING
    if native is None:
        return Differs.EXTRA
    found = Differs(0)
    if native.profit_usd_e6 != python.profit_usd_e6:
        found |= Differs.PROFIT
    if native.size_e6 != python.size_e6:
        found |= Differs.SIZE
    if _legs(native) != _legs(python):
        found |= Differs.LEGS
    if _edge(native) != _edge(python):
        found |= Differs.EDGE
    return found


def _legs(signal: Signal) -> tuple[object, ...]:
    return (
        signal.leg_count, signal.leg_market, signal.leg_outcome, signal.leg_side,
        signal.leg_price_e4, signal.leg_size_e6, signal.leg_version,
    )  # fmt: skip


def _edge(signal: Signal) -> tuple[object, ...]:
    return (
        signal.basket, signal.kind, signal.payout_e4, signal.gross_e8, signal.net_e8,
        signal.limit_net_e8, signal.signal, signal.generation, signal.settings_version,
    )  # fmt: skip


def profit_apart_usd_e6(pair: Pair) -> int:
    """By how much the profits of two signals differ; 0 unless both made one."""
    native, python = pair.native_signal, pair.python_signal
    if native is None or python is None:
        return 0
    return abs(native.profit_usd_e6 - python.profit_usd_e6)


def counts_apart(native: int, python: int) -> bool:
    """Whether the numbers of signals are more than 5 % apart."""
    most = max(native, python)
    return most >= COUNT_ALERT_LEAST and abs(native - python) * COUNT_ALERT_PART > most


def shadow_row(pair: Pair, found: Differs, basket: int) -> ShadowRow:
    """A difference for people; its number, market, generation and time are left at zero."""
    native, python = pair.native_signal, pair.python_signal
    row = SHADOW_ROW.blank()._replace(basket=basket, differs=found)
    if native is not None:
        row = row._replace(
            kind=native.kind, native_signal=native.signal, native_legs=native.leg_count,
            native_size_e6=native.size_e6, native_net_e8=native.net_e8,
            native_profit_usd_e6=native.profit_usd_e6, native_leg_market=native.leg_market,
            native_leg_price_e4=native.leg_price_e4, native_leg_outcome=native.leg_outcome,
        )  # fmt: skip
    if python is not None:
        row = row._replace(
            kind=python.kind, python_signal=python.signal, python_legs=python.leg_count,
            python_size_e6=python.size_e6, python_net_e8=python.net_e8,
            python_profit_usd_e6=python.profit_usd_e6, python_leg_market=python.leg_market,
            python_leg_price_e4=python.leg_price_e4, python_leg_outcome=python.leg_outcome,
        )  # fmt: skip
    return row
