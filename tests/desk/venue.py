"""A venue for discovery's tests: its own calendar and words, answers as bytes, no sockets."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from desk.crawler import Unreachable
from shm.settings import DeskSettings, Settings, VenueSettings

NEW_YORK = ZoneInfo("America/New_York")
GAMMA = "http://gamma"
CLOB = "http://clob"
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "XRP": "XRP"}
STEPS = {"BTC": 2_000, "ETH": 100, "SOL": 10, "XRP": 0.1}
STRIKES = 11
LISTED_BEFORE = timedelta(days=7)

SOURCE = (
    'The resolution source for this market is Binance, specifically the {pair} "Close" prices '
    "currently available at https://www.binance.com/en/trade/{symbol}_USDT with "
    '\u201c{button}\u201d and "Candles" selected on the top bar.\n\nPlease note that this market '
    "is about the price according to Binance {pair}, not according to other sources."
)
OTHERWISE = 'Otherwise, this market will resolve to "No".\n\n'
BETWEEN = (
    "If the reported value falls exactly between two brackets, then this market will resolve to "
    "the higher range bracket.\n\n"
)
ABOVE_TEXT = (
    'This market will resolve to "Yes" if the Binance 1 minute candle for {pair} {candle} in the '
    "ET timezone (noon) on the date specified in the title has a final \u201cClose\u201d price "
    "higher than the price specified in the title. "
) + (OTHERWISE + SOURCE)
RANGE_TEXT = (
    'This market will resolve according to the final "Close" price of the Binance 1 minute candle '
    "for {pair} {candle} in the ET timezone (noon) on the date specified in the title. "
) + (OTHERWISE + BETWEEN + SOURCE)
HOURLY_ABOVE_TEXT = (
    'This market will resolve to "Yes" if the "Close" price for the {pair} 1 hour candle that '
    "ends on the time and date specified in the title is higher than the price specified in the "
    "title. "
) + (OTHERWISE + SOURCE)
HOURLY_RANGE_TEXT = (
    'This market will resolve according to the "Close" price for the {pair} 1 hour candle that '
    "ends on the time and date specified in the title.\n\n"
) + (BETWEEN + SOURCE)


def words(template: str, coin: str = "BTC", candle: str = "12:00") -> str:
    button = "1h" if "1 hour" in template else "1m"
    return template.format(pair=f"{coin}/USDT", symbol=coin, candle=candle, button=button)


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def token(slug: str, outcome: str) -> str:
    return str(int.from_bytes(sha256(f"{slug} {outcome}".encode()).digest(), "big"))


def money(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def gamma_market(slug: str, question: str, title: str, text: str, end: datetime, **some) -> dict:
    """A market that is open for orders, unless told otherwise."""
    return {
        "id": str(int(sha256(slug.encode()).hexdigest()[:8], 16)),
        "conditionId": "0x" + sha256(slug.encode()).hexdigest(),
        "slug": slug,
        "question": question,
        "description": text,
        "endDate": iso(end),
        "clobTokenIds": json.dumps([token(slug, "yes"), token(slug, "no")]),
        "outcomes": '["Yes", "No"]',
        "groupItemTitle": title,
        "negRisk": False,
        "negRiskOther": False,
        "enableOrderBook": True,
        "acceptingOrders": True,
        "active": True,
        "closed": False,
        "archived": False,
        "orderPriceMinTickSize": 0.001,
        "orderMinSize": 5,
        "secondsDelay": 0,
        "feesEnabled": True,
        "feeSchedule": {"rate": 0.07, "exponent": 1, "takerOnly": True, "rebateRate": 0.2},
        "version": "v1",
        "unknown": {"new": [1]},
    } | some


def clob_market(market: dict, **some) -> dict:
    """The CLOB's record of the same market; false flags are left out, as the venue does."""
    ids = json.loads(market["clobTokenIds"])
    body = {
        "c": market["conditionId"],
        "t": [{"t": ids[0], "o": "Yes"}, {"t": ids[1], "o": "No"}],
        "mos": 5,
        "mts": 0.001,
        "ao": market["acceptingOrders"],
        "fd": {"r": 0.07, "e": 1, "to": True},
        "v": "v1",
    }
    if market["negRisk"]:
        body["nr"] = True
    return body | some


@dataclass
class Ladder:
    """One coin and one instant in New York: strikes, and everything in the venue's words."""

    coin: str
    at: datetime
    hourly: bool = False
    year_in_name: bool = True
    candles: tuple[str, str] = ("12:00", "12:00")
    """What the texts of the above family and of the ranges call the candle."""

    @property
    def day(self) -> str:
        return f"{self.at.strftime('%B')} {self.at.day}"

    @property
    def hour(self) -> str:
        return f"{self.at.hour % 12 or 12}{'AM' if self.at.hour < 12 else 'PM'}"

    @property
    def title_end(self) -> str:
        return f"{self.day}, {self.hour} ET" if self.hourly else self.day

    @property
    def slug_end(self) -> str:
        end = self.day.lower().replace(" ", "-")
        if self.year_in_name:
            end += f"-{self.at.year}"
        return f"{end}-{self.hour.lower()}-et" if self.hourly else end

    @property
    def strikes(self) -> list[float]:
        """Other ones every day, and sometimes those of the day before."""
        step = STEPS[self.coin]
        return [round(step * (30 + self.at.day % 7 + i), 2) for i in range(STRIKES)]

    def slug_number(self, value: float) -> str:
        if value >= 10_000 and value % 100 == 0:
            return f"{money(value / 1000).replace('.', 'pt')}k"
        return money(value).replace(",", "").replace(".", "pt")

    def above(self) -> dict:
        name = NAMES[self.coin]
        template = HOURLY_ABOVE_TEXT if self.hourly else ABOVE_TEXT
        text = words(template, self.coin, self.candles[0])
        markets = [
            gamma_market(
                f"{name.lower()}-above-{self.slug_number(strike)}-on-{self.slug_end}",
                f"Will the price of {name} be above ${money(strike)} on {self.title_end}?",
                money(strike), text, self.at,
            )
            for strike in self.strikes
        ]  # fmt: skip
        slug = f"{name.lower()}-above-on-{self.slug_end}"
        return self._event(slug, f"{name} above ___ on {self.title_end}?", markets, False)

    def price(self) -> dict:
        name = NAMES[self.coin]
        template = HOURLY_RANGE_TEXT if self.hourly else RANGE_TEXT
        text = words(template, self.coin, self.candles[1])
        start = f"will-the-price-of-{name.lower()}-be"
        ends = self.strikes[1:]
        low, high = money(ends[0]), money(ends[-1])
        said = [(f"less-than-{self.slug_number(ends[0])}", f"less than ${low}", f"<{low}")]
        said += [
            (
                f"between-{self.slug_number(a)}-{self.slug_number(b)}",
                f"between ${money(a)} and ${money(b)}",
                f"{money(a)}-{money(b)}",
            )
            for a, b in pairwise(ends)
        ]
        said += [
            (f"greater-than-{self.slug_number(ends[-1])}", f"greater than ${high}", f">{high}")
        ]
        markets = [
            gamma_market(
                f"{start}-{path}-on-{self.slug_end}",
                f"Will the price of {name} be {phrase} on {self.title_end}?",
                title, text, self.at, negRisk=True,
            )
            for path, phrase, title in said
        ]  # fmt: skip
        slug = f"{name.lower()}-price-on-{self.slug_end}"
        return self._event(slug, f"{name} price on {self.title_end}?", markets, True)

    def _event(self, slug: str, title: str, markets: list[dict], neg_risk: bool) -> dict:
        return {
            "id": slug, "slug": slug, "title": title, "endDate": iso(self.at),
            "negRisk": neg_risk, "negRiskAugmented": False, "markets": markets,
        }  # fmt: skip

    def events(self) -> list[dict]:
        return [self.above(), self.price()]


@dataclass
class Still:
    """A venue that lists given events and never changes; answers can be replaced by path."""

    events: list[dict] = field(default_factory=list)
    clob: dict = field(default_factory=dict)
    """Changes to the CLOB's record, by condition id; None: not known there."""
    answers: dict = field(default_factory=dict)
    """Whole bodies (bytes, None) or errors, by the beginning of the URL."""
    asked: list[str] = field(default_factory=list)
    page_rows: int = 100

    async def get(self, url: str) -> bytes | None:
        self.asked.append(url)
        for start, answer in self.answers.items():
            if start in url:
                if isinstance(answer, Exception):
                    raise answer
                return answer
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if path == "/events/keyset":
            return self._page(query)
        if path == "/events":
            named = [event for event in self.events if event["slug"] in query["slug"]]
            return json.dumps(named).encode()
        return self._facts(path.rsplit("/", 1)[1])

    def _page(self, query: dict) -> bytes:
        start = int(query.get("after_cursor", ["0"])[0])
        body: dict = {"events": self.events[start : start + self.page_rows]}
        if start + self.page_rows < len(self.events):
            body["next_cursor"] = str(start + self.page_rows)
        return json.dumps(body).encode()

    def _facts(self, condition: str) -> bytes | None:
        for event in self.events:
            for market in event["markets"]:
                if market and market["conditionId"] == condition:
                    changes = self.clob.get(condition, {})
                    return (
                        None
                        if changes is None
                        else json.dumps(clob_market(market, **changes)).encode()
                    )
        return None


def comes_twice(local: datetime) -> bool:
    """Whether an hour of New York has a name that comes again; the venue lists no ladder for it."""
    return local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()


class Calendar:
    """A venue whose listing follows the date: ladders come seven days ahead and close at their end.

    Until 2028 its names have no year, so that a year later they lead to the events of the year
    before.
    """

    def __init__(self, coins: tuple[str, ...], now: datetime, *, hourly: bool = False) -> None:
        self.now = now
        self.down = False
        self._coins = coins
        self._hourly = hourly
        self._bodies: dict[str, tuple[datetime, bytes, bytes]] = {}
        self._facts: dict[str, bytes] = {}
        self._listed: list[tuple[datetime, str]] = []
        self._known: set[tuple[str, datetime, bool]] = set()
        self._look()

    def ends(self) -> list[tuple[datetime, bool]]:
        """Every settlement that is listed now: (instant, whether it is an hourly one)."""
        day = self.now.astimezone(NEW_YORK).date()
        noons = []
        for _ in range(LISTED_BEFORE.days + 2):
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=NEW_YORK)
            if self.now < noon <= self.now + LISTED_BEFORE:
                noons.append((noon, False))
            day += timedelta(days=1)
        if self._hourly:
            hour = self.now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            for n in (1, 2):
                local = (hour + timedelta(hours=n)).astimezone(NEW_YORK)
                if not comes_twice(local):
                    noons.append((local, True))
        return noons

    def ladders(self) -> list[Ladder]:
        """What is open for orders now."""
        return [
            Ladder(coin, at, hourly=hourly, year_in_name=at.year >= 2028)
            for at, hourly in self.ends()
            for coin in self._coins
        ]

    def _look(self) -> None:
        for ladder in self.ladders():
            key = ladder.coin, ladder.at.astimezone(UTC), ladder.hourly
            if key in self._known:
                continue
            self._known.add(key)
            for event in ladder.events():
                closed = event | {
                    "markets": [m | {"closed": True, "acceptingOrders": False}
                                for m in event["markets"]]
                }  # fmt: skip
                bodies = json.dumps(event).encode(), json.dumps(closed).encode()
                at = ladder.at.astimezone(UTC)
                self._bodies.setdefault(f"{event['slug']} {at}", (at, *bodies))
                self._listed.append((at, event["slug"]))
                for market in event["markets"]:
                    self._facts[market["conditionId"]] = json.dumps(clob_market(market)).encode()

    async def get(self, url: str) -> bytes | None:
        if self.down:
            raise Unreachable(f"{url}: down")
        self._look()
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if path == "/events/keyset":
            return b'{"events":[]}'
        if path == "/events":
            return b"[" + b",".join(self._named(set(query["slug"]))) + b"]"
        return self._facts.get(path.rsplit("/", 1)[1])

    def _named(self, slugs: set[str]) -> list[bytes]:
        return [
            body if at > self.now else closed
            for at, slug in self._listed
            if slug in slugs
            for at_, body, closed in [self._bodies[f"{slug} {at}"]]
        ]

    def forget_before(self, at: datetime) -> None:
        """What is older is not asked for by any name any more: keep the test's memory small."""
        gone = {(end, slug) for end, slug in self._listed if end < at}
        self._listed = [one for one in self._listed if one not in gone]
        for end, slug in gone:
            self._bodies.pop(f"{slug} {end}", None)


def settings(var_dir: str = "/nowhere", **desk) -> Settings:
    return Settings(
        venues=VenueSettings(clob_url=CLOB, gamma_url=GAMMA),
        desk=DeskSettings(**({"coins": ("BTC",), "days": 1, "var_dir": var_dir} | desk)),
    )
