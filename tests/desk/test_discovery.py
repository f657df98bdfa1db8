"""Discovery: ladders become a generation; whatever the venue answers, the last good one stays."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from desk.crawler import FACTS_AGE, Crawler, Found, HttpVenue, Unreachable
from desk.discovery import ABSENT_ROUNDS, EAGER_FOR, EAGER_S, RETRY_S, Discovery
from desk.findings import read_findings
from desk.gamma import decode_events
from desk.ladders import Refusal
from shm.codes import MarketState, Role
from shm.errors import ConfigError
from shm.fabric import Fabric
from shm.layout import DESK_STATS
from shm.markets import MarketsReader
from shm.promoted import Promoted, PromotedLeg, promote
from shm.settings import DeskSettings
from tests.desk.venue import NEW_YORK, Ladder, Still, settings
from tests.engine.factory import ladder

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
NOON = datetime(2026, 11, 24, 12, tzinfo=NEW_YORK)
TODAY = Ladder("BTC", NOON)


def crawl(venue: Still, now: datetime = NOW, **desk) -> Found:
    return asyncio.run(Crawler(venue, settings(**desk)).crawl(now))


def names(found: Found) -> set[bytes]:
    return {market.slug for market in found.markets}


# --- what a round finds -----------------------------------------------------------------------


def test_both_families_of_a_ladder_are_found_by_their_names():
    found = crawl(Still(TODAY.events()))
    assert found.events == 2
    assert len(found.markets) == 22
    assert len({market.fingerprint for market in found.markets}) == 1
    assert found.refused == []
    assert found.troubles == []


@pytest.mark.parametrize(("days", "count"), [(1, 1), (2, 2), (7, 7)])
def test_today_tomorrow_and_the_week_are_looked_for(days, count):
    ladders = [Ladder("BTC", NOON + timedelta(days=n)) for n in range(9)]
    found = crawl(Still([event for one in ladders for event in one.events()]), days=days)
    assert len({market.expiry_ms for market in found.markets}) == count
    assert len(found.markets) == 22 * count


def test_names_without_the_year_are_asked_for_too():
    old_style = Ladder("BTC", NOON, year_in_name=False)
    assert len(crawl(Still(old_style.events())).markets) == 22


def test_two_ladders_of_one_day_under_both_kinds_of_name_are_both_taken():
    old_style = Ladder("BTC", NOON, year_in_name=False)
    found = crawl(Still([*TODAY.events(), *old_style.events()]))
    assert len(found.markets) == 44
    assert len({market.group for market in found.markets}) == 1


def test_d09_last_years_event_under_the_same_name_is_left_out_with_its_reason():
    last = Ladder("BTC", datetime(2025, 11, 24, 12, tzinfo=NEW_YORK), year_in_name=False)
    found = crawl(Still([*last.events(), *TODAY.events()]))
    assert len(found.markets) == 22
    assert found.reasons == {Refusal.END: 2}
    assert found.refused[0].detail == "it ends 2025-11-24T17:00:00Z"


def test_an_event_under_an_unexpected_name_is_found_in_the_listing():
    odd = [event | {"slug": f"{event['slug']}-117"} for event in TODAY.events()]
    odd.append(TODAY.above() | {"slug": "a-name-of-its-own"})
    assert len(crawl(Still(odd)).markets) == 33


def test_the_listing_is_read_page_by_page_by_its_tag_and_at_most_a_hundred_at_a_time():
    odd = [event | {"slug": f"{event['slug']}-117"} for event in TODAY.events()]
    strangers = [TODAY.above() | {"slug": f"s{n}", "title": f"Gold {n}?"} for n in range(7)]
    venue = Still([*strangers, *odd], page_rows=3)
    assert len(crawl(venue).markets) == 22
    pages = [url for url in venue.asked if "/events/keyset" in url]
    assert len(pages) == 3
    assert all("limit=100&closed=false&" in url for url in pages)
    assert all("tag_id=21&" in url and "tag_slug" not in url for url in pages)
    assert all("offset" not in url for url in pages)
    assert all("end_date_max=2026-11-24T17:00:00Z" in url for url in pages)


def test_the_listing_is_asked_again_after_its_time_and_for_a_new_ladder():
    venue = Still(TODAY.events())
    crawler = Crawler(venue, settings(list_every_s=600))

    def pages_at(now: datetime) -> int:
        before = sum("keyset" in url for url in venue.asked)
        asyncio.run(crawler.crawl(now))
        return sum("keyset" in url for url in venue.asked) - before

    assert pages_at(NOW) == 1
    assert pages_at(NOW + timedelta(seconds=599)) == 0
    assert pages_at(NOW + timedelta(seconds=600)) == 1
    assert pages_at(NOON.astimezone(UTC) - timedelta(seconds=1)) == 1  # a day later
    assert pages_at(NOON.astimezone(UTC)) == 1  # another day's ladder is wanted now


def test_a_listing_without_a_ladder_is_not_asked_again_before_its_time():
    venue = Still()
    crawler = Crawler(venue, settings())
    for _ in range(3):
        asyncio.run(crawler.crawl(NOW))
    assert sum("keyset" in url for url in venue.asked) == 1


def test_a_listing_that_fails_is_said_and_the_names_are_asked_for_all_the_same():
    venue = Still(TODAY.events(), answers={"keyset": Unreachable("listing: HTTP 500")})
    found = crawl(venue)
    assert len(found.markets) == 22
    assert found.troubles == ["listing: HTTP 500"]


def test_a_listing_without_end_is_given_up():
    endless = b'{"events": [], "next_cursor": "more"}'
    found = crawl(Still(TODAY.events(), answers={"keyset": endless}))
    assert "pages" in found.troubles[0]


def test_hourly_ladders_are_families_of_their_own_and_only_on_request():
    hour = Ladder("BTC", datetime(2026, 11, 23, 16, tzinfo=NEW_YORK), hourly=True)
    venue = Still([*TODAY.events(), *hour.events()])
    assert len(crawl(venue).markets) == 22
    found = crawl(venue, hourly=True)
    assert len(found.markets) == 44
    by_group: dict[int, set[int]] = {}
    for market in found.markets:
        by_group.setdefault(market.group, set()).add(market.fingerprint)
    assert [len(rules) for rules in by_group.values()] == [1, 1]
    assert len(set.union(*by_group.values())) == 2


def test_the_hourly_ladder_that_ends_at_noon_is_not_mixed_with_the_daily_one():
    hour = Ladder("BTC", NOON, hourly=True)
    found = crawl(Still([*TODAY.events(), *hour.events()]),
                  now=NOON.astimezone(UTC) - timedelta(minutes=30), hourly=True)  # fmt: skip
    assert len({market.expiry_ms for market in found.markets}) == 1
    assert len({market.group for market in found.markets}) == 2


@pytest.mark.parametrize(("end", "found"), [("05:00", 11), ("06:00", 11), ("07:00", 0)])
def test_of_two_hours_with_one_name_the_end_says_which_is_meant(end, found):
    """On the day when the clock goes back there are two one o'clocks."""
    one = Ladder("BTC", datetime(2027, 11, 7, 1, tzinfo=NEW_YORK), hourly=True).above()
    one["endDate"] = f"2027-11-07T{end}:00Z"
    for market in one["markets"]:
        market["endDate"] = one["endDate"]
    seen = crawl(Still([one]), now=datetime(2027, 11, 7, 4, 30, tzinfo=UTC), hourly=True)
    assert len(seen.markets) == found
    expiries = {market.expiry_ms for market in seen.markets}
    assert expiries <= {int(datetime.fromisoformat(one["endDate"]).timestamp() * 1000)}


def test_what_the_clob_says_is_kept_for_a_while_and_then_asked_again():
    venue = Still(TODAY.events())
    crawler = Crawler(venue, settings())

    def facts_at(now: datetime) -> int:
        before = sum("clob-markets" in url for url in venue.asked)
        asyncio.run(crawler.crawl(now))
        return sum("clob-markets" in url for url in venue.asked) - before

    assert facts_at(NOW) == 22
    assert facts_at(NOW + FACTS_AGE / 2) == 0
    assert facts_at(NOW + FACTS_AGE) == 22


def test_a_market_that_the_clob_does_not_know_yet_waits():
    venue = Still(TODAY.events())
    first = TODAY.above()["markets"][0]["conditionId"]
    venue.clob[first] = None
    crawler = Crawler(venue, settings())
    found = asyncio.run(crawler.crawl(NOW))
    assert found.reasons == {Refusal.UNKNOWN_TO_CLOB: 1}
    venue.clob.clear()
    assert len(asyncio.run(crawler.crawl(NOW)).markets) == 22


def test_a_market_that_cannot_be_read_is_left_out_with_its_reason_and_its_words():
    event = TODAY.above()
    event["markets"][0]["groupItemTitle"] = "80,000"
    event["markets"][1]["closed"] = True
    found = crawl(Still([event]))
    assert len(found.markets) == 9
    assert found.reasons == {Refusal.BOUNDS: 1, Refusal.NOT_TRADABLE: 1}
    assert "'80,000' is not 'Will the price of Bitcoin be above $66,000" in found.refused[0].detail


def test_a_ladder_that_cannot_be_asked_for_is_unseen_and_the_others_are_taken():
    tomorrow = Ladder("BTC", NOON + timedelta(days=1))
    venue = Still([*TODAY.events(), *tomorrow.events()])
    venue.answers["slug=bitcoin-above-on-november-25"] = Unreachable("x: HTTP 502")
    found = crawl(venue, days=2)
    assert len(found.markets) == 22
    assert len(found.unseen) == 1
    assert found.unseen.isdisjoint({market.group for market in found.markets})
    assert found.troubles == ["x: HTTP 502"]


@pytest.mark.parametrize(
    "answer", [b"{", b"<html>", b'[{"slug": 5}]', b"\xff", b'[{"slug": "\xff"}]', b"[" * 10_000]
)
def test_an_unusable_answer_is_said_to_be_one(answer):
    with pytest.raises(Unreachable, match="bitcoin-above-on-november-24-2026"):
        crawl(Still(answers={"/events?slug": answer}))


@pytest.mark.parametrize("answer", [b"{", b"[]", b'{"c": 5}', b"\xff"])
def test_unusable_facts_are_said_to_be_unusable(answer):
    with pytest.raises(Unreachable, match="facts of bitcoin-above-66k"):
        crawl(Still(TODAY.events(), answers={"clob-markets": answer}))


def test_a_coin_without_ladders_is_refused():
    with pytest.raises(ConfigError, match=r"ABC.*known: BTC"):
        Crawler(Still(), settings(coins=("BTC", "ABC")))


# --- over real sockets ------------------------------------------------------------------------


def ask(answer: Callable[[web.Request], web.StreamResponse]) -> bytes | None:
    """One GET against a server that answers so."""

    async def on_request(request: web.Request) -> web.StreamResponse:
        return answer(request)

    async def main() -> bytes | None:
        app = web.Application()
        app.router.add_get("/x", on_request)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with aiohttp.ClientSession() as session:
                return await HttpVenue(session).get(f"http://127.0.0.1:{port}/x")
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def test_bodies_come_whole_and_a_404_is_nothing():
    assert ask(lambda _: web.Response(body=b"x" * 100_000)) == b"x" * 100_000
    assert ask(lambda _: web.Response(status=404)) is None


@pytest.mark.parametrize("status", [204, 302, 403, 429, 500])
def test_other_answers_are_said_to_be_unusable(status):
    with pytest.raises(Unreachable, match=f"/x: HTTP {status}"):
        ask(lambda _: web.Response(status=status))


def test_a_body_without_measure_is_refused(monkeypatch):
    monkeypatch.setattr("desk.crawler.REPLY_BYTES_MAX", 1_000)
    with pytest.raises(Unreachable, match="more than 1000 bytes"):
        ask(lambda _: web.Response(body=b"x" * 1_001))


def test_a_server_that_is_not_there_is_said_to_be_gone():
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            await HttpVenue(session).get("http://127.0.0.1:9/x")

    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        asyncio.run(main())


# --- generations ------------------------------------------------------------------------------


class Desk:
    """Discovery over real segments, with a clock and a venue of the test's own."""

    def __init__(self, instance: str, var_dir, now: datetime = NOW, **desk) -> None:
        self.now = now
        self.settings = settings(str(var_dir), **desk)
        self.venue = Still(TODAY.events())
        self.fabric = Fabric(instance, Role.DESK)
        self.reader = MarketsReader(Fabric(instance))
        self.start()

    def start(self) -> None:
        self.discovery = Discovery(self.fabric, self.settings, lambda: self.now)
        self.crawler = Crawler(self.venue, self.settings)

    def round(self) -> None:
        asyncio.run(self.discovery.round(self.crawler))

    def rows(self, state: MarketState = MarketState.ACTIVE) -> set[int]:
        return {row.key for row in self.reader.read()[1] if row.state == state}

    def confirmed(self, row, since_ns: int) -> bool:
        return since_ns <= self.reader.confirmed_ns(row.row) <= time.monotonic_ns()

    @property
    def generation(self) -> int:
        return self.reader.read()[0]


@pytest.fixture
def desk(segments, tmp_path) -> Desk:
    return Desk(segments, tmp_path)


def test_only_a_change_makes_a_new_generation_and_a_restart_goes_on_from_the_last(desk):
    markets = ladder([10, 20, 30])
    desk.discovery.publish(markets)
    desk.discovery.publish(markets)
    assert desk.generation == 1
    desk.start()
    desk.discovery.publish(markets)
    assert desk.generation == 1
    desk.discovery.publish(markets[1:])
    generation, rows = desk.reader.read()
    assert generation == 2
    assert rows[0].state == MarketState.RETIRED
    assert [row.key for row in rows[1:]] == [m.key for m in markets[1:]]


def test_a_promoted_basket_makes_a_new_generation_of_the_same_markets(desk):
    later_ms = int((NOW + timedelta(hours=9)).timestamp() * 1000)
    markets = [one._replace(expiry_ms=later_ms) for one in ladder([10, 20, 30])]
    desk.discovery.publish(markets)
    desk.discovery.tick()
    assert desk.generation == 1
    legs = tuple(PromotedLeg(f"{one.key:016x}", "YES") for one in markets[:2])
    promote(desk.settings.var_path, Promoted(legs, 10_000, markets[0].expiry_ms, 0))
    desk.discovery.tick()
    desk.discovery.tick()
    assert desk.generation == 2
    assert len(desk.rows()) == len(markets)
    desk.start()  # nobody knows what the last generation was compiled with
    desk.discovery.tick()
    assert desk.generation == 3


def test_a_round_publishes_what_it_found_and_counts_it(desk):
    first = TODAY.above()["markets"][0]["conditionId"]
    desk.venue.clob[first] = None
    desk.round()
    assert len(desk.rows()) == 21
    assert desk.discovery.trouble is None
    counters = desk.fabric.counters("stats-desk.counters", DESK_STATS, write=False).read()
    assert (counters.discoveries, counters.events_read, counters.markets_published) == (1, 2, 21)
    assert counters.markets_refused == 1


def test_d01_the_next_days_ladder_replaces_the_expired_one(desk):
    """The old system never loaded markets again after an expiry."""
    desk.round()
    today = desk.rows()
    desk.venue.events = Ladder("BTC", NOON + timedelta(days=1)).events()
    desk.now = NOON.astimezone(UTC)
    desk.discovery.tick()
    assert desk.rows() == set()
    assert desk.rows(MarketState.RETIRED) == today
    desk.round()
    assert len(desk.rows()) == 22
    assert desk.rows().isdisjoint(today)


def test_d10_expiry_takes_the_expired_group_and_leaves_the_others_where_they_are(desk):
    """The old system's cleanup emptied everything."""
    desk.venue.events += Ladder("BTC", NOON + timedelta(days=1)).events()
    desk.settings = settings(desk.settings.desk.var_dir, days=2)
    desk.start()
    desk.round()
    before = {row.key: row for row in desk.reader.read()[1]}
    assert len(before) == 44
    desk.now = NOON.astimezone(UTC)
    desk.discovery.tick()
    after = {row.key: row for row in desk.reader.read()[1]}
    for key, row in after.items():
        expired = before[key].expiry_ms <= desk.now.timestamp() * 1000
        state = MarketState.RETIRED if expired else MarketState.ACTIVE
        assert row == before[key]._replace(state=state)
    assert len(desk.rows()) == 22


def test_d08_an_expiry_is_seen_in_the_moment_even_if_the_venue_is_silent(desk):
    """The old system noticed an expiry up to 24 minutes later."""
    desk.round()
    desk.venue.answers["http"] = Unreachable("down")
    desk.round()
    assert desk.discovery.trouble == "down"
    desk.now = NOON.astimezone(UTC) - timedelta(milliseconds=1)
    desk.discovery.tick()
    assert len(desk.rows()) == 22
    desk.now = NOON.astimezone(UTC)
    desk.discovery.tick()
    assert desk.rows() == set()


def test_rows_are_freed_when_their_grace_is_over(desk):
    desk.round()
    desk.now = NOON.astimezone(UTC)
    desk.discovery.tick()
    generation = desk.generation
    grace = timedelta(seconds=desk.settings.desk.row_grace_s)
    desk.now += grace - timedelta(milliseconds=1)
    desk.discovery.tick()
    assert desk.generation == generation
    assert len(desk.rows(MarketState.RETIRED)) == 22
    desk.now += timedelta(milliseconds=1)
    desk.discovery.tick()
    assert desk.generation == generation + 1
    assert desk.rows(MarketState.RETIRED) == set()


def test_a_market_that_is_merely_absent_is_kept_for_some_rounds(desk):
    desk.round()
    events = desk.venue.events
    desk.venue.events = events[1:]
    for _ in range(ABSENT_ROUNDS - 1):
        desk.round()
        assert len(desk.rows()) == 22
    desk.venue.events = events
    desk.round()  # there again: the count starts anew
    desk.venue.events = events[1:]
    for _ in range(ABSENT_ROUNDS - 1):
        desk.round()
        assert len(desk.rows()) == 22
    desk.round()
    assert len(desk.rows()) == 11
    assert desk.generation == 2


def test_a_market_that_is_refused_goes_at_once_and_comes_back_to_its_row(desk):
    desk.round()
    before = {row.key: row.row for row in desk.reader.read()[1]}
    market = desk.venue.events[0]["markets"][0]
    market["acceptingOrders"] = False
    desk.round()
    assert len(desk.rows()) == 21
    market["acceptingOrders"] = True
    desk.round()
    assert {row.key: row.row for row in desk.reader.read()[1]} == before


def test_a_ladder_that_could_not_be_asked_for_stays_as_long_as_it_lives(desk):
    desk.venue.events += Ladder("BTC", NOON + timedelta(days=1)).events()
    desk.settings = settings(desk.settings.desk.var_dir, days=2)
    desk.start()
    desk.round()
    desk.venue.answers["slug=bitcoin-above-on-november-25"] = Unreachable("x: HTTP 502")
    asked_ns = time.monotonic_ns()
    for _ in range(ABSENT_ROUNDS + 2):
        desk.round()
    assert len(desk.rows()) == 44
    assert desk.generation == 1
    # Its facts get older, and those of the others do not.
    noon_ms = int(NOON.timestamp() * 1000)
    confirmed = {(m.expiry_ms, desk.confirmed(m, asked_ns)) for m in desk.reader.read()[1]}
    assert confirmed == {(noon_ms, True), (noon_ms + 86_400_000, False)}


def test_a_market_is_confirmed_by_each_round_that_finds_it_and_by_nothing_else(desk):
    began_ns = time.monotonic_ns()
    desk.round()
    rows = desk.reader.read()[1]
    assert all(desk.confirmed(row, began_ns) for row in rows)
    again_ns = time.monotonic_ns()
    desk.discovery.tick()
    desk.start()
    gone = desk.venue.events[0]["markets"].pop()["conditionId"]  # once absent is not gone yet
    desk.venue.clob[desk.venue.events[0]["markets"][0]["conditionId"]] = None
    assert not any(desk.confirmed(row, again_ns) for row in rows)
    desk.round()
    assert len(desk.rows()) == 21
    kept = [row for row in rows if row.key in desk.rows()]
    unsure = {row.condition.hex() for row in kept if not desk.confirmed(row, again_ns)}
    assert unsure == {gone.removeprefix("0x")}
    desk.venue.answers["http"] = Unreachable("down")
    later_ns = time.monotonic_ns()
    desk.round()
    assert not any(desk.confirmed(row, later_ns) for row in rows)


def test_a_round_that_began_before_an_expiry_and_ends_after_it_brings_nothing_back(desk):
    desk.round()
    found = asyncio.run(desk.crawler.crawl(desk.now))
    desk.now = NOON.astimezone(UTC)
    desk.discovery.tick()
    desk.discovery.publish(desk.discovery._wanted(found))
    assert desk.rows() == set()


def test_d1_a_full_disk_costs_the_report_and_nothing_else(desk, caplog, monkeypatch):
    folder, really = desk.settings.var_path, os.open
    roomy = []

    def open_full(path, *how, **more):
        if not roomy and folder in Path(path).parents:
            Path(path).symlink_to("/dev/full")
            return really("/dev/full", os.O_WRONLY)
        return really(path, *how, **more)

    monkeypatch.setattr("shm.wordfiles.os.open", open_full)
    for _ in range(3):
        desk.round()
        assert list(folder.iterdir()) == []
    assert len(desk.rows()) == 22
    assert desk.discovery.trouble is None
    assert caplog.text.count("No space left on device") == 1
    assert read_findings(folder) is None
    roomy.append(True)
    desk.round()
    assert read_findings(folder).generation == 1


def test_families_that_differ_are_kept_counted_and_written_down(desk, caplog):
    desk.venue.events = Ladder("BTC", NOON, candles=("12:00", "closing at 12:00")).events()
    with caplog.at_level("INFO"):
        desk.round()
        desk.round()
    assert len(desk.discovery.unpaired) == 1
    counters = desk.fabric.counters("stats-desk.counters", DESK_STATS, write=False).read()
    assert counters.families_unpaired == 1
    said = [r.message for r in caplog.records if "different rules" in r.message]
    assert len(said) == 1  # once, not every round
    findings = read_findings(desk.settings.var_path)
    assert findings is not None
    assert findings.unpaired == desk.discovery.unpaired
    assert findings.generation == 1


def test_the_same_facts_told_otherwise_are_no_change(desk):
    desk.round()
    for event in desk.venue.events:
        event["volume"] = 5
        event["markets"].reverse()
    desk.venue.events.reverse()
    desk.start()
    desk.round()
    assert desk.generation == 1


def test_a_changed_fee_is_a_new_generation_in_the_same_rows(desk):
    desk.round()
    before = desk.reader.read()[1]
    market = desk.venue.events[0]["markets"][0]
    market["feeSchedule"] = {"rate": 0.05, "exponent": 1, "takerOnly": True}
    desk.venue.clob[market["conditionId"]] = {"fd": {"r": 0.05, "e": 1, "to": True}}
    desk.now += FACTS_AGE
    desk.round()
    generation, after = desk.reader.read()
    assert generation == 2
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert [(a.fee_rate_e6, b.fee_rate_e6) for a, b in changed] == [(70_000, 50_000)]


def test_a_ladder_that_is_not_listed_yet_is_asked_for_more_often_for_a_while(desk):
    usual_s = DeskSettings().discover_every_s
    desk.round()
    assert desk.discovery.pause_s == usual_s
    desk.now = NOON.astimezone(UTC)
    desk.discovery.tick()
    desk.round()
    assert desk.discovery.pause_s == EAGER_S
    desk.venue.events = Ladder("BTC", NOON + timedelta(days=1)).events()[:1]
    desk.round()
    assert desk.discovery.pause_s == usual_s
    desk.venue.events = []
    desk.now += EAGER_FOR
    desk.round()
    assert desk.discovery.pause_s == usual_s  # there is none that day
    desk.venue.answers["http"] = Unreachable("down")
    desk.round()
    assert desk.discovery.pause_s == RETRY_S


def test_run_asks_ticks_and_asks_again_after_an_expiry(desk, monkeypatch):
    """The real loops, with the waits cut short and a venue without sockets."""
    monkeypatch.setattr("desk.discovery.TICK_S", 0.001)
    monkeypatch.setattr("desk.discovery.HttpVenue", lambda _session: desk.venue)
    tomorrow = Ladder("BTC", NOON + timedelta(days=1)).events()

    async def main() -> None:
        task = asyncio.ensure_future(desk.discovery.run())
        async with asyncio.timeout(30):
            while len(desk.rows()) != 22:
                await asyncio.sleep(0.001)
            first = desk.rows()
            desk.venue.events = tomorrow
            desk.now = NOON.astimezone(UTC)
            # Without being woken by the expiry it would ask again in a minute only.
            while len(desk.rows()) != 22 or desk.rows() == first:
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_an_error_of_either_loop_ends_run(desk, monkeypatch):
    monkeypatch.setattr(desk.discovery, "tick", lambda: 1 / 0)
    monkeypatch.setattr("desk.discovery.HttpVenue", lambda _session: desk.venue)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(desk.discovery.run())


def test_the_gamma_structs_take_the_recorded_event(shared):
    text = (shared / "data/gamma/nautilus_gamma_event.json").read_bytes()
    assert all(event.markets for event in decode_events(text))


def test_one_odd_market_does_not_take_the_others_with_it():
    event = TODAY.above()
    event["markets"][0] = dict.fromkeys(event["markets"][0])
    event["markets"][1]["orderMinSize"] = {"of": 5}
    event["markets"][2] = []
    body = json.dumps([event]).replace('"id"', '"\\u00ff"').encode()
    found = crawl(Still([event], answers={"/events?slug": body}))
    assert len(found.markets) == 8
    assert found.reasons == {Refusal.UNREADABLE: 3}
    assert "null" in found.refused[0].detail
