"""Launching: the same intent is the same bytes, no salt comes twice, hashes are Ethereum's."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.amounts import limit_amounts
from executor.flights import Flight
from executor.gate import Admitted, Shape
from executor.keccak import keccak
from executor.launching import (
    ORDER_TYPE,
    SALT_BYTES,
    Launcher,
    Wish,
    basket_of,
    mirrored,
    repair_of,
    repair_wishes,
    wishes_of,
)
from executor.legging import Choice, Order, Plan, Standing
from shm.codes import Exchange, Outcome, Purpose, Side
from shm.records import OrderKind
from tests.executor.test_batch import account, typed_data
from tests.executor.test_gate import signal
from tests.executor.written import MARKETS, OUTCOMES, PRICES_E4, SIZE_E6

ACCOUNT = account()
JOURNAL = 77
SHAPE = Shape(None, tuple(MARKETS), OUTCOMES, 20_000)
AT_MS = 1_795_000_000_123
ADMITTED = Admitted(SIZE_E6, 20_000_000)
numbers = st.integers(1, 2**63)


def wishes(size_e6: int = SIZE_E6, prices=PRICES_E4):
    return [
        Wish(one, outcome, Side.BUY, price, size_e6, 10)
        for one, outcome, price in zip(MARKETS, OUTCOMES, prices, strict=True)
    ]


def built(flight: int = 5, launcher: Launcher | None = None, **some):
    launcher = launcher or Launcher(ACCOUNT, JOURNAL)
    basket = basket_of(signal(), ADMITTED, 1, some.pop("at_ms", AT_MS))
    ready = launcher.build(flight, basket, wishes(**some))
    return ready.intents, bytes(ready.request)


def bodies(request: bytes):
    return msgspec.json.decode(request.partition(b"\r\n\r\n")[2])


def test_the_same_intent_is_the_same_bytes_in_whatever_process():
    assert built() == built()
    launcher = Launcher(ACCOUNT, JOURNAL)
    built(6, launcher, size_e6=5 * 10**6)
    assert built(5, launcher) == built()


@pytest.mark.parametrize(
    "other",
    [{"flight": 6}, {"at_ms": AT_MS + 1}, {"size_e6": SIZE_E6 + 10**6},
     {"prices": (6_010, 6_900, 5_900)}, {"launcher": Launcher(ACCOUNT, JOURNAL + 1)},
     {"launcher": Launcher(account(2), JOURNAL)}],
)  # fmt: skip
def test_another_intent_is_another_order(other):
    ours, theirs = built()[0], built(**other)[0]
    assert ours[0].order_hash != theirs[0].order_hash


@given(st.lists(numbers, min_size=2, max_size=40, unique=True))
def test_no_two_orders_of_a_journal_have_one_salt(flights):
    launcher = Launcher(ACCOUNT, JOURNAL)
    salts = [launcher.salt(flight, leg) for flight in flights for leg in range(15)]
    assert len(set(salts)) == len(salts)
    assert all(0 <= salt < 1 << 8 * SALT_BYTES for salt in salts)


def test_a_salt_that_forgets_the_leg_would_be_found():
    """What the test before is there for."""
    launcher = Launcher(ACCOUNT, JOURNAL)
    assert launcher.salt(1, 0) != launcher.salt(1, 1)
    assert launcher.salt(1, 0) == Launcher(ACCOUNT, JOURNAL).salt(1, 0)
    assert launcher.salt(1, 0) != Launcher(ACCOUNT, JOURNAL + 1).salt(1, 0)


@given(numbers, st.integers(1, 400).map(lambda n: n * 10**6),
       st.tuples(*[st.integers(1, 999).map(lambda n: n * 10)] * 3),
       st.integers(10**12, 2 * 10**12))  # fmt: skip
@settings(max_examples=40)
def test_what_is_written_is_what_is_sent_and_its_hash_is_eth_accounts(flight, size, prices, at_ms):
    intents, request = built(flight, at_ms=at_ms, size_e6=size, prices=prices)
    assert len(intents) == len(bodies(request)) == 3
    for intent, body, price in zip(intents, bodies(request), prices, strict=True):
        order = body["order"]
        amounts = limit_amounts(Side.BUY, price, size, 10)
        assert (intent.maker_amount, intent.taker_amount) == amounts
        assert (int(order["makerAmount"]), int(order["takerAmount"])) == amounts
        assert (order["salt"], int(order["timestamp"])) == (intent.salt, at_ms)
        assert order["tokenId"] == str(int.from_bytes(intent.token, "big"))
        assert bytes.fromhex(order["signature"][2:]) == intent.signature
        assert body["orderType"] == "FOK"
        assert intent.order_type == ORDER_TYPE == OrderKind.FOK
        meant = (Exchange(intent.exchange), Side(intent.side), intent.token, amounts, intent.salt)
        message = typed_data(ACCOUNT, meant, at_ms)
        assert intent.order_hash == keccak(b"\x19\x01" + message.header + message.body)


def test_a_signal_becomes_its_orders():
    one = signal()
    made = wishes_of(one, ADMITTED, SHAPE, {0: 10, 1: 100, 2: 10})
    assert [(w.market.row, w.outcome, w.price_e4, w.size_e6, w.tick_e4) for w in made] == [
        (0, Outcome.YES, 6_000, SIZE_E6, 10), (1, Outcome.NO, 7_000, SIZE_E6, 100),
        (2, Outcome.NO, 5_900, SIZE_E6, 10),
    ]  # fmt: skip
    basket = basket_of(one, ADMITTED, 3, AT_MS)
    assert (basket.signal, basket.basket, basket.leg_count) == (one.signal, one.basket, 3)
    assert (basket.purpose, basket.parent, basket.group) == (Purpose.BASKET, 0, 3)
    assert (basket.size_e6, basket.reserved_usd_e6) == (SIZE_E6, 20_000_000)


def test_a_repair_names_its_basket_and_sells_what_the_plan_sells():
    legs = [Standing(one, outcome, SIZE_E6, (), (), 10, SIZE_E6, 0)
            for one, outcome in zip(MARKETS, OUTCOMES, strict=True)]  # fmt: skip
    orders = (Order(2, Side.BUY, 4 * 10**6, 5_950), Order(0, Side.SELL, 10**6, 90))
    plan = Plan(Choice.LEVEL, orders, 0, 0, 2_500_000)
    basket = basket_of(signal(), ADMITTED, 1, AT_MS)
    parent = Flight(41, 10, Purpose.BASKET, basket.basket, basket.kind, 1, 0, 20_000, SIZE_E6, 1, 1,
                    AT_MS)  # fmt: skip
    repair = repair_of(parent, plan, AT_MS + 9)
    assert (repair.parent, repair.purpose, repair.signal) == (41, Purpose.REPAIR, 0)
    assert (repair.reserved_usd_e6, repair.size_e6) == (2_500_000, 4 * 10**6)
    made = repair_wishes(plan, legs)
    assert [(w.market.row, w.side, w.size_e6, w.price_e4) for w in made] == [
        (2, Side.BUY, 4 * 10**6, 5_950), (0, Side.SELL, 10**6, 90),
    ]  # fmt: skip
    intents = Launcher(ACCOUNT, JOURNAL).build(42, repair, made).intents
    assert [Side(one.side) for one in intents] == [Side.BUY, Side.SELL]


def test_a_leg_from_inventory_sells_the_opposite_at_one_less_the_price():
    one = signal()
    chosen = Admitted(SIZE_E6, 13_000_000, frozenset({2}))
    made = wishes_of(one, chosen, SHAPE, {0: 10, 1: 10, 2: 10})
    plain = wishes_of(one, ADMITTED, SHAPE, {0: 10, 1: 10, 2: 10})
    assert made[:2] == plain[:2]
    assert (made[2].outcome, made[2].side, made[2].price_e4) == (Outcome.YES, Side.SELL, 4_100)
    assert (made[2].size_e6, made[2].market) == (SIZE_E6, plain[2].market)
    assert mirrored(made[2]) == plain[2]
    ready = Launcher(ACCOUNT, JOURNAL).build(5, basket_of(one, chosen, 1, AT_MS), made)
    order = bodies(bytes(ready.request))[2]["order"]
    shares, money = SIZE_E6, SIZE_E6 * 4_100 // 10_000
    assert (int(order["makerAmount"]), int(order["takerAmount"])) == (shares, money)
    assert (order["side"], order["tokenId"]) == (
        "SELL", str(int.from_bytes(MARKETS[2].yes_token, "big")),
    )  # fmt: skip
    assert (ready.intents[2].side, ready.intents[2].price_e4) == (Side.SELL, 4_100)
    assert ready.basket.reserved_usd_e6 == 13_000_000  # cash of what is bought alone


def test_an_order_of_a_repair_may_be_carried_out_in_the_opposite_token():
    legs = [Standing(one, outcome, SIZE_E6, (), (), 10, 0, SIZE_E6)
            for one, outcome in zip(MARKETS, OUTCOMES, strict=True)]  # fmt: skip
    orders = (Order(2, Side.BUY, 10**6, 5_950, mirrored=True),
              Order(0, Side.SELL, 10**6, 90, mirrored=True))  # fmt: skip
    found = repair_wishes(Plan(Choice.LEVEL, orders, 0, 0, 0), legs)
    assert [(w.outcome, w.side, w.price_e4) for w in found] == [
        (Outcome.YES, Side.SELL, 4_050), (Outcome.NO, Side.BUY, 9_910),
    ]  # fmt: skip
