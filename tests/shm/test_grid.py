"""Grid: which numbers of shares the venue takes."""

from hypothesis import given
from hypothesis import strategies as st

from shm.grid import basket_step, least_shares, share_step


@given(st.integers(1, 9_999), st.integers(1, 1_000))
def test_a_multiple_of_the_step_costs_whole_cents_and_nothing_smaller_does(price_e4, times):
    step = share_step(price_e4)
    assert step * times * price_e4 % 100 == 0
    assert all(shares * price_e4 % 100 for shares in range(1, step))


@given(st.lists(st.integers(1, 9_999), min_size=1, max_size=4))
def test_a_baskets_step_is_on_every_legs_grid(prices):
    step = basket_step(prices)
    assert all(step * price_e4 % 100 == 0 for price_e4 in prices)


def test_the_documented_steps_hold():
    assert share_step(5_600) == 1  # 0.56: any whole number
    assert share_step(560) == 5  # 0.056: fives
    assert share_step(530) == 10  # 0.053: tens
    assert share_step(47) == 100


@given(st.integers(1, 9_999), st.integers(0, 10**9))
def test_the_least_order_is_worth_a_dollar_and_one_share_less_is_not_enough(price_e4, min_size_e6):
    least = least_shares(price_e4, min_size_e6)
    assert least * price_e4 >= 10_000
    assert least * 10**6 >= min_size_e6
    fewer = least - 1
    assert fewer * price_e4 < 10_000 or fewer * 10**6 < min_size_e6
