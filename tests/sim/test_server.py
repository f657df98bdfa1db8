import asyncio
import json

import pytest

from sim import server as module
from sim.order import Outcome
from sim.server import ROUTES, Door, WallClock
from sim.venue import Guard
from tests.sim.generated import generated
from tests.sim.live import read, serving, still_venue
from tests.sim.traders import account, l1_headers
from tests.sim.worlds import TOKENS


def guarded(guard):
    return [(route.method, route.path) for route in ROUTES if route.guard is guard]


def test_the_routes_are_all_different():
    keys = [(route.method, route.path) for route in ROUTES]
    assert len(set(keys)) == len(keys)


def test_every_private_endpoint_refuses_without_l2_headers():
    private = {path for _, path in guarded(Guard.L2)}
    assert {"/order", "/orders", "/cancel-all", "/data/orders", "/v1/heartbeats"} <= private

    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            trader = await client.trader()
            stale = trader.headers("GET", "/elsewhere", b"", client.now_s())
            for method, template in guarded(Guard.L2):
                path = template.format(id="0x01")
                for headers in (None, stale):
                    reply = await client.call(method, path, headers=headers)
                    assert reply == (401, {"error": "Unauthorized/Invalid api key"}), path

    asyncio.run(scenario())


def test_l1_endpoints_refuse_other_signatures():
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            for method, path in guarded(Guard.L1):
                for headers in (None, l1_headers(account(1), client.now_s() - 3600)):
                    reply = await client.call(method, path, headers=headers)
                    assert reply == (401, {"error": "Invalid L1 Request headers"}), path

    asyncio.run(scenario())


def test_the_signature_covers_the_path_but_not_the_query():
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            trader = await client.trader()
            reply = await client.signed(trader, "GET", "/data/orders", query="?market=0x1&id=")
            assert reply[0] == 200

    asyncio.run(scenario())


def test_an_unknown_path_is_not_found():
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            for method, path in (("GET", "/nowhere"), ("POST", "/book"), ("DELETE", "/sim/state")):
                status, body = await client.call(method, path)
                assert status == 404
                assert "not found" in body["error"]

    asyncio.run(scenario())


def test_a_body_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 1000)

    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            assert (await client.call("POST", "/books", b"x" * 1001))[0] == 413

    asyncio.run(scenario())


def test_the_clock_never_runs_backwards(monkeypatch):
    clock = WallClock()
    times = iter([5_000_000, 3_000_000, 9_000_000])
    monkeypatch.setattr(module.time, "time_ns", lambda: next(times))
    assert [clock.now_ms() for _ in range(3)] == [5, 5, 9]


def test_a_running_server_streams_frames_that_a_client_can_verify():
    async def scenario():
        generator, _ = generated(seed=1, frames=2000.0, now=WallClock().now_ms())
        venue = module.Venue(generator.exchange, generator.catalog, generator, 0)
        tokens = [one.facts.tokens[0] for one in generator.groups[0].ladder.listings]
        async with serving(venue, running=True) as client, client.socket("/ws/market") as ws:
            await ws.send_str(json.dumps({"type": "market", "assets_ids": tokens}))
            (dump,) = await read(ws)
            assert len(json.loads(dump)) == 22
            stamps = {}
            for text in await read(ws, 300, timeout_s=30):
                frame = json.loads(text)
                assert int(frame["timestamp"]) >= stamps.get(frame["market"], 0)
                stamps[frame["market"]] = int(frame["timestamp"])
            assert venue.frames_sent >= 301

    asyncio.run(scenario())


def test_an_error_while_time_passes_is_not_swallowed(monkeypatch):
    async def scenario():
        venue, _, _ = still_venue()

        def broken(_now_ms):
            raise RuntimeError("planted")

        monkeypatch.setattr(venue.source, "step", broken, raising=False)
        with pytest.raises(RuntimeError, match="planted"):
            await Door(venue, WallClock()).run()

    asyncio.run(scenario())


def test_the_first_market_socket_wakes_the_source():
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            assert venue.source.woken == 0
            async with client.socket("/ws/market") as ws:
                await ws.send_str("PING")
                await read(ws)
            assert venue.source.woken == 1

    asyncio.run(scenario())


def test_an_order_over_http_trades_and_is_answered_like_the_venue():
    async def scenario():
        venue, market, _ = still_venue()
        async with serving(venue) as client:
            for signature_type in range(4):
                trader = await client.trader(10 + signature_type, signature_type)
                body = trader.body(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
                status, reply = await client.signed(trader, "POST", "/order", body)
                assert status == 200
                assert (reply["success"], reply["status"]) == (True, "matched")
                assert (reply["makingAmount"], reply["takingAmount"]) == ("5", "10")
                query = f"?asset_type=CONDITIONAL&token_id={TOKENS[0]}"
                query += f"&signature_type={signature_type}"
                held = await client.signed(trader, "GET", "/balance-allowance", query=query)
                assert held[1]["balance"] == "10000000"

    asyncio.run(scenario())
