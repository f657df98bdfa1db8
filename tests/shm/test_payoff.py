"""Proof: the enumerated payoff is what a settlement price really pays, at every price."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.codes import MarketKind, Outcome, Side
from shm.payoff import Leg, payoff
from tests.engine.factory import market

KINDS = [MarketKind.ABOVE, MarketKind.RANGE, MarketKind.BELOW, MarketKind.TOP]


def settles_yes(row, price) -> bool:
    """The venue's resolution texts, word for word, for one settlement price."""
    lower, upper = Fraction(row.lower_usd_e6, 10**6), Fraction(row.upper_usd_e6, 10**6)
    if row.kind == MarketKind.ABOVE:
        return price > lower
    if row.kind == MarketKind.RANGE:
        return lower <= price < upper
    if row.kind == MarketKind.BELOW:
        return price < upper
    return price >= lower


@st.composite
def legs(draw):
    found = []
    for row in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(KINDS))
        lower = draw(st.integers(1, 6))
        upper = lower + draw(st.integers(1, 3))
        has_lower = kind is not MarketKind.BELOW
        has_upper = kind in {MarketKind.RANGE, MarketKind.BELOW}
        found.append(
            Leg(
                market(row, kind, lower if has_lower else None, upper if has_upper else None),
                draw(st.sampled_from([Outcome.YES, Outcome.NO])),
                draw(st.sampled_from([Side.BUY, Side.SELL])),
            )
        )
    return found


@given(legs(), st.fractions(0, 12, max_denominator=4))
def test_the_payoff_at_any_price_is_the_one_of_its_position(basket, price):
    proof = payoff(basket)
    paid = 0
    for leg in basket:
        wins = settles_yes(leg.market, price) == (leg.outcome is Outcome.YES)
        paid += (10_000 if wins else 0) * (1 if leg.side is Side.BUY else -1)
    bounds = [Fraction(bound, 10**6) for bound in proof.bounds_usd_e6]
    below = sum(bound < price for bound in bounds)
    position = 2 * below + 1 if price in bounds else 2 * below
    assert proof.by_position_e4[position] == paid
    assert paid >= min(proof.interval_min_e4, proof.tie_min_e4)


def trio(lower=76_000, upper=78_000):
    low = market(0, MarketKind.ABOVE, lower)
    high = market(1, MarketKind.ABOVE, upper)
    middle = market(2, MarketKind.RANGE, lower, upper)
    return low, middle, high


def test_the_trio_pays_two_and_its_ties_are_seen():
    low, middle, high = trio()
    proof = payoff([
        Leg(low, Outcome.YES, Side.BUY),
        Leg(middle, Outcome.NO, Side.BUY),
        Leg(high, Outcome.NO, Side.BUY),
    ])  # fmt: skip
    assert proof.by_position_e4 == (20_000, 10_000, 20_000, 30_000, 20_000)
    assert (proof.interval_min_e4, proof.tie_min_e4, proof.void_e4) == (20_000, 10_000, 15_000)


def test_the_complement_pays_one_and_nothing_at_the_upper_tie():
    low, middle, high = trio()
    proof = payoff([
        Leg(low, Outcome.NO, Side.BUY),
        Leg(middle, Outcome.YES, Side.BUY),
        Leg(high, Outcome.YES, Side.BUY),
    ])  # fmt: skip
    assert proof.by_position_e4 == (10_000, 20_000, 10_000, 0, 10_000)


def test_a_market_without_kind_has_no_payoff():
    with pytest.raises(AssertionError, match="no payoff"):
        payoff([Leg(market(0, MarketKind.NONE, 5), Outcome.YES, Side.BUY)])
