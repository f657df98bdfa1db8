"""Trades that fail, come again, or never settle: hazards A17, A18 and A19."""

import json

import pytest

from tests.sim.staged import heard, scenario, staged
from tests.sim.traders import NOW_MS

OPENING = 10_000_000_000


def trade_events(texts):
    """(status, transaction hash) of the trade events among these texts."""
    told = [json.loads(text) for text in texts]
    return [(one["status"], one["transaction_hash"]) for one in told
            if one["event_type"] == "trade"]  # fmt: skip


@pytest.mark.parametrize("ms", [0, 5_000, 60_000, 600_000])
@scenario
async def test_a17_a_matched_trade_fails_after_any_time_and_gives_everything_back(ms):
    async with staged({"at": "trade", "then": {"do": "fail", "ms": ms}}) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            await stage.post(trader, stage.buy(trader))
            if ms:
                await stage.later(ms - 1)
                assert stage.held(trader) == 10_000_000
            await stage.later(1)
            assert (stage.held(trader), stage.cash(trader)) == (0, OPENING)
            assert trade_events(await heard(ws)) == [("MATCHED", ""), ("FAILED", "")]
            listed = await stage.client.signed(trader, "GET", "/data/trades")
            assert [row["status"] for row in listed[1]["data"]] == ["FAILED"]
            assert len(stage.truth("balance", cause=f"failed {listed[1]['data'][0]['id']}")) == 1


@scenario
async def test_a17_only_the_leg_that_is_meant_fails_and_retries_first_if_asked_to():
    when = {"side": "BUY", "nth": 2}
    then = {"do": "fail", "ms": 10_000, "retrying": True}
    async with staged({"at": "trade", "when": when, "then": then}) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            for shares in (10, 20, 30):
                await stage.post(trader, stage.buy(trader, shares=shares))
            await stage.later(5_000)
            await stage.later(5_000)
            assert stage.held(trader) == 40_000_000
            statuses = [status for status, _ in trade_events(await heard(ws))]
            assert statuses.count("CONFIRMED") == 2
            assert statuses.count("RETRYING") == statuses.count("FAILED") == 1
            assert statuses.index("RETRYING") < statuses.index("FAILED")


@pytest.mark.parametrize(
    ("ending", "held", "path"),
    [
        ("CONFIRMED", 10, ["MATCHED", "MINED", "RETRYING", "MINED", "CONFIRMED"]),
        ("FAILED", 0, ["MATCHED", "MINED", "RETRYING", "FAILED"]),
    ],
)
@scenario
async def test_a18_a_trade_is_retried_with_another_transaction(ending, held, path):
    then = {"do": "retry", "ms": 2_000, "again_ms": 3_000, "ending": ending}
    async with staged({"at": "trade", "then": then}) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            await stage.post(trader, stage.buy(trader))
            for _ in range(8):
                await stage.later(1_000)
            told = trade_events(await heard(ws))
            assert [status for status, _ in told] == path
            mined = [transaction for status, transaction in told if status == "MINED"]
            assert len(set(mined)) == len(mined) == path.count("MINED")
            assert stage.held(trader) == held * 1_000_000


@scenario
async def test_a18_a_trade_may_be_retried_several_times():
    then = {"do": "retry", "ms": 1_000, "again_ms": 1_000, "times": 3}
    async with staged({"at": "trade", "then": then}) as stage:
        trader = await stage.client.trader()
        await stage.post(trader, stage.buy(trader))
        for _ in range(10):
            await stage.later(1_000)
        path = [line["status"] for line in stage.truth("trade_status")]
        assert path == ["MINED", *["RETRYING", "MINED"] * 3, "CONFIRMED"]


@scenario
async def test_a19_a_trade_stays_matched_for_ever():
    async with staged({"at": "trade", "then": {"do": "stuck"}}) as stage:
        trader = await stage.client.trader()
        await stage.post(trader, stage.buy(trader))
        await stage.later(10 * 3_600_000)
        assert stage.truth("trade_status") == []
        listed = await stage.client.signed(trader, "GET", "/data/trades")
        assert [row["status"] for row in listed[1]["data"]] == ["MATCHED"]
        assert stage.clock.ms == NOW_MS + 10 * 3_600_000


@scenario
async def test_a17_an_act_that_a_trade_causes_waits_until_the_match_is_over():
    then = {"do": "resolve", "winner": "NO"}
    async with staged({"at": "trade", "when": {"once": True}, "then": then}) as stage:
        trader = await stage.client.trader()
        _, rows = await stage.post(trader, stage.buy(trader, price=5100, shares=150))
        assert rows[0]["takingAmount"] == "150"
        assert stage.held(trader) == 0
        assert stage.market.accepting is False
        ledger = stage.exchange.floor.ledger
        assert ledger.total_usd_e6() == ledger.paid_in_usd_e6()
