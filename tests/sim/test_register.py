import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import register as module
from sim.order import Outcome, Status
from sim.register import Register
from tests.sim.worlds import CID, TOKENS, order


def test_a_hash_stays_known_after_its_order_has_ended():
    register, one = Register(), order(order_id="0x1")
    register.add(one)
    one.become(Status.CANCELED)
    register.finish(one)
    assert register.knows("0x1")
    assert register.get("0x1") is one
    assert register.open_of("owner") == []
    with pytest.raises(ValueError, match="is known"):
        register.add(order(order_id="0x1"))


def test_open_orders_are_found_by_owner_market_and_wallet():
    register = Register()
    mine = order(order_id="1")
    other = order(order_id="2", owner="other", wallet="w2", condition_id="elsewhere")
    for one in (mine, other):
        register.add(one)
    assert register.open_of("owner") == [mine]
    assert register.open_in(CID) == [mine]
    assert register.open_of_wallet("w2") == [other]
    assert (register.count_open("wallet"), register.count_open("nobody")) == (1, 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BUY", "SELL"]),
            st.sampled_from(Outcome),
            st.integers(1, 99),
            st.integers(1, 100),
        ),
        max_size=10,
    )
)
def test_reservations_are_what_open_orders_may_still_need(terms):
    register = Register()
    for index, (side, outcome, cents, shares) in enumerate(terms):
        register.add(order(side, cents * 100, shares, outcome, order_id=str(index)))
    buys = sum(cents * shares * 10_000 for side, _, cents, shares in terms if side == "BUY")
    assert register.reserved_usd_e6("wallet") == buys
    for wanted in Outcome:
        sells = sum(
            shares for side, outcome, _, shares in terms if (side, outcome) == ("SELL", wanted)
        )
        assert register.reserved_e6("wallet", TOKENS[wanted]) == sells * 1_000_000
    assert register.reserved_usd_e6("nobody") == 0
    assert register.reserved_e6("nobody", TOKENS[0]) == 0


def test_a_partial_fill_frees_its_part():
    register, one = Register(), order("BUY", 5000, 10)
    register.add(one)
    one.fill(4_000_000)
    assert register.reserved_usd_e6("wallet") == 3_000_000


def test_expired_orders_are_reported_once_and_only_while_live():
    register = Register()
    orders = [order(order_id=str(index)) for index in range(3)]
    for index, one in enumerate(orders):
        register.add(one, drop_ms=1000 + index)
    orders[0].become(Status.CANCELED)
    assert register.expired(999) == []
    assert register.expired(1001) == [orders[1]]
    assert register.expired(1001) == []
    assert register.expired(5000) == [orders[2]]


def test_the_memory_of_finished_orders_has_an_end(monkeypatch):
    monkeypatch.setattr(module, "MAX_FINISHED_ORDERS", 2)
    register = Register()
    for index in range(4):
        one = order(order_id=str(index))
        register.add(one)
        register.finish(one)
    remembered = [register.get(str(index)) is not None for index in range(4)]
    assert remembered == [False, False, True, True]


def test_a_hash_is_known_long_after_its_order_is_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MAX_FINISHED_ORDERS", 1)
    monkeypatch.setattr(module, "MAX_KNOWN_HASHES", 3)
    register = Register()
    for index in range(4):
        one = order(order_id=str(index))
        register.add(one)
        register.finish(one)
    assert [register.knows(str(index)) for index in range(4)] == [False, True, True, True]
