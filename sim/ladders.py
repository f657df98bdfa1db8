"""Which markets exist: the daily ladders of a coin, their strikes and their ids (F.2, F.3).

A ladder is one coin and one noon in New York. Its threshold event has eleven strikes, its range
event eleven brackets; the strikes are all interior bounds of the brackets and one more below them.
Ids look random and come from the seed and the slug alone.
"""

import datetime as dt
import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sim import wording
from sim.coins import Coin
from sim.market import Facts
from sim.order import Outcome

NEW_YORK = ZoneInfo("America/New_York")
NOON = dt.time(12)
STRIKES = 11
_TOKEN_DIGITS_MIN = 76
_LISTED_BEFORE = dt.timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Listing:
    """One market as it is listed.

    Above: `lower_e4` is the strike. Brackets: the bounds, None for an open end. `ordinal` is
    Gamma's groupItemThreshold. Bounds in units of $0.0001. `told` is the live venue's object
    of a market that is mirrored; then there are no bounds.
    """

    facts: Facts
    market_id: str
    question_id: str
    request_id: str
    slug: str
    question: str
    title: str
    kind: str
    lower_e4: int | None
    upper_e4: int | None
    ordinal: int
    told: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """One Gamma event with its markets; times in unix milliseconds. `told` as in `Listing`."""

    event_id: str
    slug: str
    title: str
    description: str
    series: str
    coin: Coin
    neg_risk_market_id: str
    start_ms: int
    end_ms: int
    listings: tuple[Listing, ...]
    told: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def neg_risk(self) -> bool:
        """Whether at most one of its markets can win."""
        return bool(self.neg_risk_market_id)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Both events of one coin and one expiry; `strikes_e4` ascend."""

    name: str
    coin: Coin
    expiry_ms: int
    strikes_e4: tuple[int, ...]
    above: ListedEvent
    price: ListedEvent

    @property
    def listings(self) -> tuple[Listing, ...]:
        """All 22 markets: thresholds by strike, then brackets from the lowest up."""
        return self.above.listings + self.price.listings


def winner_of(listing: Listing, settlement_e4: int) -> Outcome:
    """Which token of a listing wins at a settlement price in units of $0.0001 (protocol.md F.4).

    A threshold is strict; a bracket includes its lower bound and not its upper one.
    """
    lower, upper = listing.lower_e4, listing.upper_e4
    if listing.kind == "above":
        if lower is None:
            raise ValueError("a threshold has a strike")
        return Outcome.YES if settlement_e4 > lower else Outcome.NO
    inside = (lower is None or settlement_e4 >= lower) and (upper is None or settlement_e4 < upper)
    return Outcome.YES if inside else Outcome.NO


def next_noons(after_ms: int, count: int) -> list[dt.datetime]:
    """The next `count` noons in New York after a time, as aware datetimes."""
    now = dt.datetime.fromtimestamp(after_ms / 1000, NEW_YORK)
    day = now.date()
    noons: list[dt.datetime] = []
    while len(noons) < count:
        noon = dt.datetime.combine(day, NOON, NEW_YORK)
        if noon > now:
            noons.append(noon)
        day += dt.timedelta(days=1)
    return noons


def build_ladder(seed: int, coin: Coin, noon: dt.datetime, spot_usd: float) -> Ladder:
    """The ladder of `coin` for one noon, its strikes around the present price."""
    middle_e4 = round(spot_usd * 10_000 / coin.step_e4) * coin.step_e4
    lowest_e4 = max(coin.step_e4, middle_e4 - STRIKES // 2 * coin.step_e4)
    strikes = tuple(lowest_e4 + index * coin.step_e4 for index in range(STRIKES))
    maker = _Maker(seed, coin, noon)
    return Ladder(
        name=f"{coin.symbol}-{noon.date().isoformat()}",
        coin=coin,
        expiry_ms=_ms(noon),
        strikes_e4=strikes,
        above=maker.above(strikes),
        price=maker.price(strikes[1:]),
    )


def _ms(when: dt.datetime) -> int:
    return int(when.timestamp()) * 1000


@dataclass(frozen=True, slots=True)
class _Maker:
    seed: int
    coin: Coin
    noon: dt.datetime

    def above(self, strikes_e4: tuple[int, ...]) -> ListedEvent:
        day = self.noon.date()
        slug = wording.above_event_slug(self.coin, day)
        listings = []
        for ordinal, strike_e4 in enumerate(strikes_e4):
            texts = wording.above_texts(self.coin, day, strike_e4)
            bounds: tuple[int | None, int | None] = (strike_e4, None)
            listings.append(self._listing(texts, "above", bounds, ordinal))
        title = wording.above_event_title(self.coin, day)
        description = wording.above_description(self.coin)
        return self._event((slug, title, description), "", tuple(listings))

    def price(self, bounds_e4: tuple[int, ...]) -> ListedEvent:
        day = self.noon.date()
        slug = wording.price_event_slug(self.coin, day)
        market_id = neg_risk_market_id(self.seed, slug)
        ends: list[int | None] = [None, *bounds_e4, None]
        listings = []
        for ordinal, bounds in enumerate(itertools.pairwise(ends)):
            texts = wording.range_texts(self.coin, day, bounds)
            kind = "below" if bounds[0] is None else "higher" if bounds[1] is None else "range"
            listings.append(self._listing(texts, kind, bounds, ordinal, market_id))
        title = wording.price_event_title(self.coin, day)
        description = wording.price_description(self.coin)
        return self._event((slug, title, description), market_id, tuple(listings))

    def _listing(
        self,
        texts: tuple[str, str, str],
        kind: str,
        bounds_e4: tuple[int | None, int | None],
        ordinal: int,
        neg_risk_id: str = "",
    ) -> Listing:
        slug, question, title = texts
        question_id = hex_id(self.seed, f"question {slug}")
        if neg_risk_id:
            # The questions of a neg-risk market share its id and count in the last byte.
            question_id = f"{neg_risk_id[:-2]}{ordinal:02x}"
        return Listing(
            facts=Facts(
                condition_id=hex_id(self.seed, f"condition {slug}"),
                tokens=(token_id(self.seed, f"{slug} yes"), token_id(self.seed, f"{slug} no")),
                neg_risk=bool(neg_risk_id),
            ),
            market_id=gamma_id(self.seed, slug),
            question_id=question_id,
            request_id=hex_id(self.seed, f"request {slug}") if neg_risk_id else "",
            slug=slug,
            question=question,
            title=title,
            kind=kind,
            lower_e4=bounds_e4[0],
            upper_e4=bounds_e4[1],
            ordinal=ordinal,
        )

    def _event(
        self, texts: tuple[str, str, str], neg_risk_id: str, listings: tuple[Listing, ...]
    ) -> ListedEvent:
        slug, title, description = texts
        return ListedEvent(
            event_id=gamma_id(self.seed, slug),
            slug=slug,
            title=title,
            description=description,
            series=f"{self.coin.series}-weekly",
            coin=self.coin,
            neg_risk_market_id=neg_risk_id,
            start_ms=_ms(self.noon - _LISTED_BEFORE),
            end_ms=_ms(self.noon),
            listings=listings,
        )


def hex_id(seed: int, what: str) -> str:
    """0x and 64 hex digits."""
    return "0x" + hashlib.sha256(f"{seed} {what}".encode()).hexdigest()


def neg_risk_market_id(seed: int, slug: str) -> str:
    """A neg-risk market id: 32 bytes of which the last is zero."""
    return hex_id(seed, f"neg risk {slug}")[:-2] + "00"


def gamma_id(seed: int, what: str) -> str:
    """A Gamma id: a decimal number of seven digits or more."""
    digest = hashlib.sha256(f"{seed} gamma {what}".encode()).digest()
    return str(1_000_000 + int.from_bytes(digest[:5], "big"))


def token_id(seed: int, what: str) -> str:
    """A token id: a 256-bit number of 76 to 78 digits."""
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{seed} token {what} {attempt}".encode()).digest()
        text = str(int.from_bytes(digest, "big"))
        if len(text) >= _TOKEN_DIGITS_MIN:
            return text
        attempt += 1
