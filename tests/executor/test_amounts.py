"""Amounts: the official table to the last digit, and exact arithmetic beyond it."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from executor.amounts import (
    cost_usd_e6,
    limit_amounts,
    market_amounts,
)
from executor.wire import SIDES
from shm.codes import Side
from tests.executor import vectors

TICKS_E4 = [1000, 100, 50, 25, 10, 1]


def test_every_row_of_the_rounding_table_is_reproduced(shared):
    table = vectors.load(shared)["rounding_table"]
    assert len(table) == 484
    for row in table:
        amounts = limit_amounts if row["kind"] == "limit" else market_amounts
        maker, taker = amounts(SIDES[row["side"]], *vectors.price_and_size(row))
        assert (str(maker), str(taker)) == (row["maker_amount"], row["taker_amount"]), row


def test_the_recorded_orders_have_our_amounts(shared):
    for order in vectors.load(shared)["orders"]:
        amounts = limit_amounts if order["kind"] == "limit" else market_amounts
        side = SIDES[order["inputs"]["side"]]
        maker, taker = amounts(side, *vectors.price_and_size(order["inputs"]))
        assert (str(maker), str(taker)) == (order["maker_amount"], order["taker_amount"])


@given(st.sampled_from(TICKS_E4), st.data(), st.integers(0, 10**10))
def test_limit_orders_on_the_tick_are_exact(tick_e4, data, size_c):
    price_e4 = tick_e4 * data.draw(st.integers(1, 10_000 // tick_e4 - 1))
    size_e6 = size_c * 10**4
    money = Decimal(size_c) / 100 * Decimal(price_e4) / 10_000
    maker, taker = limit_amounts(Side.BUY, price_e4, size_e6, tick_e4)
    assert (Decimal(maker) / 10**6, taker) == (money, size_e6)
    assert limit_amounts(Side.SELL, price_e4, size_e6, tick_e4) == (taker, maker)


@given(st.integers(0, 10**12))
def test_the_share_side_is_cut_to_hundredths_and_never_rounded_up(size_e6):
    _, shares = limit_amounts(Side.BUY, 5_000, size_e6, 100)
    assert shares == size_e6 // 10**4 * 10**4


def test_costs_are_rounded_against_us():
    assert cost_usd_e6(5_400, 18_518_517) == 9_999_999 + 1
    assert cost_usd_e6(5_000, 10_000_000) == 5_000_000
