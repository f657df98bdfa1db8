"""The linear program behind the scan: the best riskless purchase out of given offers, with proofs.

For the markets of one rule of settlement, every price level of YES and NO is an offer: so many
shares at a cost that includes the fee. The bounds of all markets cut the settlement line into
intervals; in each one every token pays a dollar or nothing. Wanted are the amounts x with

    maximise   least payoff over all intervals  -  cost of x          (x within the offers)

Floating point finds the answer and is trusted with nothing. What counts is computed again from it
in integers, and each way round it is a proof whatever the solver did:

    what is bought   The payoff of the rounded amounts, interval by interval, less their cost, is a
                     profit that is really there (`Bought`).
    what is not      Any probabilities of the intervals bound every purchase's profit: by the sum
                     over the offers of size * (expected payoff - cost), where that is positive.
                     The dual solution gives the probabilities; where the bound is 0 they are a
                     state-price measure, and there is no arbitrage (`Bound`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from shm.codes import Outcome, Side
from shm.layout import Market
from shm.payoff import Leg, bounds_of, pays_yes
from shm.units import ceil_div

E8 = 10**8
E14_PER_USD_E6 = 10**8
SHARE_E6 = 10**6
MEASURE_E12 = 10**12
NOTHING = 1e-7
"""Amounts and profits of the solver below this are its rounding."""


class Level(NamedTuple):
    """Shares at one price."""

    cost_e8: int
    """Price and fee of one share."""
    size_e6: int
    price_e4: int


@dataclass(frozen=True)
class Offer:
    """A token that can be bought, cheapest level first."""

    market: Market
    outcome: Outcome
    levels: tuple[Level, ...]

    @property
    def leg(self) -> Leg:
        """The purchase of this token."""
        return Leg(self.market, self.outcome, Side.BUY)

    @property
    def name(self) -> tuple[int, Outcome]:
        """Market key and outcome."""
        return self.market.key, self.outcome


@dataclass(frozen=True)
class Field:
    """Offers of markets that settle on one price by one rule."""

    offers: tuple[Offer, ...]

    @cached_property
    def bounds_usd_e6(self) -> tuple[int, ...]:
        """Where the line is cut."""
        return tuple(sorted({bound for one in self.offers for bound in bounds_of(one.market)}))

    @cached_property
    def pays(self) -> tuple[tuple[bool, ...], ...]:
        """By offer: whether it pays in each interval between the bounds."""
        intervals = range(0, 2 * len(self.bounds_usd_e6) + 1, 2)
        return tuple(
            tuple(
                pays_yes(one.market, self.bounds_usd_e6, at) == (one.outcome is Outcome.YES)
                for at in intervals
            )
            for one in self.offers
        )


class Bought(NamedTuple):
    """A purchase, exactly."""

    sizes_e6: tuple[tuple[int, ...], ...]
    """By offer and level."""
    cost_e14: int
    payoff_e14: tuple[int, ...]
    """By interval."""

    @property
    def profit_e14(self) -> int:
        """Least payoff less cost: what is certain."""
        return min(self.payoff_e14, default=0) - self.cost_e14


class Bound(NamedTuple):
    """Probabilities of the intervals, and what they say that no purchase can exceed."""

    measure: tuple[int, ...]
    """By interval, not negative; their sum is the unit."""
    profit_usd_e6: int
    """Rounded up."""


class Answer(NamedTuple):
    """The best purchase, and why there is no better one."""

    bought: Bought
    bound: Bound


def best_purchase(field: Field) -> Answer:
    """Solve, and prove both ways; amounts and measure come from the solver, figures do not."""
    amounts, duals = _solved(field)
    return Answer(exactly(field, amounts), bounded(field, duals))


def exactly(field: Field, amounts: Sequence[Sequence[float]]) -> Bought:
    """Amounts rounded down to what is offered, and what they cost and pay, in integers."""
    sizes = tuple(
        tuple(
            min(level.size_e6, max(0, int(amount * SHARE_E6 + 0.01)))
            for level, amount in zip(offer.levels, some, strict=True)
        )
        for offer, some in zip(field.offers, amounts, strict=True)
    )
    cost_e14 = sum(
        size_e6 * level.cost_e8
        for offer, some in zip(field.offers, sizes, strict=True)
        for level, size_e6 in zip(offer.levels, some, strict=True)
    )
    payoff_e14 = tuple(
        sum(sum(some) * E8 for some, pays in zip(sizes, field.pays, strict=True) if pays[at])
        for at in range(len(field.bounds_usd_e6) + 1)
    )
    return Bought(sizes, cost_e14, payoff_e14)


def bounded(field: Field, duals: Sequence[float]) -> Bound:
    """The bound that these weights of the intervals prove, whatever they are."""
    measure = tuple(max(0, round(weight * MEASURE_E12)) for weight in duals)
    if not any(measure):
        measure = (1,) * len(measure)  # some measure has to be named; this one says little
    unit = sum(measure)
    excess = 0
    for offer, pays in zip(field.offers, field.pays, strict=True):
        expected = sum(weight for weight, pay in zip(measure, pays, strict=True) if pay)
        for level in offer.levels:
            excess += level.size_e6 * max(0, expected * E8 - level.cost_e8 * unit)
    return Bound(measure, ceil_div(excess, unit * E14_PER_USD_E6))


def _solved(field: Field) -> tuple[list[list[float]], list[float]]:
    """Amounts in shares by offer and level, and the weight of each interval."""
    rows = len(field.bounds_usd_e6) + 1
    program = Program(rows)
    program.column(1.0, -program.infinity, program.infinity, dict.fromkeys(range(rows), -1.0))
    for offer, pays in zip(field.offers, field.pays, strict=True):
        paying = {at: 1.0 for at, pay in enumerate(pays) if pay}
        for level in offer.levels:
            program.column(-level.cost_e8 / E8, 0.0, level.size_e6 / SHARE_E6, paying)
    values, duals, _ = program.solved()
    amounts, at = [], 1
    for offer in field.offers:
        amounts.append(values[at : at + len(offer.levels)])
        at += len(offer.levels)
    return amounts, [abs(dual) for dual in duals]


class Program:
    """A linear program that is written column by column.

    Every row is to be at least 0, those that are `exact` are to be 0.
    """

    def __init__(self, rows: int, exact: Collection[int] = ()) -> None:
        from highspy import _core  # noqa: PLC0415  # heavy; its public class greets on our stdout

        self._core: Any = _core
        self.infinity: float = _core.kHighsInf
        self._rows = rows
        self._exact = exact
        self._costs: list[float] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._starts = [0]
        self._places: list[int] = []
        self._values: list[float] = []

    def column(self, worth: float, lower: float, upper: float, entries: Mapping[int, float]) -> int:
        """Add a variable; its number."""
        self._costs.append(worth)
        self._lower.append(lower)
        self._upper.append(upper)
        self._places += entries.keys()
        self._values += entries.values()
        self._starts.append(len(self._places))
        return len(self._costs) - 1

    def solved(self) -> tuple[list[float], list[float], float]:
        """Values of the columns, duals of the rows, and what is gained."""
        program = self._core.HighsLp()
        program.num_col_, program.num_row_ = len(self._costs), self._rows
        program.col_cost_, program.col_lower_ = self._costs, self._lower
        program.col_upper_ = self._upper
        program.row_lower_ = [0.0] * self._rows
        program.row_upper_ = [
            0.0 if row in self._exact else self.infinity for row in range(self._rows)
        ]
        program.a_matrix_.format_ = self._core.MatrixFormat.kColwise
        program.a_matrix_.start_ = self._starts
        program.a_matrix_.index_ = self._places
        program.a_matrix_.value_ = self._values
        program.sense_ = self._core.ObjSense.kMaximize
        options = self._core.HighsOptions()
        options.output_flag = options.log_to_console = False
        options.threads = 1
        options.solver = "simplex"
        solver = self._core._Highs()  # noqa: SLF001
        solver.passOptions(options)
        solver.passModel(program)
        solver.run()
        status = solver.getModelStatus()
        assert status == self._core.HighsModelStatus.kOptimal, status
        solution = solver.getSolution()
        gained = sum(
            cost * value for cost, value in zip(self._costs, solution.col_value, strict=True)
        )
        return list(solution.col_value), list(solution.row_dual), gained
