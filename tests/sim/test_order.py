import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.order import OPEN, TRANSITIONS, Outcome, Side, Status, in_yes_terms, own_price_e4
from tests.sim.worlds import order


@given(st.sampled_from(Outcome), st.sampled_from(Side), st.integers(0, 10_000))
def test_terms_map_to_the_book_and_back(outcome, side, price_e4):
    book_side, book_price_e4 = in_yes_terms(outcome, side, price_e4)
    assert in_yes_terms(outcome, book_side, book_price_e4) == (side, price_e4)
    assert own_price_e4(outcome, book_price_e4) == price_e4


def test_an_order_leaves_live_for_one_final_state():
    for status in set(Status) - OPEN:
        one = order()
        one.become(status)
        assert not TRANSITIONS[status]
        for other in Status:
            with pytest.raises(ValueError, match="cannot become"):
                one.become(other)


def test_an_order_fills_up_to_its_size_and_no_further():
    one = order(size=10)
    one.fill(4_000_000)
    assert one.remaining_e6 == 6_000_000
    for size_e6 in (0, -1, 6_000_001):
        with pytest.raises(ValueError, match="cannot fill"):
            one.fill(size_e6)
    one.fill(6_000_000)
    assert one.remaining_e6 == 0


def test_a_cancelled_order_does_not_fill():
    one = order()
    one.become(Status.CANCELED)
    with pytest.raises(ValueError, match="cannot fill"):
        one.fill(1)
