"""The link to a live venue over real sockets: a second simulated exchange plays the live one."""

import asyncio
import contextlib
import json
import socket
from random import Random

import pytest
from aiohttp import web

from shm.errors import ConfigError, VenueUnreachable
from sim import mirror_line, mirror_link
from sim.events import Broadcast, HangUp
from sim.ladders import build_ladder, next_noons
from sim.mirror_line import pause_s
from sim.mirror_link import Addresses, Link, slugs_of
from sim.options import parse_mirror
from sim.order import Outcome
from sim.server import SHUTDOWN_S, Door, WallClock
from sim.venue import Venue
from tests.sim.generated import generated
from tests.sim.live import read, serving
from tests.sim.mirrors import levels, mirror

PATIENCE_S = 60.0


class LiveVenue:
    """A generated exchange on a port of its own that can go away and come back with its state."""

    def __init__(self, **options):
        now_ms = WallClock().now_ms()
        self.generator, _ = generated(3, now=now_ms, **options)
        venue = Venue(self.generator.exchange, self.generator.catalog, self.generator, now_ms)
        self.door = Door(venue, WallClock())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._runner = self._ticking = None
        self.asked = []
        """Every request that came in, as (method, path)."""

    @property
    def addresses(self):
        return Addresses(f"ws://127.0.0.1:{self.port}/ws/market", f"http://127.0.0.1:{self.port}")

    async def up(self):
        app = self.door.app()

        @web.middleware
        async def note(request, handler):
            self.asked.append((request.method, request.path))
            return await handler(request)

        app.middlewares.append(note)
        self._runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.resume()

    def resume(self):
        self._ticking = asyncio.create_task(self.door.run())

    def stand_still(self):
        """Stop its time; what it has said by then it has sent."""
        self.door.step()
        self._ticking.cancel()

    async def down(self):
        self.stand_still()
        self.door.hub.drop_all()
        await self._runner.cleanup()

    def markets(self):
        return self.generator.exchange.floor.markets


@contextlib.asynccontextmanager
async def mirroring(**options):
    """(live venue, mirror, client of the mirroring exchange), all running."""
    live = LiveVenue(**options)
    await live.up()
    source = mirror()
    venue = Venue(source.exchange, source.catalog, source, 0, mirror=source)
    async with serving(venue, running=True) as client:
        link = Link(live.addresses, source, client.door.clock, client.door.hub.publish)
        running = asyncio.create_task(link.run())
        try:
            yield live, source, client
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await live.down()


async def until(condition, what):
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never: {what}")


def equal(live, source):
    theirs = live.markets()
    return source.markets and all(
        levels(one.market) == levels(theirs[condition_id])
        for condition_id, one in source.markets.items()
    )


def fresh(source):
    return source.state()["markets_fresh"] == 22


def empty(source):
    return all(levels(one.market) == {} for one in source.markets.values())


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """Backoff and polls as they are, only shorter."""
    monkeypatch.setattr(mirror_link, "NEWS_S", 0.02)
    monkeypatch.setattr(mirror_link, "POLL_EAGER_S", 0.1)
    monkeypatch.setattr(mirror_line, "BACKOFF_CAP_S", 0.5)
    monkeypatch.setattr(mirror_line, "ASK_AGAIN_S", 0.5)
    monkeypatch.setattr(mirror_line, "TICK_S", 0.2)


def test_books_are_equal_to_the_level_at_every_quiet_moment_and_only_public_pages_are_asked():
    async def story():
        async with mirroring() as (live, source, client):
            await until(lambda: fresh(source), "all books are there")
            for _ in range(5):
                before = source.frames
                await until(lambda b=before: source.frames > b + 50, "frames come")
                live.stand_still()
                await until(lambda: equal(live, source), "books are equal")
                live.resume()
            live.stand_still()
            await until(lambda: equal(live, source), "books are equal")
            # And for a client of the mirroring exchange, over its own sockets.
            one = next(iter(source.markets.values()))
            async with client.socket("/ws/market") as ws:
                await ws.send_str(json.dumps({"type": "market", "assets_ids": [one.token]}))
                (text,) = await read(ws)
            theirs = json.loads(
                live.markets()[one.market.facts.condition_id].initial_book(Outcome.YES)
            )
            ours = json.loads(text)[0]
            for name in ("market", "asset_id", "bids", "asks", "tick_size"):
                assert ours[name] == theirs[name]
            assert source.state()["losses"] == 0
            assert source.state()["connected"]
            assert {method for method, _ in live.asked} == {"GET"}
            assert {path for _, path in live.asked} == {"/events", "/ws/market"}

    asyncio.run(story())


def test_a_live_venue_that_goes_takes_its_books_with_it_and_brings_them_back():
    async def story():
        async with mirroring() as (live, source, _):
            for _ in range(2):
                await until(lambda: fresh(source) and not empty(source), "books are there")
                await live.down()
                await until(lambda: empty(source), "books are withdrawn")
                assert not source.state()["connected"] or source.state()["markets_fresh"] == 0
                await until(lambda: source.state()["trouble"], "it says why")
                await live.up()
            await until(lambda: fresh(source), "all books are back")
            live.stand_still()
            await until(lambda: equal(live, source), "books are equal")
            await until(lambda: not source.state()["trouble"], "nothing to complain of any more")
            assert source.losses >= 2
            live.resume()

    asyncio.run(story())


def test_a_line_that_is_hung_up_comes_back():
    async def story():
        async with mirroring() as (live, source, _):
            await until(lambda: fresh(source), "all books are there")
            live.door.hub.publish([HangUp("market", reset=True)])
            await until(lambda: source.losses == 1, "the loss is seen")
            await until(lambda: fresh(source), "all books are back")

    asyncio.run(story())


def test_nonsense_on_the_line_costs_the_books_until_new_snapshots_have_come():
    async def story():
        async with mirroring() as (live, source, _):
            await until(lambda: fresh(source), "all books are there")
            live.stand_still()
            live.door.hub.publish([Broadcast("market", "{")])
            await until(lambda: source.unreadable == 1, "it is heard")
            await until(lambda: fresh(source), "all books are back")
            await until(lambda: equal(live, source), "books are equal")
            assert source.losses == 0
            live.resume()

    asyncio.run(story())


def test_a_venue_that_falls_silent_is_given_up_and_asked_again(monkeypatch):
    monkeypatch.setattr(mirror_line, "DATA_SILENCE_S", 0.6)

    async def story():
        async with mirroring() as (live, source, _):
            await until(lambda: fresh(source), "all books are there")
            live.stand_still()
            await until(lambda: source.losses >= 1, "the silence is noticed")
            await until(lambda: fresh(source) and equal(live, source), "books are back")
            live.resume()

    asyncio.run(story())


def test_a_generation_that_ends_is_resolved_as_the_live_venue_says_and_the_next_is_mirrored():
    async def story():
        async with mirroring() as (live, source, _):
            await until(lambda: fresh(source), "all books are there")
            ended = dict(source.markets)
            group = live.generator.groups[0]
            live.stand_still()
            # Its noon: the live venue settles this ladder and lists another one.
            events = live.generator._end(group, live.door.clock.now_ms())
            live.door.hub.publish(events)
            await until(lambda: not source.markets, "all markets have ended")
            for condition_id, one in ended.items():
                assert one.market.payout == live.markets()[condition_id].payout
                assert not one.market.accepting
            await until(lambda: "lists no ladder" in source.trouble, "it says what it waits for")
            now_ms = live.door.clock.now_ms()
            following = build_ladder(3, group.ladder.coin, next_noons(now_ms, 2)[-1], 90_000.0)
            source.days = 2
            live.door.hub.publish(live.generator._add_group(following, now_ms))
            await until(lambda: fresh(source) and equal(live, source), "the next one is there")
            assert source.markets.keys().isdisjoint(ended)
            live.resume()

    asyncio.run(story())


def test_an_absent_live_venue_is_one_clear_line_after_some_patience(monkeypatch):
    monkeypatch.setattr(mirror_link, "FIRST_PATIENCE_S", 0.2)
    monkeypatch.setattr(mirror_link, "FIRST_PAUSE_S", 0.05)

    async def story():
        live = LiveVenue()
        link = Link(live.addresses, mirror(), WallClock(), lambda _events: None)
        with pytest.raises(VenueUnreachable, match="cannot be reached") as caught:
            await link.first()
        assert str(live.port) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "venues.gamma_url" in str(caught.value)
        await live.up()
        await link.first()
        await live.down()

    asyncio.run(story())


def test_without_ladders_it_waits_and_says_so():
    async def story():
        live = LiveVenue()
        live.generator.catalog.events.clear()
        live.generator.catalog.event_by_slug.clear()
        await live.up()
        source = mirror()
        link = Link(live.addresses, source, WallClock(), lambda _events: None)
        await link.first()
        assert "lists no ladder" in source.state()["trouble"]
        await live.down()

    asyncio.run(story())


def test_tokens_are_spread_over_lines_of_bounded_length(monkeypatch):
    monkeypatch.setattr(mirror_link, "TOKENS_A_LINE", 8)

    async def story():
        async with mirroring() as (live, source, _):
            await until(lambda: fresh(source), "all books are there")
            sockets = [path for _, path in live.asked if path == "/ws/market"]
            assert len(sockets) == 3
            live.stand_still()
            await until(lambda: equal(live, source), "books are equal")
            live.resume()

    asyncio.run(story())


def test_pauses_grow_to_a_cap_and_are_spread(monkeypatch):
    monkeypatch.undo()
    rng = Random(1)
    for failures in range(1, 40):
        ceiling = min(mirror_line.BACKOFF_CAP_S, mirror_line.BACKOFF_BASE_S * 2**failures)
        pauses = [pause_s(failures, rng) for _ in range(200)]
        assert 0 <= min(pauses) < ceiling / 10
        assert ceiling * 0.9 < max(pauses) <= ceiling


def test_ladders_are_asked_for_with_and_without_the_year():
    import datetime as dt

    from sim.coins import COINS

    assert slugs_of(COINS["BTC"], dt.date(2026, 11, 25)) == [
        "bitcoin-above-on-november-25-2026", "bitcoin-price-on-november-25-2026",
        "bitcoin-above-on-november-25", "bitcoin-price-on-november-25",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "addresses",
    [
        ("http://host/ws/market", "http://host"), ("ws://host/ws/market", "ftp://host"),
        ("ws:///ws/market", "http://host"), ("ws://host/ws/market", None), (None, "http://host"),
    ],
)  # fmt: skip
def test_addresses_that_cannot_be_a_venue_are_refused(addresses):
    with pytest.raises(ConfigError, match="--mirror"):
        parse_mirror(*addresses)


def test_the_link_knows_no_way_to_send_an_order():
    # The one client that leaves this machine: GET and the market channel, and nothing else.
    import inspect

    for module in (mirror_link, mirror_line):
        source = inspect.getsource(module)
        called = {word for word in ("post", "put", "delete", "request") if f".{word}(" in source}
        assert not called
        assert "/order" not in source
