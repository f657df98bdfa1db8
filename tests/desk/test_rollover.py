"""Roll-over: four hundred days, minute by minute, through desk, ingest and engine, without a gap.

The real discovery, the real adoption of generations by ingest with real books, and the real
compilation of baskets, over real shared memory. Only clock, venue and sockets are the test's own.
What must be there at a minute is computed from New York's calendar and the venue's own ladders.
"""

import asyncio
import json
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

import ingest.feed
from desk.calendar import Expiry
from desk.crawler import Crawler
from desk.discovery import Discovery
from desk.rows import Tenancy
from engine.baskets import compile_baskets
from ingest.feed import Feed
from shm.codes import BasketKind, BookState, MarketKind, MarketState, Role
from shm.control import SwitchBoard
from shm.fabric import Fabric
from shm.layout import BOOK, Market
from shm.markets import MarketsReader
from shm.roles import RoleHolder
from shm.settings import IngestSettings, Settings
from shm.stillness import Stillness
from tests.desk.venue import NEW_YORK, Calendar, Ladder, comes_twice, settings

MINUTE = timedelta(minutes=1)
COINS = ("BTC", "ETH")


class Socket:
    """Stands for a connection: always up, answers each subscription with one book a token."""

    made: "list[Socket]"

    def __init__(self, number: int, _url: str, _settings: object, owner: Feed) -> None:
        self.owner = owner
        self.connected = True
        self.subscribed: set[str] = set()
        self._due = list(json.loads(owner.opened(number))["assets_ids"])
        self.subscribed.update(self._due)
        Socket.made.append(self)

    def send(self, frame: bytes) -> None:
        change = json.loads(frame)
        tokens = change["assets_ids"]
        if change["operation"] == "subscribe":
            assert self.subscribed.isdisjoint(tokens), "asked for twice"
            self.subscribed.update(tokens)
            self._due += tokens
        else:
            assert self.subscribed.issuperset(tokens), "given up without having it"
            self.subscribed.difference_update(tokens)

    def deliver(self, condition_of: dict[str, str], now: datetime) -> None:
        """The books that are due, in one frame."""
        if not self._due:
            return
        books = [
            {
                "event_type": "book", "market": condition_of[token], "asset_id": token,
                "timestamp": str(int(now.timestamp() * 1000)), "hash": "", "tick_size": "0.001",
                "bids": [{"price": "0.4", "size": "10"}], "asks": [{"price": "0.5", "size": "10"}],
            }
            for token in self._due
        ]  # fmt: skip
        self.owner.take(json.dumps(books).encode(), 1)
        self._due.clear()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def stop(self) -> None:
        """Nothing to close."""


class System:
    """desk and ingest over one instance's segments, and the rules that hold at every minute."""

    def __init__(self, instance: str, venue: Calendar, tree: Settings) -> None:
        self.venue = venue
        self.discovery = Discovery(Fabric(instance, Role.DESK), tree, lambda: venue.now)
        self.crawler = Crawler(venue, tree)
        self.grace = timedelta(seconds=tree.desk.row_grace_s)
        fabric = Fabric(instance, Role.INGEST)
        holder = RoleHolder(fabric.segment("control", writable=True), Role.INGEST)
        fabric.fence = holder.fence
        stage = SimpleNamespace(
            still=Stillness(),
            fabric=fabric, holder=holder, log=logging.getLogger("ingest"), stopping=False,
            settings=Settings(ingest=IngestSettings(tokens_per_socket=30)),
            switches=SwitchBoard(fabric), take_settings=lambda: None,
        )  # fmt: skip
        self.feed = Feed(stage)
        self.books = Fabric(instance).read_table("books", BOOK)
        self.reader = MarketsReader(Fabric(instance))
        self.ask_at = venue.now
        self.counts: Counter[str] = Counter()
        self.tenants: dict[int, tuple[int, datetime | None]] = {}
        """By row: key, and when it was seen to have ended."""
        self.live: dict[int, Market] = {}
        self.names: set[str] = set()
        self.first_expiry_ms = 0
        self.alone: dict[int, tuple[set[int], set[tuple[int, ...]]]] = {}
        """By group: its baskets and trios when it is compiled alone."""
        self.events: dict[tuple[str, datetime, bool], list[dict]] = {}
        self.wanted_now: set[str] = set()
        self.wanted_until = venue.now

    async def minute(self) -> None:
        """One turn of both clocks, then ingest's, then every rule."""
        self.discovery.tick()
        if self.venue.now >= self.ask_at or self.discovery._look_again.is_set():
            self.discovery._look_again.clear()
            await self.discovery.round(self.crawler)
            self.counts["rounds"] += 1
            self.ask_at = self.venue.now + timedelta(seconds=self.discovery.pause_s)
        if self.feed._markets.changed():
            before = {row: self.books.version(row) for row in self.live}
            self.feed._adopt(*self.feed._markets.read())
            self._require_books(before)
            self._check_generation()
        self._check_minute()

    # --- rules of a generation --------------------------------------------------------------------

    def _require_books(self, before: dict[int, int]) -> None:
        """What lives on keeps its book untouched; what is new gets one."""
        rows = {row.row: row for row in self.reader.read()[1] if row.state == MarketState.ACTIVE}
        for row, market in self.live.items():
            if row in rows and rows[row].key == market.key:
                assert self.books.version(row) == before[row], "a living book was touched"
        condition_of = {
            str(int.from_bytes(m.yes_token, "big")): "0x" + m.condition.hex() for m in rows.values()
        }
        for socket in Socket.made:
            socket.deliver(condition_of, self.venue.now)
        for row, market in rows.items():
            book = self.books.read(row)
            assert book is not None
            assert (book.state, book.market_key) == (BookState.LIVE, market.key), "a deaf book"

    def _check_generation(self) -> None:
        rows = self.reader.read()[1]
        self.counts["generations"] += 1
        self.live = {row.row: row for row in rows if row.state == MarketState.ACTIVE}
        names = {"0x" + market.condition.hex() for market in self.live.values()}
        self.first_expiry_ms = min((m.expiry_ms for m in self.live.values()), default=0)
        self._check_rows(rows)
        if names != self.names:
            self.names = names
            self._check_baskets(rows)

    def _check_rows(self, rows: list[Market]) -> None:
        """No two tenants at once, no move, no new tenant before the grace of the old one ends."""
        now = self.venue.now
        keys = [row.key for row in self.live.values()]
        assert len(set(keys)) == len(keys)
        home = {key: row for row, (key, _) in self.tenants.items()}
        for row, market in self.live.items():
            assert home.get(market.key, row) == row, "a market moved"
            key, left = self.tenants.get(row, (market.key, None))
            if key != market.key:
                kept = left is not None and now >= left + self.grace
                assert kept, "a row was let too soon"
                self.counts["rows let again"] += 1
            self.tenants[row] = market.key, None
        for row, (key, left) in self.tenants.items():
            if row not in self.live and left is None:
                self.tenants[row] = key, now
                kept = rows[row].key == key if row < len(rows) else False
                assert kept, "late fills would not find their market"
                assert rows[row].state == MarketState.RETIRED

    def _check_baskets(self, rows: list[Market]) -> None:
        """All baskets of each group on its own, none across groups, and exactly the trios."""
        compiled = compile_baskets(rows, wide=False)
        assert compiled.unproven == 0
        groups: dict[int, list[Market]] = {}
        for market in self.live.values():
            groups.setdefault(market.group, []).append(market)
        apart, trios = set(), set()
        for group, members in groups.items():
            if group not in self.alone:
                self.alone[group] = (
                    {basket.id for basket in compile_baskets(members, wide=False).baskets},
                    expected_trios(members),
                )
            apart |= self.alone[group][0]
            trios |= self.alone[group][1]
        assert {basket.id for basket in compiled.baskets} == apart
        assert trios == {
            tuple(leg.market.key for leg in basket.legs)
            for basket in compiled.baskets
            if basket.kind is BasketKind.TRIANGLE_BUY
        }, "trios are not those of each group"
        assert len(trios) == 9 * len(groups), "groups are not what they should be"
        self.counts["trios"] += len(trios)

    # --- rules of a minute ------------------------------------------------------------------------

    def _check_minute(self) -> None:
        now = self.venue.now
        assert self.live, "there is nothing to trade"
        assert self.first_expiry_ms > int(now.timestamp() * 1000), "yesterday is traded"
        assert self.feed._followed.keys() == self.live.keys()
        subscribed = sum(len(socket.subscribed) for socket in Socket.made)
        assert subscribed == len(self.live), "yesterday is subscribed, or today is not"
        # While the venue does not answer, tomorrow may be missing, and only then.
        if self.discovery.trouble is None:
            assert self.names == self.wanted(), "something new is missing"
        self.counts["minutes"] += 1

    def wanted(self) -> set[str]:
        """Condition ids of the next two noons' ladders, and of the next two hours' ones."""
        now = self.venue.now
        if now >= self.wanted_until:
            self.wanted_until = now.replace(minute=0) + timedelta(hours=1)
            self.wanted_now = {
                market["conditionId"]
                for at, hourly in self.ends()
                for coin in COINS
                for event in self.events_of(coin, at, hourly=hourly)
                for market in event["markets"]
            }
        return self.wanted_now

    def events_of(self, coin: str, at: datetime, *, hourly: bool) -> list[dict]:
        key = coin, at, hourly
        if key not in self.events:
            self.events = dict(list(self.events.items())[-20:])
            ladder = Ladder(coin, at, hourly=hourly, year_in_name=at.year >= 2028)
            self.events[key] = ladder.events()
        return self.events[key]

    def ends(self) -> list[tuple[datetime, bool]]:
        local = self.venue.now.astimezone(NEW_YORK)
        first = local.date() if local.hour < 12 else local.date() + timedelta(days=1)
        days = (first, first + timedelta(days=1))
        ends = [(datetime(d.year, d.month, d.day, 12, tzinfo=NEW_YORK), False) for d in days]
        if self.discovery._settings.desk.hourly:
            hour = self.venue.now.astimezone(UTC).replace(minute=0)
            hours = [(hour + timedelta(hours=n)).astimezone(NEW_YORK) for n in (1, 2)]
            ends += [(local, True) for local in hours if not comes_twice(local)]
        return ends


def expected_trios(members: list[Market]) -> set[tuple[int, int, int]]:
    """(YES above L, NO range [L,U), NO above U) of neighbouring strikes, by key."""
    strikes = sorted(
        (market.lower_usd_e6, market.key) for market in members if market.kind == MarketKind.ABOVE
    )
    ranges = {
        (market.lower_usd_e6, market.upper_usd_e6): market.key
        for market in members
        if market.kind == MarketKind.RANGE
    }
    return {
        (low_key, ranges[low, high], high_key)
        for (low, low_key), (high, high_key) in pairwise(strikes)
        if (low, high) in ranges
    }


@pytest.fixture
def simulate(segments, tmp_path, monkeypatch):
    """Runs a system from one instant to another; `down` says when the venue does not answer."""
    monkeypatch.setattr(ingest.feed, "Connection", Socket)
    monkeypatch.setattr(Socket, "made", [], raising=False)

    def run(start: datetime, end: datetime, down=lambda _local: False, **desk) -> System:
        # Asked twice a day, so that what is new must be found because it is time for it.
        desk = {"coins": COINS, "days": 2, "discover_every_s": 43_200} | desk
        tree = settings(str(tmp_path), **desk)
        venue = Calendar(COINS, start, hourly=tree.desk.hourly)

        async def main() -> System:
            system = System(segments, venue, tree)
            while venue.now < end:
                venue.down = down(venue.now.astimezone(NEW_YORK))
                await system.minute()
                venue.now += MINUTE
                if venue.now.hour == venue.now.minute == 0:
                    venue.forget_before(venue.now - timedelta(days=370))
            for task in system.feed._tasks:
                task.cancel()
            return system

        return asyncio.run(main())

    return run


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def outage(local: datetime) -> bool:
    """Every fifth day the venue says nothing from before noon until after it."""
    return local.toordinal() % 5 == 0 and "11:30" <= f"{local:%H:%M}" < "14:00"


def test_four_hundred_days_of_daily_ladders_without_a_gap(simulate):
    """Both changes of the clock (one of them twice), the end of a year, a leap day, outages."""
    start = at("2027-10-15 09:00")
    system = simulate(start, start + timedelta(days=400), outage)
    assert system.counts["minutes"] == 400 * 24 * 60
    # Each noon ends a group of each coin and brings another; each grace frees rows.
    assert system.counts["generations"] >= 2 * 400
    assert system.counts["rows let again"] > 400 * 22 * len(COINS) * 0.9
    assert max(system.tenants) < 5 * 22 * len(COINS), "rows are not used again"


@pytest.mark.parametrize("day", ["2027-11-06", "2028-03-11", "2027-12-31"])
def test_two_days_of_hourly_ladders_beside_the_daily_ones(simulate, day):
    start = at(f"{day} 09:00")
    system = simulate(start, start + timedelta(days=2), hourly=True, row_grace_s=7_200)
    assert system.counts["minutes"] == 2 * 24 * 60
    assert system.counts["generations"] >= 2 * 24 - 2


# --- mistakes that the rules must catch -------------------------------------------------------


def no_tick(_self) -> None:
    """Expiry is noticed by nobody."""


def asks_once(self, _crawler, _round=Discovery.round):
    """The venue is asked at the start and never again."""
    return asyncio.sleep(0) if self._generation else _round(self, _crawler)


def let_at_once(_self, _retired) -> int:
    """A row is free as soon as its market has ended."""
    return 0


def in_any_order(self, wanted, now_ms, _arrange=Tenancy.arrange) -> int:
    """Rows are given out anew each time."""
    self.rows = []
    return _arrange(self, sorted(wanted, key=lambda m: -m.expiry_ms), now_ms)


def forgets_everything(self, generation, markets, _adopt=Feed._adopt) -> None:
    """A new generation begins with empty books, as in the system that taught us."""
    for row in list(self._followed):
        self.keeper.lose([row])
    _adopt(self, generation, markets)


def never_gives_up(self, operation, tokens, _send=Feed._send) -> None:
    """Tokens of yesterday stay subscribed."""
    if operation != "unsubscribe":
        _send(self, operation, tokens)


def deaf_to_news(self, operation, tokens, _send=Feed._send) -> None:
    """Tokens of the new day are not asked for."""
    if operation != "subscribe":
        _send(self, operation, tokens)


def winters_noon(now, days) -> list[Expiry]:
    """Noon is 17:00 UTC all the year round."""
    first = now.replace(hour=17, minute=0, second=0, microsecond=0)
    first += timedelta(days=first <= now)
    return [Expiry(first + timedelta(days=n)) for n in range(days)]


def one_group(_coin, _expiry_ms, _horizon=None) -> int:
    """All markets are one group."""
    return 1


@pytest.mark.parametrize(
    ("where", "mistake", "caught"),
    [
        ("desk.discovery.Discovery.tick", no_tick, "yesterday is traded"),
        ("desk.discovery.Discovery.round", asks_once, "something new is missing"),
        ("desk.rows.Tenancy._free_ms", let_at_once, "a row was let too soon"),
        ("desk.rows.Tenancy.arrange", in_any_order, "a row was let too soon"),
        ("ingest.feed.Feed._adopt", forgets_everything, "a living book was touched"),
        ("ingest.feed.Feed._send", never_gives_up, "yesterday is subscribed"),
        ("ingest.feed.Feed._send", deaf_to_news, "a deaf book"),
        ("desk.crawler.coming_expiries", winters_noon, "nothing to trade"),
        ("desk.ladders.group_number", one_group, "trios are not those of each group"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_mistake_is_caught_within_three_days(
    simulate, monkeypatch, where, mistake, caught
):
    monkeypatch.setattr(where, mistake)
    start = at("2027-10-15 09:00")
    with pytest.raises(AssertionError, match=caught):
        simulate(start, start + timedelta(days=3))
