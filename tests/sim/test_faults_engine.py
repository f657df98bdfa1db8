"""States of the engine and of accounts, limits, clocks: hazards A8 to A12, A20, A27, H3 and H5."""

import pytest

from shm.units import UINT256_MAX
from sim.spenders import SPENDERS
from tests.sim.staged import batch, scenario, staged


def at_once(do, **more):
    return {"at": "clock", "then": {"do": do, **more}}


async def place(stage, trader, **changes):
    """(status, headers, text) of one order."""
    return await stage.request(trader, "POST", "/order", stage.buy(trader, **changes))


@scenario
async def test_a8_the_engine_restarts_then_takes_post_only_orders_then_is_itself_again():
    async with staged() as stage:
        trader = await stage.client.trader()
        _, resting = await stage.post(trader, stage.buy(trader, price=3000, kind="GTC"))
        await stage.script(at_once("restart_engine", down_ms=90_000, post_only_ms=120_000))
        for method, path in (("POST", "/order"), ("POST", "/orders"), ("DELETE", "/cancel-all")):
            body = stage.buy(trader) if method == "POST" else b""
            assert (await stage.request(trader, method, path, body))[0] == 425
        assert (await stage.client.signed(trader, "GET", "/data/orders"))[1]["count"] == 1
        await stage.later(90_000)
        status, headers, _ = await place(stage, trader)
        assert (status, headers["Retry-After"]) == (503, "120")
        text = "post-only mode: only post-only orders and cancels are allowed"
        making = stage.buy(trader, price=2000, kind="GTC", post_only=True)
        _, rows = await stage.post(trader, stage.buy(trader), making)
        assert [row["errorMsg"] for row in rows] == [text, ""]
        assert rows[1]["status"] == "live"
        ids = batch(f'"{resting[0]["orderID"]}"'.encode())
        cancelled = await stage.client.signed(trader, "DELETE", "/orders", ids)
        assert cancelled[1]["canceled"] == [resting[0]["orderID"]]
        await stage.later(120_000)
        assert (await place(stage, trader))[0] == 200


@scenario
async def test_a8_in_post_only_mode_a_batch_may_be_refused_as_a_whole():
    async with staged(at_once("mode", mode="post_only", ms=79_000, batch="503")) as stage:
        trader = await stage.client.trader()
        making = stage.buy(trader, price=2000, kind="GTC", post_only=True)
        status, reply = await stage.post(trader, stage.buy(trader), making)
        assert (status, reply["retry_after_seconds"]) == (503, 79)
        assert stage.accepted() == []
        assert (await stage.post(trader, making))[1][0]["status"] == "live"


@pytest.mark.parametrize(
    ("mode", "orders", "cancels", "text"),
    [
        ("cancel_only", 503, 200, "cancel-only"),
        ("disabled", 503, 503, "disabled"),
        ("restarting", 425, 425, "restarting"),
        ("normal", 200, 200, "matched"),
    ],
)
@scenario
async def test_a9_what_each_mode_of_the_engine_refuses(mode, orders, cancels, text):
    async with staged(at_once("mode", mode=mode)) as stage:
        trader = await stage.client.trader()
        status, _, raw = await place(stage, trader)
        assert status == orders
        assert text in raw.decode()
        assert (await stage.request(trader, "DELETE", "/cancel-all"))[0] == cancels
        assert len(stage.accepted()) == (mode == "normal")


@scenario
async def test_a10_orders_and_cancels_have_buckets_of_their_own_and_batches_are_all_or_nothing():
    rates = {"orders_per_s": 1, "orders_burst": 4, "cancels_per_s": 1, "cancels_burst": 3}
    async with staged(at_once("limit_rates", **rates)) as stage:
        trader = await stage.client.trader()
        bodies = [stage.buy(trader, shares=10 + number) for number in range(5)]
        status, headers, _ = await stage.request(trader, "POST", "/orders", batch(*bodies[:3]))
        assert (status, headers["Poly-RateLimit-Remaining"]) == (200, "1")
        assert headers["Poly-RateLimit-Tier"] == "Standard"
        status, headers, _ = await stage.request(trader, "POST", "/orders", batch(*bodies[3:]))
        assert (status, headers["Retry-After"]) == (429, "1")
        assert headers["Poly-RateLimit-Reset"] == str(stage.clock.ms // 1000 + 1)
        assert len(stage.accepted()) == 3
        assert (await stage.request(trader, "POST", "/order", bodies[3]))[0] == 200
        assert (await stage.request(trader, "DELETE", "/cancel-all"))[0] == 200
        state = (await stage.client.call("GET", "/sim/state"))[1]
        assert state["rate_limits"] == {trader.eoa.address: {"orders": 0, "cancels": 2}}
        stranger = await stage.client.trader(2)
        assert (await place(stage, stranger))[0] == 200
        await stage.later(1_000)
        assert (await stage.request(trader, "POST", "/order", bodies[4]))[0] == 200


@scenario
async def test_a10_the_venue_may_only_warn():
    rates = {"orders_burst": 1, "orders_per_s": 1, "enforce": False}
    async with staged(at_once("limit_rates", **rates)) as stage:
        trader = await stage.client.trader()
        assert "Poly-RateLimit-Warning" not in (await place(stage, trader))[1]
        status, headers, _ = await place(stage, trader)
        assert (status, headers["Poly-RateLimit-Warning"]) == (200, "rate limit exceeded")


@scenario
async def test_a27_cancelling_everything_overdraws_the_bucket_and_the_next_cancel_waits():
    rates = {"cancels_per_s": 2, "cancels_burst": 3}
    async with staged(at_once("limit_rates", **rates)) as stage:
        trader = await stage.client.trader()
        bodies = [stage.buy(trader, price=3000, shares=5 + n, kind="GTC") for n in range(7)]
        await stage.post(trader, *bodies)
        status, headers, _ = await stage.request(trader, "DELETE", "/cancel-all")
        assert (status, headers["Poly-RateLimit-Remaining"]) == (200, "-5")
        status, headers, _ = await stage.request(trader, "DELETE", "/cancel-all")
        assert (status, headers["Retry-After"]) == (429, "3")
        assert (await place(stage, trader))[0] == 200
        await stage.later(3_000)
        assert (await stage.request(trader, "DELETE", "/cancel-all"))[0] == 200


@scenario
async def test_a11_the_venues_clock_is_off_and_signed_requests_expire():
    async with staged(
        at_once("skew_clock", ms=-120_000),
    ) as stage:
        with pytest.raises(AssertionError, match="Invalid L1 Request headers"):
            await stage.client.trader()
        told = await stage.client.call("GET", "/time")
        assert told == (200, stage.clock.ms // 1000 - 120)
        await stage.script(at_once("skew_clock", ms=0))
        trader = await stage.client.trader()
        await stage.script(at_once("skew_clock", ms=61_000))
        assert (await place(stage, trader))[0] == 401


@scenario
async def test_a11_the_api_key_is_gone():
    async with staged() as stage:
        trader = await stage.client.trader()
        assert (await place(stage, trader))[0] == 200
        await stage.script(at_once("revoke_keys"))
        status, _, raw = await place(stage, trader)
        assert (status, raw) == (401, b'{"error":"Unauthorized/Invalid api key"}')


@pytest.mark.parametrize(
    ("standing", "buying", "closed"),
    [("closed_only", "closed only mode", True), ("banned", "banned", True), ("normal", "", False)],
)
@scenario
async def test_a12_an_account_is_banned_or_may_only_close(standing, buying, closed):
    async with staged() as stage:
        trader = await stage.client.trader()
        trader.give(stage.market, 50)
        await stage.script(at_once("standing", standing=standing, wallet=trader.wallet))
        status, _, raw = await place(stage, trader)
        assert status == (400 if buying else 200)
        assert buying in raw.decode()
        selling = trader.body(stage.market, 0, "SELL", 4000, 10, kind="FOK")
        status, _, raw = await stage.request(trader, "POST", "/order", selling)
        assert status == (400 if standing == "banned" else 200)
        told = await stage.client.signed(trader, "GET", "/auth/ban-status/closed-only")
        assert told == (200, {"closed_only": closed})


@scenario
async def test_a12_orders_from_a_forbidden_region_are_refused_and_reads_are_not():
    async with staged(at_once("geoblock")) as stage:
        trader = await stage.client.trader()
        status, _, raw = await place(stage, trader)
        assert (status, raw) == (403, b'{"error":"Trading restricted in your region"}')
        assert (await stage.client.signed(trader, "GET", "/data/trades"))[0] == 200
        await stage.script(at_once("geoblock", on=False))
        assert (await place(stage, trader))[0] == 200


async def balance(stage, trader, signature_type=0):
    query = f"?asset_type=COLLATERAL&signature_type={signature_type}"
    return (await stage.client.signed(trader, "GET", "/balance-allowance", query=query))[1]


@scenario
async def test_a20_matched_orders_lock_money_that_is_there():
    async with staged() as stage:
        trader = await stage.client.trader()
        await stage.script(at_once("phantom_lock", usd="9996", wallet=trader.wallet))
        assert (await balance(stage, trader))["balance"] == "10000000000"
        status, _, raw = await place(stage, trader)
        assert status == 400
        assert "not enough balance / allowance: the balance is not enough" in raw.decode()
        assert "sum of matched orders: 9996000000" in raw.decode()
        await stage.script(at_once("phantom_lock", usd="0"))
        assert (await place(stage, trader))[0] == 200


@scenario
async def test_h5_an_allowance_is_revoked():
    async with staged() as stage:
        trader = await stage.client.trader()
        await stage.script(at_once("allowance", usd="0", wallet=trader.wallet))
        told = await balance(stage, trader)
        assert set(told["allowances"].values()) == {"0"}
        assert told["balance"] == "10000000000"
        status, _, raw = await place(stage, trader)
        assert (status, raw) == (400, b'{"error":"not enough balance / allowance"}')
        await stage.script(at_once("allowance", usd="all"))
        assert (await place(stage, trader))[0] == 200


async def shares(stage, trader):
    query = f"?asset_type=CONDITIONAL&token_id={stage.market.facts.tokens[0]}&signature_type=0"
    return (await stage.client.signed(trader, "GET", "/balance-allowance", query=query))[1]


async def sell(stage, trader):
    body = trader.body(stage.market, 0, "SELL", 4000, 10, kind="FOK")
    status, _, raw = await stage.request(trader, "POST", "/order", body)
    return status, raw


NO_FUNDS = (400, b'{"error":"not enough balance / allowance"}')


@pytest.mark.parametrize(("neg_risk", "spender"), [(False, "standard"), (True, "neg_risk")])
@scenario
async def test_a25_cash_and_shares_are_released_to_each_contract_by_itself(neg_risk, spender):
    async with staged(neg_risk=neg_risk) as stage:
        trader = await stage.client.trader()
        trader.give(stage.market, 50)
        contract = SPENDERS[spender]
        # Without the approval nothing is sold, and purchases go on.
        await stage.script(at_once("approval", on=False, spender=spender, wallet=trader.wallet))
        told = (await shares(stage, trader))["allowances"]
        assert {one for one, allowed in told.items() if allowed == "0"} == {contract}
        assert set((await balance(stage, trader))["allowances"].values()) == {str(UINT256_MAX)}
        assert await sell(stage, trader) == NO_FUNDS
        assert (await place(stage, trader))[0] == 200
        # Without the allowance it is the other way round.
        await stage.script(at_once("approval", on=True), at_once("allowance", usd="0",
                                                                spender=spender))  # fmt: skip
        told = (await balance(stage, trader))["allowances"]
        assert {one for one, allowed in told.items() if allowed == "0"} == {contract}
        assert set((await shares(stage, trader))["allowances"].values()) == {str(UINT256_MAX)}
        assert (await sell(stage, trader))[0] == 200
        status, _, raw = await place(stage, trader)
        assert (status, raw) == NO_FUNDS


@scenario
async def test_a25_what_another_contract_may_take_does_not_matter_to_an_order():
    async with staged() as stage:
        trader = await stage.client.trader()
        trader.give(stage.market, 50)
        others = [name for name in SPENDERS if name != "standard"]
        await stage.script(*(at_once("approval", on=False, spender=name) for name in others))
        assert (await sell(stage, trader))[0] == 200


@scenario
async def test_h3_somebody_withdraws_by_hand_and_orders_without_cover_go():
    async with staged() as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader, price=3000, shares=100, kind="GTC")
        await stage.post(trader, body)
        await stage.script(at_once("withdraw", usd="9990", wallet=trader.wallet))
        assert stage.cash(trader) == 10_000_000
        assert (await stage.outcome(stage.hash_of(body)))["status"] == "INVALID"
        assert (await place(stage, trader, shares=30))[0] == 400
        assert (await place(stage, trader))[0] == 200
        token = stage.market.facts.tokens[0]
        await stage.script(
            at_once("withdraw", token=token, shares="all", wallet=trader.wallet),
            at_once("deposit", usd="5.5", wallet=trader.wallet),
        )
        assert stage.held(trader) == 0
        ledger = stage.exchange.floor.ledger
        assert ledger.total_usd_e6() == ledger.paid_in_usd_e6()


@scenario
async def test_a25_a_wrong_signature_type_shows_nothing():
    async with staged() as stage:
        trader = await stage.client.trader(signature_type=3)
        eoa_wallet = trader.eoa.address
        await stage.script(at_once("withdraw", usd="all", wallet=eoa_wallet))
        assert (await balance(stage, trader, 0))["balance"] == "0"
        assert (await balance(stage, trader, 3))["balance"] == "10000000000"


@scenario
async def test_h4_somebody_else_trades_from_the_wallet():
    async with staged() as stage:
        trader = await stage.client.trader()
        token = stage.market.facts.tokens[0]
        await stage.script(
            at_once("manual_order", token=token, shares="7", wallet=trader.wallet),
            at_once("manual_order", token=token, shares="9", price="0.2", rest=True,
                    wallet=trader.wallet),
            at_once("manual_order", token=token, shares="5", other_key=True, wallet=trader.wallet),
        )  # fmt: skip
        assert stage.held(trader) == 12_000_000
        mine = await stage.client.signed(trader, "GET", "/data/trades")
        assert [row["size"] for row in mine[1]["data"]] == ["7"]
        resting = await stage.client.signed(trader, "GET", "/data/orders")
        assert [row["original_size"] for row in resting[1]["data"]] == ["9"]
        assert len(stage.truth("order", by_hand=True)) == 3


@scenario
async def test_a_split_puts_both_tokens_into_the_wallet():
    async with staged() as stage:
        trader = await stage.client.trader()
        market = stage.market.facts.condition_id
        await stage.script(at_once("deposit", shares="25", market=market, wallet=trader.wallet))
        assert (stage.held(trader, 0), stage.held(trader, 1)) == (25_000_000, 25_000_000)
        assert stage.cash(trader) == 9_975_000_000


@scenario
async def test_a30_a_second_heartbeat_of_the_same_key_is_told_the_right_id():
    async with staged() as stage:
        trader = await stage.client.trader()
        beat = b'{"heartbeat_id":""}'
        status, first = await stage.client.signed(trader, "POST", "/v1/heartbeats", beat)
        assert status == 200
        other = await stage.client.signed(trader, "POST", "/v1/heartbeats", beat)
        assert other == (400, {"error_msg": "Invalid Heartbeat ID", **first})


@scenario
async def test_an_armed_heartbeat_that_stops_costs_all_open_orders_within_15_s():
    async with staged() as stage:
        trader = await stage.client.trader()
        stage.client.door.step()
        bodies = [stage.buy(trader, price=3000 + 10 * n, kind="GTC") for n in range(3)]
        await stage.post(trader, *bodies)
        await stage.client.signed(trader, "POST", "/v1/heartbeats", b'{"heartbeat_id":""}')
        await stage.later(10_000)
        assert len(stage.truth("order_end")) == 0
        await stage.later(5_000)
        ended = {line["order_id"] for line in stage.truth("order_end", status="CANCELED")}
        assert ended == {stage.hash_of(body) for body in bodies}
        (lost,) = stage.truth("heartbeat_lost")
        assert set(lost["orders"]) == ended
