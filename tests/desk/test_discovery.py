"""Discovery: ladders become a generation; whatever the venue answers, the last good one stays."""

import asyncio
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from desk.calendar import coming_expiries, event_slugs
from desk.discovery import Crawler, Discovery, Unreachable
from desk.gamma import decode_events
from desk.ladders import Refusal
from shm.codes import MarketState, Role
from shm.errors import ConfigError
from shm.fabric import Fabric
from shm.markets import MarketsReader
from shm.settings import DeskSettings, Settings, VenueSettings
from tests.desk.test_ladders import ABOVE_TEXT
from tests.engine.factory import ladder

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
EXPIRY = coming_expiries(NOW, 1)[0]
END = EXPIRY.at.strftime("%Y-%m-%dT%H:%M:%SZ")
ABOVE_SLUG, PRICE_SLUG = event_slugs("BTC", EXPIRY)


def market(number: int, **some) -> dict:
    return {
        "id": str(number),
        "conditionId": "0x" + f"{number:064x}",
        "slug": f"bitcoin-above-{number}k",
        "question": f"Will the price of Bitcoin be above ${number},000 on November 24?",
        "description": ABOVE_TEXT,
        "endDate": END,
        "clobTokenIds": f'["{number}1", "{number}2"]',
        "outcomes": '["Yes", "No"]',
        "groupItemTitle": f"{number},000",
        "negRisk": False,
        "enableOrderBook": True,
        "acceptingOrders": True,
        "active": True,
        "closed": False,
        "archived": False,
        "orderPriceMinTickSize": 0.001,
        "orderMinSize": 5,
        "feesEnabled": True,
        "feeSchedule": {"rate": 0.07, "exponent": 1, "takerOnly": True, "rebateRate": 0.2},
        "version": "v1",
        "unknown": {"new": [1]},
    } | some


def event(*markets: dict, end: str = END) -> dict:
    return {"id": "1", "slug": ABOVE_SLUG, "title": "x", "endDate": end, "markets": list(markets)}


def crawl(events, clob=None):
    """One round against a server that answers with these events (or raw bytes)."""

    async def on_events(request):
        if request.query["slug"] != ABOVE_SLUG:
            return web.json_response([])
        if isinstance(events, bytes):
            return web.Response(body=events)
        if isinstance(events, int):
            return web.Response(status=events)
        return web.json_response(events)

    async def on_clob(request):
        if clob is not None:
            return clob(request.match_info["cid"])
        return web.json_response({"c": request.match_info["cid"], "ao": True,
                                  "fd": {"r": 0.07, "e": 1, "to": True}})  # fmt: skip

    async def main():
        app = web.Application()
        app.router.add_get("/events", on_events)
        app.router.add_get("/clob-markets/{cid}", on_clob)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with aiohttp.ClientSession() as session:
                return await Crawler(session, settings(f"http://127.0.0.1:{port}")).crawl(NOW)
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def settings(url: str, **desk) -> Settings:
    return Settings(
        venues=VenueSettings(clob_url=url, gamma_url=url),
        desk=DeskSettings(**({"coins": ("BTC",), "days": 1} | desk)),
    )


def test_a_ladder_is_found_with_its_facts():
    found = crawl([event(market(76), market(78))])
    assert found.events == 1
    assert [m.lower_usd_e6 for m in found.markets] == [76_000 * 10**6, 78_000 * 10**6]
    assert len({m.fingerprint for m in found.markets}) == 1
    assert found.unpaired == 0


def test_a_market_that_cannot_be_read_is_left_out_with_its_reason():
    found = crawl([event(market(76), market(78, groupItemTitle="80,000"), market(80, closed=True))])
    assert len(found.markets) == 1
    assert found.refused == {Refusal.BOUNDS: 1, Refusal.NOT_TRADABLE: 1}


def test_last_years_event_is_not_this_years():
    assert crawl([event(market(76), end="2025-11-24T17:00:00Z")]).markets == []


def test_a_market_that_the_clob_does_not_know_yet_waits():
    found = crawl([event(market(76))], clob=lambda _cid: web.Response(status=404))
    assert found.refused == {Refusal.NOT_TRADABLE: 1}


@pytest.mark.parametrize("answer", [b"{", b"<html>", b'[{"slug": 5}]', b"\xff", 500, 302])
def test_an_unusable_answer_is_said_to_be_one(answer):
    with pytest.raises(Unreachable, match=ABOVE_SLUG):
        crawl(answer)


def test_a_server_that_is_not_there_is_said_to_be_gone():
    async def main():
        async with aiohttp.ClientSession() as session:
            await Crawler(session, settings("http://127.0.0.1:9")).crawl(NOW)

    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        asyncio.run(main())


def test_a_coin_without_ladders_is_refused():
    async def main():
        async with aiohttp.ClientSession() as session:
            Crawler(session, settings("http://x", coins=("BTC", "ABC")))

    with pytest.raises(ConfigError, match=r"ABC.*known: BTC"):
        asyncio.run(main())


def test_only_a_change_makes_a_new_generation_and_a_restart_goes_on_from_the_last(segments):
    markets = ladder([10, 20, 30])
    reader = MarketsReader(Fabric(segments))
    first = Discovery(Fabric(segments, Role.DESK), settings("http://x"))
    first.publish(markets)
    first.publish(markets)
    assert reader.read()[0] == 1
    second = Discovery(Fabric(segments, Role.DESK), settings("http://x"))
    second.publish(markets)
    assert not reader.changed()
    second.publish(markets[1:])
    generation, rows = reader.read()
    assert generation == 2
    assert rows[0].state == MarketState.RETIRED
    assert [row.key for row in rows[1:]] == [m.key for m in markets[1:]]


def test_the_gamma_structs_take_the_recorded_event(shared):
    text = (shared / "data/gamma/nautilus_gamma_event.json").read_bytes()
    assert all(event.markets for event in decode_events(text))
