"""Ledger: each fill once, failures taken back, any order of messages, the same end."""

import json
from dataclasses import replace
from fractions import Fraction

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from executor.ledger import Change, Fill, Ledger, fills_of
from executor.wire import Trade
from shm.codes import FillStatus, Side
from shm.fees import fill_fee_usd_e6

KEY = "our-key"


def trade(**some) -> Trade:
    base = {"id": "t1", "taker_order_id": "0xAB", "asset_id": "7", "side": "BUY", "price": "0.5",
            "size": "10", "status": "MATCHED", "owner": KEY, "trader_side": "TAKER"}  # fmt: skip
    return msgspec.convert(base | some, Trade)


def ours(value: Trade, rate_e6: int = 70_000) -> list[Fill]:
    return list(fills_of(value, KEY, lambda _token: rate_e6))


def test_a_taker_pays_price_and_fee():
    (fill,) = ours(trade())
    assert (fill.order, fill.side, fill.size_e6) == ("0xab", Side.BUY, 10_000_000)
    assert fill.fee_usd_e6 == 175_000
    assert fill.cash_usd_e6 == -5_000_000 - 175_000


def test_a_seller_gets_the_proceeds_less_the_fee():
    (fill,) = ours(trade(side="SELL"))
    assert fill.cash_usd_e6 == 5_000_000 - 175_000


def maker(**some) -> dict:
    return {"order_id": "0xCD", "owner": KEY, "matched_amount": "4", "price": "0.4",
            "asset_id": "7", "side": "SELL"} | some  # fmt: skip


def test_a_maker_pays_no_fee_and_strangers_in_the_list_do_not_count():
    value = trade(
        owner="other", trader_side="MAKER", maker_orders=[maker(), maker(owner="x", order_id="0xE")]
    )
    (fill,) = ours(value)
    assert (fill.order, fill.side, fill.size_e6, fill.fee_usd_e6) == (
        "0xcd",
        Side.SELL,
        4_000_000,
        0,
    )


def test_a_makers_missing_side_follows_from_the_tokens():
    same = trade(owner="o", trader_side="MAKER", maker_orders=[maker(side="")])
    other = trade(owner="o", trader_side="MAKER", maker_orders=[maker(side="", asset_id="8")])
    assert ours(same)[0].side is Side.SELL
    assert ours(other)[0].side is Side.BUY


def test_the_recorded_user_trades_are_understood(shared):
    for number in range(1, 5):
        text = (shared / f"samples/nautilus_py/ws_messages__user_trade{number}.json").read_bytes()
        value = msgspec.json.decode(text, type=Trade)
        raw = json.loads(text)
        if raw["trader_side"] == "TAKER":
            (fill,) = fills_of(value, raw["owner"], lambda _token: 0)
            assert fill.order == raw["taker_order_id"].lower()
        else:
            owners = {m["owner"] for m in raw["maker_orders"]}
            found = [f for o in owners for f in fills_of(value, o, lambda _token: 0)]
            assert len(found) == len(raw["maker_orders"])


def test_a_repeated_status_changes_nothing_and_a_failure_takes_the_fill_back():
    ledger = Ledger(opening_usd_e6=100_000_000)
    (fill,) = ours(trade())
    assert ledger.apply(fill) is Change.COUNTED
    cash = ledger.cash_usd_e6
    assert ledger.apply(fill) is Change.NOTHING
    for status in ("MINED", "RETRYING"):
        (again,) = ours(trade(status=status))
        assert ledger.apply(again) is Change.ADVANCED
        assert ledger.apply(again) is Change.NOTHING
    assert ledger.cash_usd_e6 == cash
    (failed,) = ours(trade(status="FAILED"))
    assert ledger.apply(failed) is Change.VOIDED
    assert ledger.apply(failed) is Change.NOTHING
    assert ledger.apply(fill) is Change.NOTHING
    assert ledger.cash_usd_e6 == ledger.opening_usd_e6
    assert ledger.holdings["7"].size_e6 == 0
    assert ledger.orders["0xab"].size_e6 == 0
    assert ledger.orders["0xab"].voided_e6 == 10_000_000


def test_what_our_own_order_got_is_ours_whoever_is_said_to_own_it():
    """A key that was changed meanwhile, or an owner whom the venue leaves out."""

    def found(value: Trade, *known: str) -> list[str]:
        return [f.order for f in fills_of(value, KEY, lambda _token: 0, known)]

    for owner in ("an older key", "", None):
        assert found(trade(owner=owner)) == []
        assert found(trade(owner=owner), "0xab") == ["0xab"]
        assert found(trade(owner=owner, trader_side=None), "0xab") == ["0xab"]
        made = trade(owner="o", trader_side="MAKER", maker_orders=[maker(owner=owner, side=None)])
        assert found(made) == []
        assert found(made, "0xcd") == ["0xcd"]
    assert found(trade(owner="o", maker_orders=None), "0xef") == []


def test_a_trade_that_is_tried_again_and_again_waits_since_it_was_first_heard_of():
    ledger = Ledger()
    (fill,) = ours(trade())
    ledger.apply(replace(fill, at_ms=1_000))
    for minute in range(1, 60):
        status = [FillStatus.RETRYING, FillStatus.MINED][minute % 2]
        ledger.apply(replace(fill, status=status, at_ms=minute * 60_000))
    (waiting,) = ledger.unconfirmed.values()
    assert waiting.at_ms == 1_000
    ledger.apply(replace(fill, status=FillStatus.CONFIRMED, at_ms=4_000_000))
    (final,) = ledger.fills.values()
    assert final.at_ms == 4_000_000, "its name is kept since then"


def test_the_chains_confirmation_has_the_last_word():
    ledger = Ledger()
    (fill,) = ours(trade())
    (confirmed,) = ours(trade(status="TRADE_STATUS_CONFIRMED"))
    (failed,) = ours(trade(status="FAILED"))
    ledger.apply(fill)
    ledger.apply(failed)
    assert ledger.apply(confirmed) is Change.REVIVED
    assert ledger.apply(failed) is Change.NOTHING
    assert ledger.cash_usd_e6 == fill.cash_usd_e6
    assert not ledger.unconfirmed


fills = st.builds(
    Fill,
    trade=st.sampled_from("abcdef"),
    order=st.sampled_from(["0x1", "0x2"]),
    token=st.sampled_from(["7", "8"]),
    side=st.sampled_from([Side.BUY, Side.SELL]),
    price_e4=st.integers(1, 9_999),
    size_e6=st.integers(1, 10**5).map(lambda cents: cents * 10_000),
    fee_usd_e6=st.integers(0, 10**6),
)


@given(st.lists(fills, unique_by=lambda f: (f.trade, f.order)), st.randoms(), st.data())
def test_the_end_does_not_depend_on_order_or_repetition(distinct, source, data):
    """Each fill ends confirmed or failed, whatever was said of it before and how often."""
    ends = {f: data.draw(st.sampled_from([FillStatus.CONFIRMED, FillStatus.FAILED]))
            for f in distinct}  # fmt: skip
    on_the_way = [FillStatus.MATCHED, FillStatus.MINED, FillStatus.RETRYING]
    messages = [replace(f, status=end) for f, end in ends.items() for _ in range(2)]
    for f in distinct:
        messages += [replace(f, status=data.draw(st.sampled_from(on_the_way))) for _ in range(2)]
    source.shuffle(messages)
    ledger = Ledger(opening_usd_e6=10**9)
    for message in messages:
        ledger.apply(message)
    standing = [f for f, end in ends.items() if end is FillStatus.CONFIRMED]
    assert ledger.cash_usd_e6 == 10**9 + sum(f.cash_usd_e6 for f in standing)
    assert ledger.fee_usd_e6 == sum(f.fee_usd_e6 for f in standing)
    assert ledger.fills_counted == len(standing)
    assert not ledger.unconfirmed
    for token in "78":
        held = sum(f.size_e6 * (1 if f.side is Side.BUY else -1)
                   for f in standing if f.token == token)  # fmt: skip
        assert (ledger.holdings[token].size_e6 if token in ledger.holdings else 0) == held


@given(st.integers(1, 9_999), st.integers(1, 10**6))
def test_cash_is_exact_for_sizes_of_two_decimals(price_e4, size_c):
    fee = fill_fee_usd_e6(70_000, price_e4, size_c * 10**4)
    fill = Fill("t", "0x1", "7", Side.BUY, price_e4, size_c * 10**4, fee)
    exact = Fraction(price_e4, 10**4) * Fraction(size_c, 100) * 10**6
    assert -fill.cash_usd_e6 - fee == exact
