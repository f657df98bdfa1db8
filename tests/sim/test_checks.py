import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import checks as module
from sim import replies
from sim.checks import CHECKS, needed_usd_e6, price_of
from sim.order import Outcome, Side
from sim.wire import parse_submission
from tests.sim.traders import NOW_MS, Trader
from tests.sim.worlds import TOKENS, order, world

BOOK = [("BUY", 4000, 100), ("SELL", 5000, 100), ("SELL", 5100, 100)]


def signed(trader, market, side, amounts, **changes):
    return trader.signed(market.facts, TOKENS[0], side, amounts, **changes)


def submit(trader, order_object, kind="GTC", post_only=False, owner=None):
    body = trader.wrap(order_object, kind, post_only, owner)
    return trader.exchange.place(trader.key, body, NOW_MS)[0]


@pytest.fixture
def scene():
    exchange, market, _ = world(BOOK)
    return Trader(exchange), market


def test_a_good_order_passes_every_check(scene):
    trader, market = scene
    verdict = submit(trader, signed(trader, market, "BUY", (3_000_000, 10_000_000)))
    assert (verdict.error, verdict.status) == ("", "live")


def test_the_owner_has_to_be_the_key(scene):
    trader, market = scene
    order_object = signed(trader, market, "BUY", (3_000_000, 10_000_000))
    assert submit(trader, order_object, owner="x").error == replies.WRONG_OWNER


def test_the_signer_has_to_be_the_keys_address(scene):
    trader, market = scene
    stranger = Trader(trader.exchange, number=2)
    order_object = signed(stranger, market, "BUY", (3_000_000, 10_000_000))
    assert submit(trader, order_object).error == replies.WRONG_SIGNER


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
def test_the_maker_has_to_be_the_wallet_of_the_signature_type(signature_type):
    exchange, market, _ = world(BOOK)
    trader = Trader(exchange, signature_type=signature_type)
    good = signed(trader, market, "BUY", (3_000_000, 10_000_000))
    assert submit(trader, good).status == "live"
    other = Trader(exchange, number=2, signature_type=signature_type)
    changes = {"maker": other.wallet}
    if signature_type == 3:
        changes["signer"] = other.wallet
    stolen = signed(trader, market, "BUY", (3_000_000, 10_000_000), **changes)
    assert submit(trader, stolen).error == replies.WRONG_MAKER


def test_an_unknown_token_has_no_book(scene):
    trader, market = scene
    order_object = trader.signed(market.facts, "123", "BUY", (3_000_000, 10_000_000))
    assert submit(trader, order_object).error == replies.NO_SUCH_BOOK.format(token="123")


def test_a_closed_market_takes_no_orders(scene):
    trader, market = scene
    market.accepting = False
    order_object = signed(trader, market, "BUY", (3_000_000, 10_000_000))
    assert submit(trader, order_object).error == replies.NOT_READY


@pytest.mark.parametrize(
    ("kind", "expiration_s", "good"),
    [
        ("GTC", 0, True),
        ("GTC", NOW_MS // 1000 + 600, False),
        ("GTD", 0, False),
        ("GTD", NOW_MS // 1000 + 60, False),
        ("GTD", NOW_MS // 1000 + 61, True),
    ],
)
def test_only_gtd_orders_expire_and_not_at_once(scene, kind, expiration_s, good):
    trader, market = scene
    amounts = (3_000_000, 10_000_000)
    order_object = signed(trader, market, "BUY", amounts, expiration=str(expiration_s))
    assert (submit(trader, order_object, kind).error == "") is good


@pytest.mark.parametrize(
    ("side", "amounts", "kind", "good"),
    [
        ("BUY", (5_010_000, 10_020_000), "FAK", True),
        ("BUY", (3_717_000, 7_434_000), "FAK", False),
        ("BUY", (5_000_000, 10_000_010), "FOK", False),
        ("BUY", (3_717_000, 7_434_000), "GTC", True),
        ("SELL", (10_020_000, 4_008_000), "FAK", True),
        ("SELL", (10_021_000, 4_008_400), "FAK", False),
    ],
)
def test_the_grid_of_amounts_is_for_immediate_orders_only(scene, side, amounts, kind, good):
    trader, market = scene
    trader.give(market, 50)
    verdict = submit(trader, signed(trader, market, side, amounts), kind)
    word = "market buy" if side == "BUY" else "sell"
    expected = "" if good else replies.BAD_AMOUNTS.format(kind=word)
    assert verdict.error == expected


@pytest.mark.parametrize(
    ("amounts", "price"),
    [
        ((3_005_000, 10_000_000), "0.3005"),
        ((3_333_333, 10_000_000), "0.333333"),
        ((10_000_000, 10_000_000), "1"),
        ((5_000, 10_000_000), "0.0005"),
        ((20_000_000, 10_000_000), "2"),
    ],
)
def test_prices_off_the_tick_or_outside_it_are_refused(scene, amounts, price):
    trader, market = scene
    error = submit(trader, signed(trader, market, "BUY", amounts)).error
    assert error.endswith(f"Price ({price}) breaks minimum tick size rule: 0.001")
    assert error.startswith("order 0x")


def test_small_orders_are_refused(scene):
    trader, market = scene
    error = submit(trader, signed(trader, market, "BUY", (1_497_000, 4_990_000))).error
    assert error.endswith("is invalid. Size (4.99) lower than the minimum: 5")


def test_a_wrong_signature_is_refused_before_funds_are_looked_at(scene):
    trader, market = scene
    order_object = signed(trader, market, "BUY", (3_000_000_000_000, 10_000_000_000_000))
    assert submit(trader, order_object).error == replies.NO_FUNDS
    order_object["salt"] += 1
    assert submit(trader, order_object).error == replies.BAD_SIGNATURE


def test_an_order_for_the_other_contract_is_refused():
    exchange, market, _ = world(BOOK, neg_risk=True)
    trader = Trader(exchange)
    plain = market.facts.__class__(**{**_fields(market.facts), "neg_risk": False})
    order_object = trader.signed(plain, TOKENS[0], "BUY", (3_000_000, 10_000_000))
    assert submit(trader, order_object).error == replies.BAD_SIGNATURE
    right = signed(trader, market, "BUY", (3_000_000, 10_000_000))
    assert submit(trader, right).status == "live"


def _fields(facts):
    return {name: getattr(facts, name) for name in facts.__slots__}


def test_the_same_hash_twice_is_a_duplicate_whatever_became_of_it(scene):
    trader, market = scene
    resting = signed(trader, market, "BUY", (3_000_000, 10_000_000))
    killed = signed(trader, market, "BUY", (3_000_000, 10_000_000))
    assert submit(trader, resting).status == "live"
    assert submit(trader, killed, "FAK").error == replies.FAK_KILLED
    for order_object, kind in ((resting, "GTC"), (killed, "FAK"), (resting, "FAK")):
        error = submit(trader, order_object, kind).error
        assert error.startswith("order 0x")
        assert error.endswith("is invalid. Duplicated.")


def test_a_refused_order_may_be_sent_again(scene):
    trader, market = scene
    order_object = signed(trader, market, "SELL", (10_000_000, 6_000_000))
    assert submit(trader, order_object).error == replies.NO_FUNDS
    trader.give(market, 10)
    assert submit(trader, order_object).status == "live"


def test_post_only_orders_do_not_cross(scene):
    trader, market = scene
    crossing = signed(trader, market, "BUY", (5_000_000, 10_000_000))
    assert submit(trader, crossing, post_only=True).error == replies.POST_ONLY_CROSSES
    below = signed(trader, market, "BUY", (4_990_000, 10_000_000))
    assert submit(trader, below, post_only=True).status == "live"


def test_a_marketable_order_is_worth_a_dollar():
    exchange, market, _ = world([("SELL", 100, 500), ("BUY", 20, 500)])
    trader = Trader(exchange)
    trader.give(market, 100)
    buy = signed(trader, market, "BUY", (990_000, 99_000_000))
    expected = "invalid amount for a marketable BUY order ($0.99), min size: $1"
    assert submit(trader, buy).error == expected
    assert submit(trader, buy, "FAK").error == expected
    sell = signed(trader, market, "SELL", (100_000_000, 200_000))
    assert submit(trader, sell).error == (
        "invalid amount for a marketable SELL order ($0.2), min size: $1"
    )
    resting = signed(trader, market, "BUY", (450_000, 50_000_000))
    assert submit(trader, resting).status == "live"
    enough = signed(trader, market, "BUY", (1_000_000, 100_000_000))
    assert submit(trader, enough, "FAK").status == "matched"


def test_open_orders_count_against_cash(scene):
    trader, market = scene
    trader.exchange.floor.ledger.accounts[trader.wallet].cash_usd_e6 = 10_000_000
    first = signed(trader, market, "BUY", (6_000_000, 20_000_000))
    assert submit(trader, first).status == "live"
    second = signed(trader, market, "BUY", (6_000_000, 20_000_000))
    assert submit(trader, second).error == replies.NO_FUNDS
    small = signed(trader, market, "BUY", (3_000_000, 10_000_000))
    assert submit(trader, small).status == "live"


def test_a_buy_has_to_bring_its_fee_as_well(scene):
    trader, market = scene
    account = trader.exchange.floor.ledger.accounts[trader.wallet]
    fee_usd_e6 = 175_000
    account.cash_usd_e6 = 5_000_000 + fee_usd_e6 - 1
    buy = signed(trader, market, "BUY", (5_000_000, 10_000_000))
    assert submit(trader, buy, "FOK").error == replies.NO_FUNDS
    account.cash_usd_e6 += 1
    assert submit(trader, buy, "FOK").status == "matched"
    assert account.cash_usd_e6 == 0


def test_open_sells_count_against_shares(scene):
    trader, market = scene
    trader.give(market, 15)
    assert submit(trader, signed(trader, market, "SELL", (10_000_000, 6_000_000))).status == "live"
    again = signed(trader, market, "SELL", (10_000_000, 6_000_000))
    assert submit(trader, again).error == replies.NO_FUNDS
    assert submit(trader, signed(trader, market, "SELL", (5_000_000, 3_000_000))).status == "live"


def test_there_is_an_end_to_open_orders(scene, monkeypatch):
    trader, market = scene
    monkeypatch.setattr(module, "MAX_OPEN_ORDERS_PER_WALLET", 2)
    errors = [
        submit(trader, signed(trader, market, "BUY", (3_000_000, 10_000_000))).error
        for _ in range(3)
    ]
    assert errors == ["", "", replies.TOO_MANY_OPEN]


def vector_prices(vectors):
    for vector in vectors:
        submission = parse_submission(vector["post_body_compact"].encode())
        tick_e4 = int(Decimal(vector["inputs"]["tick_size"]) * 10_000)
        price_e4 = int(Decimal(vector["inputs"]["price"]) * 10_000)
        yield vector, submission, tick_e4, price_e4


def test_the_price_is_read_from_the_amounts_of_every_vector(shared):
    vectors = json.loads((shared / "vectors.json").read_text())["orders"]
    for vector, submission, tick_e4, price_e4 in vector_prices(vectors):
        immediate = submission.order_type in {"FOK", "FAK"}
        found = price_of(submission.order, tick_e4, immediate=immediate)
        assert found == price_e4, vector["name"]


@given(
    st.sampled_from([(100, 2), (10, 3), (1, 4)]),
    st.integers(1, 9_999),
    st.integers(1, 10**7),
    st.sampled_from(Side),
)
def test_any_exact_limit_order_gives_back_its_price(tick, price, hundredths, side):
    tick_e4, _ = tick
    price_e4 = max(tick_e4, price // tick_e4 * tick_e4)
    price_e4 = min(price_e4, 10_000 - tick_e4)
    shares = hundredths * 10_000
    money = shares * price_e4 // 10_000
    amounts = (money, shares) if side is Side.BUY else (shares, money)

    class Terms:
        maker_amount, taker_amount = amounts

    Terms.side = side
    assert price_of(Terms, tick_e4, immediate=False) == price_e4
    assert price_of(Terms, tick_e4, immediate=True) == price_e4


@settings(max_examples=60)
@given(st.integers(1, 99), st.integers(1, 400))
def test_what_a_buy_needs_covers_what_it_costs(cents, shares):
    exchange, market, _ = world(BOOK)
    one = order("BUY", cents * 100, shares, wallet="w", owner="o")
    needed = needed_usd_e6(market, one)
    exchange.floor.ledger.open_account("w", needed)
    exchange.floor.register.add(one)
    exchange.floor.submit(one, NOW_MS, rest=True)
    left = exchange.floor.ledger.cash_usd_e6("w")
    assert left >= exchange.floor.register.reserved_usd_e6("w") >= 0


def test_the_order_of_refusal_is_written_down():
    assert list(CHECKS) == [
        "standing",
        "owner",
        "signer",
        "maker",
        "book exists",
        "expiration",
        "amounts",
        "tick",
        "size",
        "signature",
        "duplicate",
        "open orders",
        "post-only",
        "marketable value",
        "funds",
    ]
    assert Outcome.YES in set(Outcome)
