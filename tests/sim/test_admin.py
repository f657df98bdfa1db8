import asyncio

from sim.admin import ladders, state
from sim.order import Outcome
from sim.venue import Call, Venue
from tests.sim.generated import T0, generated
from tests.sim.live import serving, still_venue
from tests.sim.traders import Trader
from tests.sim.worlds import OPENING_USD_E6, TOKENS


def test_the_state_shows_accounts_counters_and_mispricings():
    venue, market, _ = still_venue()
    trader = Trader(venue.exchange, signature_type=3)
    trader.place(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
    trader.place(market, Outcome.YES, "BUY", 3000, 10)
    venue.source.counts.offered, venue.source.counts.taken = 5, 2
    body = state(venue, Call(b"", {}, {}, 12_345)).body
    assert set(body) == {
        "seed", "uptime_s", "frames_sent", "orders_received", "orders_matched", "trades",
        "mispricings", "accounts", "engine", "rate_limits", "rules", "truth_seq", "mirror",
    }  # fmt: skip
    assert (body["seed"], body["uptime_s"]) == (1, 12)
    assert (body["orders_received"], body["orders_matched"], body["trades"]) == (2, 1, 1)
    assert body["mispricings"] == {"offered": 5, "taken": 2, "expired": 0, "open": 3}
    assert len(body["accounts"]) == 4
    assert body["accounts"][trader.wallet] == {
        "signer": trader.eoa.address,
        "signature_type": 3,
        "cash_usd_e6": OPENING_USD_E6 - 5_000_000 - 175_000,
        "opening_usd_e6": OPENING_USD_E6,
        "fees_usd_e6": 175_000,
        "positions": {TOKENS[0]: 10_000_000},
        "open_orders": 1,
    }


def test_the_ladders_show_ids_fair_values_and_quotes():
    generator, _ = generated(seed=1)
    venue = Venue(generator.exchange, generator.catalog, generator, T0)
    (group,) = ladders(venue, Call(b"", {}, {}, T0)).body
    assert (group["coin"], group["expiry"]) == ("BTC", "2026-11-23T17:00:00Z")
    assert len(group["strikes"]) == 11
    assert len(group["markets"]) == 22
    for one in group["markets"]:
        assert 0 <= one["fair"] <= 1
        assert float(one["best_bid"]) <= one["fair"] <= float(one["best_ask"])
        assert len(one["tokens"]) == 2
        assert one["accepting"] is True
    assert group["markets"][0]["upper"] is None
    assert group["markets"][11]["lower"] is None


def test_the_pages_ask_for_no_password():
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            assert await client.call("GET", "/sim/health") == (200, {"ok": True})
            assert await client.call("GET", "/sim/ladders") == (200, [])
            assert (await client.call("GET", "/sim/state"))[0] == 200

    asyncio.run(scenario())
