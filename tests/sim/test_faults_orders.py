"""Orders that are delayed, held, killed, or meet a changed market: A15, A16, A21 to A23."""

import asyncio

import pytest

from sim import replies
from tests.sim.staged import batch, heard, scenario, staged
from tests.sim.worlds import CID, TOKENS

IN_DELAY = replies.IN_DELAY


def delay(ms=3_000, ending="match", **when):
    return {"at": "order", "when": when, "then": {"do": "delay", "ms": ms, "ending": ending}}


@pytest.mark.parametrize("ms", [3_000, 40_000])
@scenario
async def test_a15_a_delayed_order_fills_later_and_cannot_be_cancelled_until_then(ms):
    async with staged(delay(ms)) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader)
        async with stage.listening(trader) as ws:
            status, rows = await stage.post(trader, body)
            assert (status, rows[0]["status"], rows[0]["makingAmount"]) == (200, "delayed", "")
            order_id = rows[0]["orderID"]
            assert (await stage.outcome(order_id))["status"] == "DELAYED"
            asked = batch(f'"{order_id}"'.encode())
            told = await stage.client.signed(trader, "DELETE", "/orders", asked)
            assert told[1] == {"canceled": [], "not_canceled": {order_id: IN_DELAY}}
            told = await stage.client.signed(trader, "DELETE", "/cancel-all")
            assert told[1] == {"canceled": [], "not_canceled": {order_id: IN_DELAY}}
            listed = await stage.client.signed(trader, "GET", f"/data/order/{order_id}")
            assert listed[1]["status"] == "DELAYED"
            again = await stage.client.signed(trader, "POST", "/order", body)
            assert again[1]["error"].endswith("Duplicated.")
            await stage.later(ms - 1)
            assert stage.held(trader) == 0
            await stage.later(1)
            assert stage.held(trader) == 10_000_000
            kinds = [text.split('"status":"')[1].split('"')[0] for text in await heard(ws)]
            assert kinds == ["DELAYED", "LIVE", "MATCHED", "MATCHED"]


@pytest.mark.parametrize(
    ("ending", "status"), [("kill", "CANCELED"), ("never", "DELAYED"), ("match", "MATCHED")]
)
@scenario
async def test_a15_a_delayed_order_may_be_killed_or_stay_delayed_for_ever(ending, status):
    async with staged(delay(5_000, ending)) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader))
        await stage.later(3_600_000)
        assert (await stage.outcome(rows[0]["orderID"]))["status"] == status
        assert stage.held(trader) == (10_000_000 if ending == "match" else 0)


@scenario
async def test_a15_a_delayed_order_that_finds_less_money_or_no_offer_is_cancelled():
    async with staged(delay(5_000)) as stage:
        trader = await stage.client.trader()
        poor = stage.buy(trader, shares=50)
        late = stage.buy(trader, shares=60)
        resting = stage.buy(trader, price=4500, kind="GTC")
        await stage.post(trader, poor, late, resting)
        stage.quote("SELL", 5000, 55)
        await stage.later(5_000)
        ends = {line["order_id"]: line["status"] for line in stage.truth("order_end")}
        assert ends[stage.hash_of(poor)] == "MATCHED"
        assert ends[stage.hash_of(late)].startswith("CANCELED_order couldn't be fully filled")
        assert (await stage.outcome(stage.hash_of(resting)))["status"] == "LIVE"
        await stage.post(trader, broke := stage.buy(trader, shares=5))
        await stage.script(
            {"at": "clock", "then": {"do": "allowance", "usd": "1", "wallet": trader.wallet}}
        )
        await stage.later(5_000)
        ended = await stage.outcome(stage.hash_of(broke))
        assert ended["status"] == "CANCELED"
        assert stage.truth("order_end", status="CANCELED_NOT_ENOUGH_BALANCE")


@scenario
async def test_a_delayed_sale_ends_without_its_approval():
    async with staged(delay(5_000)) as stage:
        trader = await stage.client.trader()
        trader.give(stage.market, 50)
        sale = trader.body(stage.market, 0, "SELL", 4000, 10, kind="FOK")
        await stage.post(trader, sale)
        await stage.script({"at": "clock", "then": {"do": "approval", "on": False}})
        await stage.later(5_000)
        assert (await stage.outcome(stage.hash_of(sale)))["status"] == "CANCELED"
        assert stage.truth("order_end", status="CANCELED_NOT_ENOUGH_BALANCE")


@scenario
async def test_a_delayed_order_ends_with_its_market():
    async with staged(delay(ending="never")) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader))
        await stage.script(
            {"at": "clock", "then": {"do": "resolve", "market": CID, "winner": "YES"}}
        )
        ended = await stage.outcome(rows[0]["orderID"])
        assert ended["status"] == "CANCELED_MARKET_RESOLVED"


def hold(ms=250):
    return {"at": "clock", "then": {"do": "taker_delay", "market": CID, "ms": ms}}


@scenario
async def test_the_taker_delay_blocks_the_post_and_nobody_can_cancel_meanwhile():
    async with staged(hold()) as stage:
        trader = await stage.client.trader()
        record = await stage.client.call("GET", f"/clob-markets/{CID}")
        assert record[1]["itode"] is True
        making = stage.buy(trader, price=3000, kind="GTC")
        taking = stage.buy(trader)
        posting = asyncio.create_task(stage.post(trader, taking, making))
        while not stage.truth("order_held"):
            await asyncio.sleep(0.001)
        order_id = stage.hash_of(taking)
        assert stage.accepted() == [stage.hash_of(making)]
        asked = f'{{"orderID":"{order_id}"}}'.encode()
        told = await stage.client.signed(trader, "DELETE", "/order", asked)
        assert told[1]["not_canceled"] == {order_id: IN_DELAY}
        again = await stage.client.signed(trader, "POST", "/order", taking)
        assert again[1]["error"].endswith("Duplicated.")
        await stage.later(249)
        assert not posting.done()
        await stage.later(1)
        status, rows = await posting
        assert (status, [row["status"] for row in rows]) == (200, ["matched", "live"])
        assert stage.truth("order", order_id=order_id)[0]["request"]


@scenario
async def test_the_balance_is_checked_again_after_the_taker_delay():
    async with staged(hold()) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader)
        posting = asyncio.create_task(stage.client.signed(trader, "POST", "/order", body))
        while not stage.truth("order_held"):
            await asyncio.sleep(0.001)
        withdraw = {"do": "withdraw", "usd": "all", "wallet": trader.wallet}
        await stage.script({"at": "clock", "then": withdraw})
        await stage.later(250)
        assert (await posting) == (400, {"error": replies.NO_FUNDS})
        again = await stage.client.signed(trader, "POST", "/order", body)
        assert again[1]["error"].endswith("Duplicated.")
        assert stage.accepted() == []


@scenario
async def test_a16_one_leg_fills_in_part_because_the_book_is_thin():
    thin = {"at": "order", "when": {"leg": 2}, "then": {"do": "thin", "shares": 4}}
    async with staged(thin) as stage:
        trader = await stage.client.trader()
        async with stage.watching() as ws:
            other = trader.body(stage.market, 1, "BUY", 6000, 10, kind="FAK")
            _, rows = await stage.post(trader, other, stage.buy(trader, kind="FAK"))
            assert [row["status"] for row in rows] == ["matched", "matched"]
            assert [row["takingAmount"] for row in rows] == ["10", "4"]
            assert any('"size":"4"' in text for text in await heard(ws))


@scenario
async def test_a16_a_thin_book_kills_fok_and_leaves_the_rest_of_a_gtc_order_resting():
    thin = {"at": "order", "then": {"do": "thin", "shares": 3}}
    async with staged(thin) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader))
        assert rows[0]["errorMsg"] == replies.FOK_KILLED
        _, rows = await stage.post(trader, stage.buy(trader, kind="GTC"))
        assert (rows[0]["status"], rows[0]["takingAmount"]) == ("matched", "3")
        assert (await stage.outcome(rows[0]["orderID"]))["status"] == "LIVE"


@scenario
async def test_a16_a_leg_fills_with_dust():
    thin = {"at": "order", "then": {"do": "thin", "shares": "0.01"}}
    async with staged(thin) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader, kind="FAK"))
        assert (rows[0]["status"], rows[0]["takingAmount"]) == ("matched", "0.01")
        assert stage.held(trader) == 10_000


@pytest.mark.parametrize(
    ("text", "status"),
    [("order not found", 404), ("Unauthorized signer", 401), ("context canceled", 400), ("x", 400)],
)
@scenario
async def test_words_in_a_refusal_decide_its_status(text, status):
    async with staged({"at": "order", "then": {"do": "refuse", "text": text}}) as stage:
        trader = await stage.client.trader()
        reply = await stage.client.signed(trader, "POST", "/order", stage.buy(trader))
        assert reply == (status, {"error": text})


@scenario
async def test_a16_a_leg_is_killed_with_its_id_whatever_the_book_says():
    kill = {"at": "order", "when": {"leg": 2}, "then": {"do": "kill"}}
    async with staged(kill) as stage:
        trader = await stage.client.trader()
        first, second = stage.buy(trader, kind="FAK"), stage.buy(trader, kind="FAK")
        _, rows = await stage.post(trader, first, second)
        assert [row["orderID"] for row in rows] == [stage.hash_of(first), stage.hash_of(second)]
        assert [row["errorMsg"] for row in rows] == ["", replies.FAK_KILLED]
        assert stage.held(trader) == 10_000_000


@scenario
async def test_a16_a_leg_is_refused_without_an_id():
    text = "order {id} is invalid. Price (0.5) breaks minimum tick size rule: 0.01"
    rule = {
        "at": "order",
        "when": {"side": "BUY", "leg": 1},
        "then": {"do": "refuse", "text": text},
    }
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        first, second = stage.buy(trader), stage.buy(trader)
        _, rows = await stage.post(trader, first, second)
        assert rows[0]["errorMsg"] == text.replace("{id}", stage.hash_of(first))
        assert [row["orderID"] for row in rows] == ["", stage.hash_of(second)]
        (line,) = stage.truth("order", accepted=False)
        assert line["why"] == rows[0]["errorMsg"]


@scenario
async def test_a_refused_order_may_be_indexed_all_the_same():
    rule = {
        "at": "order", "when": {"once": True}, "then": {"do": "refuse", "indexed": True},
    }  # fmt: skip
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader)
        await stage.post(trader, body)
        _, rows = await stage.post(trader, body)
        assert rows[0]["errorMsg"].endswith("is invalid. Duplicated.")


@scenario
async def test_an_order_gets_a_better_price_than_it_asked_for():
    async with staged({"at": "order", "then": {"do": "improve", "ticks": 7}}) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader, price=5000, shares=10))
        assert (rows[0]["makingAmount"], rows[0]["takingAmount"]) == ("4.93", "10")
        selling = trader.body(stage.market, 0, "SELL", 3900, 10, kind="FOK")
        _, rows = await stage.post(trader, selling)
        assert rows[0]["takingAmount"] == "4.07"


@scenario
async def test_an_improvement_never_crosses_the_other_side():
    async with staged({"at": "order", "then": {"do": "improve", "ticks": 100}}) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader, price=5000, shares=10))
        assert rows[0]["makingAmount"] == "4.01"


@scenario
async def test_a21_the_tick_changes_between_two_legs_and_is_told():
    rule = {"at": "order", "when": {"nth": 2}, "then": {"do": "tick", "tick": "0.1"}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        async with stage.watching() as ws:
            first, second = stage.buy(trader, price=5010), stage.buy(trader, price=5010)
            _, rows = await stage.post(trader, first, second)
            errors = sorted(row["errorMsg"] for row in rows)
            assert errors[0] == ""
            assert "breaks minimum tick size rule: 0.1" in errors[1]
            texts = await heard(ws)
            assert any('"new_tick_size":"0.1"' in text for text in texts)
            assert '"event_type":"book"' in texts[-1]


@scenario
async def test_a21_a_finer_tick_keeps_the_book():
    async with staged(levels=[("BUY", 4000, 100), ("SELL", 5000, 100)]) as stage:
        rule = {"at": "clock", "then": {"do": "tick", "tick": "0.0001", "market": TOKENS[1]}}
        await stage.script(rule)
        told = await stage.client.call("GET", "/tick-size", query=f"?token_id={TOKENS[0]}")
        assert told[1] == {"minimum_tick_size": 0.0001}
        assert stage.market.book.best_e4("SELL") == 5000


@scenario
async def test_a22_the_fee_changes_between_two_orders():
    rule = {"at": "order", "when": {"nth": 2}, "then": {"do": "fee", "rate": "0.5"}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        for _ in range(2):
            await stage.post(trader, stage.buy(trader))
        fees = [line["fee_usd_e6"] for line in stage.truth("trade")]
        assert fees == [175_000, 1_250_000]
        record = (await stage.client.call("GET", f"/clob-markets/{CID}"))[1]
        assert record["fd"] == {"r": 0.5, "e": 1, "to": True}


@scenario
async def test_a23_a_market_resolves_between_two_legs_and_is_told():
    rule = {"at": "order", "when": {"nth": 2}, "then": {"do": "resolve", "winner": "YES"}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        async with stage.watching(custom=True) as ws:
            before = stage.cash(trader)
            _, rows = await stage.post(trader, stage.buy(trader), stage.buy(trader))
            errors = sorted(row["errorMsg"] for row in rows)
            assert errors == ["", replies.NOT_READY]
            # The leg that came first has been bought at 0.50 and paid a dollar.
            assert stage.cash(trader) - before == 5_000_000 - 175_000
            told = [text for text in await heard(ws) if "market_resolved" in text]
            assert len(told) == 1
            assert f'"winning_asset_id":"{TOKENS[0]}"' in told[0]


@scenario
async def test_a23_a_market_stops_to_take_orders_and_says_nothing():
    rule = {"at": "clock", "then": {"do": "accepting", "market": TOKENS[0], "on": False}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader))
        assert rows[0]["errorMsg"] == replies.NOT_READY
        record = (await stage.client.call("GET", f"/clob-markets/{CID}"))[1]
        assert record["ao"] is False
        await stage.script({"at": "clock", "then": rule["then"] | {"on": True}})
        assert (await stage.post(trader, stage.buy(trader)))[1][0]["status"] == "matched"


@scenario
async def test_h6_a_market_resolves_fifty_fifty_or_does_not_pay_for_now():
    async with staged() as stage:
        trader = await stage.client.trader()
        await stage.post(trader, stage.buy(trader, shares=10.01, kind="GTC"))
        before = stage.cash(trader)
        resolve = {"do": "resolve", "market": CID, "winner": "YES", "pay": False}
        await stage.script({"at": "clock", "then": resolve})
        assert (stage.cash(trader), stage.held(trader)) == (before, 10_010_000)
        await stage.script({"at": "clock", "then": resolve | {"winner": "SPLIT", "pay": True}})
        assert (stage.cash(trader) - before, stage.held(trader)) == (5_005_000, 0)
        ledger = stage.exchange.floor.ledger
        assert ledger.total_usd_e6() == ledger.paid_in_usd_e6()


@scenario
async def test_an_act_may_wait_until_the_request_has_been_handled():
    then = {"do": "withdraw", "usd": "all", "moment": "after"}
    async with staged({"at": "POST /orders", "then": then}) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader))
        assert rows[0]["status"] == "matched"
        assert stage.cash(trader) == 0


@scenario
async def test_an_act_about_something_unknown_is_noted_and_harms_nothing():
    rule = {"at": "clock", "then": {"do": "fee", "market": "no-such-market", "rate": "0.1"}}
    async with staged(rule) as stage:
        assert stage.truth("act_missed", do="fee")
