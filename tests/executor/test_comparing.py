"""Comparing: what the venue really paid out is always explained, and nothing else ever is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.comparing import Theirs, Tolerance, compare
from executor.ledger import Holding, Ledger
from shm.codes import MarketKind, Outcome
from tests.engine.factory import ladder

STRIKES = [10, 20, 30]
END_MS = ladder(STRIKES)[0].expiry_ms
DUST = Tolerance(usd_e6=10, size_e6=5)
CASH_USD_E6 = 10**9


def won(one, outcome: Outcome, price_usd: float) -> bool:
    """The venue's own words for each kind, read a second time."""
    price = price_usd * 10**6
    yes = {
        MarketKind.ABOVE: price > one.lower_usd_e6,
        MarketKind.TOP: price >= one.lower_usd_e6,
        MarketKind.BELOW: price < one.upper_usd_e6,
        MarketKind.RANGE: one.lower_usd_e6 <= price < one.upper_usd_e6,
    }[one.kind]
    return yes is (outcome is Outcome.YES)


def ladders(count: int):
    made = []
    for number in range(count):
        rows = ladder(STRIKES, first_row=20 * number, group=number + 1)
        made.append([one for one in rows if one.kind is not MarketKind.NONE])
    return made


def name(one, outcome) -> str:
    token = one.yes_token if outcome is Outcome.YES else one.no_token
    return str(int.from_bytes(token, "big"))


class Ended:
    """Holdings in ladders that have ended, and what the venue made of them."""

    def __init__(self, holdings, prices) -> None:
        self.tokens, self.ledger = {}, Ledger(opening_usd_e6=CASH_USD_E6)
        self.paid = {}
        for rows, price in zip(ladders(len(prices)), prices, strict=True):
            for one in rows:
                for outcome in (Outcome.YES, Outcome.NO):
                    token = name(one, outcome)
                    self.tokens[token] = (one, outcome)
                    size_e6 = holdings.get((one.row, outcome), 0)
                    if size_e6:
                        self.ledger.holdings[token] = Holding(size_e6, 1, 0, 1)
                        share = 0.5 if price is None else float(won(one, outcome, price))
                        self.paid[token] = int(size_e6 * share)

    def theirs(self, more_usd_e6: int = 0) -> Theirs:
        cash = CASH_USD_E6 + sum(self.paid.values()) + more_usd_e6
        return Theirs(cash, dict.fromkeys(self.paid, 0))

    def compare(self, theirs: Theirs, now_ms: int = END_MS):
        return compare(self.ledger, theirs, self.tokens, DUST, now_ms)


rows = st.integers(0, 6).flatmap(lambda row: st.sampled_from([row, row + 20]))
holdings = st.dictionaries(
    st.tuples(rows, st.sampled_from([Outcome.YES, Outcome.NO])),
    st.integers(1, 500).map(lambda units: units * 10**6),
    min_size=1,
    max_size=6,
)
prices = st.one_of(st.none(), st.sampled_from([5, 10, 15, 20, 25, 30, 35]))


@given(holdings, prices, prices)
def test_what_a_settlement_paid_is_explained_token_by_token(held, one, two):
    ended = Ended(held, [one, two])
    found = ended.compare(ended.theirs())
    assert found.clean
    assert {paid.token for paid in found.paid} == set(ended.paid)
    assert sum(paid.paid_usd_e6 for paid in found.paid) == sum(ended.paid.values())
    assert all(paid.size_e6 == ended.ledger.holdings[paid.token].size_e6 for paid in found.paid)


@given(holdings, prices, st.integers(11, 900_000), st.sampled_from([1, -1]))
def test_money_that_no_settlement_pays_is_never_explained(held, price, more, sign):
    """Holdings are whole shares: every payout is a multiple of half a dollar."""
    ended = Ended(held, [price, price])
    more = sign * more
    if min(more % 500_000, -more % 500_000) <= DUST.usd_e6:
        return
    found = ended.compare(ended.theirs(more))
    assert not found.clean
    assert found.paid == ()
    assert set(found.positions) == set(ended.paid)


@given(holdings, prices)
def test_before_its_end_no_market_pays_anything(held, price):
    ended = Ended(held, [price, price])
    found = ended.compare(ended.theirs(), END_MS - 1)
    assert not found.clean
    assert set(found.positions) == set(ended.paid)


@given(holdings, prices, st.data())
def test_a_position_that_went_only_in_part_is_not_a_payout(held, price, data):
    ended = Ended(held, [price, price])
    token = data.draw(st.sampled_from(sorted(ended.paid)))
    left = ended.ledger.holdings[token].size_e6 - 10 * DUST.size_e6
    theirs = ended.theirs()
    found = ended.compare(replace(theirs, positions_e6={**theirs.positions_e6, token: left}))
    assert token in found.positions
    assert not found.clean


@given(holdings, prices, st.integers(-10, 10))
def test_dust_is_no_difference(held, price, dust):
    ended = Ended(held, [price, price])
    assert ended.compare(ended.theirs(dust)).clean


@pytest.mark.parametrize(("off", "clean"), [(5, True), (6, False), (-5, True), (-6, False)])
def test_the_tolerance_of_a_position_to_its_edge(off, clean):
    ended = Ended({(0, Outcome.YES): 10**7}, [15])
    token = next(iter(ended.paid))
    found = ended.compare(Theirs(CASH_USD_E6, {token: 10**7 + off}), END_MS - 1)
    assert found.clean is clean


@pytest.mark.parametrize(("off", "left"), [(10, 0), (11, 11), (-10, 0), (-11, -11)])
def test_the_tolerance_of_cash_to_its_edge(off, left):
    found = Ended({}, []).compare(Theirs(CASH_USD_E6 + off, {}))
    assert found.cash_usd_e6 == left
    assert found.clean is (left == 0)


def test_tokens_that_nobody_knows_and_the_venue_has_differ():
    found = Ended({}, []).compare(Theirs(CASH_USD_E6, {"999": 10**6}))
    assert found.positions == ("999",)


def test_more_ladders_than_can_be_tried_are_a_difference_and_not_a_hang():
    count = 40
    held = {
        (20 * number + row, Outcome.YES): (7 ** (row + 1) + 31 * number) * 10**6
        for number in range(count) for row in range(4)
    }  # fmt: skip
    ended = Ended(held, [15] * count)
    found = ended.compare(ended.theirs())
    assert not found.clean
    assert set(found.positions) == set(ended.paid)
