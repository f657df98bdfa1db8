"""The market that the demo trades in: moving coins, house quotes, small trades, and mispricings.

It is a function of its seed and of the times it is called with: the same calls give the same bytes.
All its randomness comes from named generators that are derived from the seed.
"""

from dataclasses import dataclass, field
from functools import partial
from random import Random

from sim.agenda import Agenda
from sim.catalog import Catalog
from sim.coins import Coin
from sim.events import Audience, Event, Frame
from sim.exchange import Exchange
from sim.gamma import market_resolved_text, new_market_text
from sim.group import Group
from sim.house import House
from sim.ladders import Ladder, ListedEvent, build_ladder, next_noons, winner_of
from sim.market import TICK_COARSE_E4, TICK_EDGE_HIGH_E4, TICK_EDGE_LOW_E4, TICK_FINE_E4, Market
from sim.mispricing import (
    LEG_SPREAD_MS,
    LIFE_MAX_MS,
    LIFE_MIN_MS,
    REPAIR_MAX_MS,
    REST_MS,
    Counts,
    Leg,
)
from sim.order import OTHER_SIDE, Outcome, Side
from sim.pace import Pace
from sim.pricing import Underlying, fair_values
from sim.quoting import Quoter
from sim.source import LadderView

LOOK_MS = 100
"""How often a group looks whether its coin has moved."""
REQUOTE_SPREAD_MS = 40
BURST_SPREAD_MS = 120
TRADES_PER_SECOND = 1.5
COARSE_SHARE = 0.15
EXPIRY_LOOK_MS = 1_000


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """What the command line decides."""

    seed: int
    coins: tuple[Coin, ...]
    days: int
    frames_per_second: float
    mispricings_per_minute: float


@dataclass(slots=True, eq=False)
class Generator:
    """Source of markets and quotes for one exchange."""

    settings: GeneratorSettings
    exchange: Exchange
    catalog: Catalog
    counts: Counts = field(default_factory=Counts)
    groups: list[Group] = field(default_factory=list)
    frames_made: int = 0
    _agenda: Agenda = field(default_factory=Agenda)
    _coins: dict[str, Underlying] = field(init=False)
    _house: House = field(init=False)
    _rng: Random = field(init=False)
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        seed = self.settings.seed
        self._rng = Random(f"generator {seed}")
        self._house = House(self.exchange.floor, Random(f"house {seed}"))
        self._pace = Pace(self.settings.frames_per_second, Random(f"pace {seed}"))
        self._coins = {
            coin.symbol: Underlying(
                coin.start_usd * self._rng.uniform(0.97, 1.03),
                coin.daily_volatility,
                Random(f"{coin.symbol} {seed}"),
            )
            for coin in self.settings.coins
        }

    def start(self, now_ms: int) -> list[Event]:
        """List the first ladders and open their books."""
        events: list[Event] = []
        for coin in self.settings.coins:
            for noon in next_noons(now_ms, self.settings.days):
                spot_usd = self._coins[coin.symbol].advance(now_ms)
                ladder = build_ladder(self.settings.seed, coin, noon, spot_usd)
                events += self._add_group(ladder, now_ms)
        self._pace.advance(now_ms)
        self._agenda.at(now_ms + EXPIRY_LOOK_MS, self._look_for_expiry)
        self._agenda.at(self._next(now_ms, TRADES_PER_SECOND), self._house_trade)
        if self.settings.mispricings_per_minute > 0:
            self._agenda.at(self._next(now_ms, self._mispricings_per_second()), self._misprice)
        return events

    def step(self, now_ms: int) -> list[Event]:
        """Everything that is due at `now_ms`; call it often, with times that do not go back."""
        self._pace.advance(now_ms)
        self._count_purchases(now_ms)
        self._promise_bursts(now_ms)
        events = self._agenda.run(now_ms)
        made = sum(1 for event in events if _is_paced(event))
        self._pace.made(made)
        self.frames_made += made
        return events

    def wake(self, now_ms: int) -> None:
        """The generated market runs from the start; nobody has to wake it."""

    def ladders(self) -> list[LadderView]:
        """The groups that trade, with their fair values."""
        return [
            (group.ladder, [quoter.fair_e4 for quoter in group.quoters]) for group in self.groups
        ]

    # Groups.

    def _add_group(self, ladder: Ladder, now_ms: int) -> list[Event]:
        events: list[Event] = []
        spot_usd = self._coins[ladder.coin.symbol].price_usd
        fairs = fair_values(ladder, spot_usd, now_ms)
        markets, quoters = [], []
        for listing, fair_e4 in zip(ladder.listings, fairs, strict=True):
            market = Market(listing.facts, self._first_tick_e4(fair_e4), now_ms)
            self.exchange.list_market(market)
            markets.append(market)
            width = self._rng.uniform(0.8, 1.4)
            quoters.append(Quoter(market, self._house, self._rng, fair_e4, width))
        for event in (ladder.above, ladder.price):
            self.catalog.add(event)
            events += self._announce(event, now_ms)
        group = Group(ladder, markets, quoters, self._house, self._rng, self.counts)
        self.groups.append(group)
        first_look_ms = now_ms + self._rng.randint(1, LOOK_MS)
        self._agenda.at(first_look_ms, partial(self._look, group))
        return events + group.open(now_ms)

    def _first_tick_e4(self, fair_e4: float) -> int:
        middle = TICK_EDGE_LOW_E4 + 600 < fair_e4 < TICK_EDGE_HIGH_E4 - 600
        coarse = self._rng.random() < COARSE_SHARE
        return TICK_COARSE_E4 if middle and coarse else TICK_FINE_E4

    def _announce(self, event: ListedEvent, now_ms: int) -> list[Event]:
        markets = self.exchange.floor.markets
        return [
            Frame(
                Audience.EVERY_CUSTOM,
                listing.facts.condition_id,
                new_market_text(
                    event, listing, markets[listing.facts.condition_id].tick_e4, now_ms
                ),
            )
            for listing in event.listings
        ]

    def _look(self, group: Group, now_ms: int) -> list[Event]:
        if group not in self.groups:
            return []
        self._agenda.at(
            now_ms + self._rng.randint(LOOK_MS // 2, LOOK_MS * 3 // 2), partial(self._look, group)
        )
        spot_usd = self._coins[group.ladder.coin.symbol].advance(now_ms)
        if not self._pace.is_free():
            return []
        events, stale = group.move(spot_usd, now_ms)
        for quoter in stale:
            due_ms = now_ms + self._rng.randint(0, REQUOTE_SPREAD_MS)
            self._agenda.at(due_ms, partial(self._requote, quoter))
        return events

    @staticmethod
    def _requote(quoter: Quoter, now_ms: int) -> list[Event]:
        if quoter.busy or not quoter.market.accepting:
            return []
        return quoter.requote(now_ms)

    # Bursts of small changes, and small trades.

    def _promise_bursts(self, now_ms: int) -> None:
        while size := self._pace.burst():
            quoter = self._any_quoter()
            for _ in range(size):
                due_ms = now_ms + self._rng.randint(0, BURST_SPREAD_MS)
                self._agenda.at(due_ms, partial(self._stir, quoter))

    def _stir(self, quoter: Quoter, now_ms: int) -> list[Event]:
        self._pace.kept()
        if quoter.busy or not quoter.market.accepting:
            return []
        return quoter.stir(now_ms)

    def _any_quoter(self) -> Quoter:
        """A market, the likelier the nearer it is to the money."""
        quoters = [quoter for group in self.groups for quoter in group.quoters]
        chances = [min(max(quoter.fair_e4 / 10_000, 0.0), 1.0) for quoter in quoters]
        weights = [4.0 * chance * (1.0 - chance) + 0.06 for chance in chances]
        return self._rng.choices(quoters, weights)[0]

    def _house_trade(self, now_ms: int) -> list[Event]:
        self._agenda.at(self._next(now_ms, TRADES_PER_SECOND), self._house_trade)
        quoter = self._any_quoter()
        outcome = self._rng.choice((Outcome.YES, Outcome.NO))
        side = self._rng.choice((Side.BUY, Side.SELL))
        price_e4 = quoter.market.book.best_of(outcome, OTHER_SIDE[side])
        if quoter.busy or price_e4 is None or not quoter.market.accepting:
            return []
        size_e6 = round(self._rng.lognormvariate(2.5, 1.0) * 100) * 10_000
        limits = (price_e4, max(1_000_000, size_e6))
        return self._house.take(quoter.market, outcome, side, limits, now_ms)

    # Mispricings.

    def _mispricings_per_second(self) -> float:
        return self.settings.mispricings_per_minute / 60.0

    def _misprice(self, now_ms: int) -> list[Event]:
        self._agenda.at(self._next(now_ms, self._mispricings_per_second()), self._misprice)
        free = [group for group in self.groups if group.is_free(now_ms)]
        if not free:
            return []
        group = self._rng.choice(free)
        events = group.begin_offer(now_ms)
        if group.offer is None:
            return []
        last_ms = now_ms
        for leg in group.offer.legs:
            self._agenda.at(last_ms, partial(self._show_leg, group, leg))
            last_ms += self._rng.randint(0, LEG_SPREAD_MS)
        self._agenda.at(last_ms + 1, partial(self._all_shown, group))
        return events

    @staticmethod
    def _show_leg(group: Group, leg: Leg, now_ms: int) -> list[Event]:
        # A ladder that has ended meanwhile has dropped its offer.
        return group.show_leg(leg, now_ms) if group.offer is not None else []

    def _all_shown(self, group: Group, now_ms: int) -> list[Event]:
        if group.offer is None:
            return []
        if not group.finish_showing():
            return group.repair(now_ms, REST_MS)
        life_ms = self._rng.randint(LIFE_MIN_MS, LIFE_MAX_MS)
        self._agenda.at(now_ms + life_ms, partial(self._expire, group, group.offer))
        return []

    def _expire(self, group: Group, offer: object, now_ms: int) -> list[Event]:
        if group.offer is not offer or not group.expire_offer():
            return []
        return group.repair(now_ms, REST_MS)

    def _count_purchases(self, now_ms: int) -> None:
        bought, self.exchange.floor.bought = self.exchange.floor.bought, []
        for one in bought:
            for group in self.groups:
                if group.count_purchase(one.wallet, one.token):
                    due_ms = now_ms + self._rng.randint(1, REPAIR_MAX_MS)
                    self._agenda.at(due_ms, partial(self._repair, group, group.offer))

    @staticmethod
    def _repair(group: Group, offer: object, now_ms: int) -> list[Event]:
        return group.repair(now_ms, REST_MS) if group.offer is offer else []

    # The end of a ladder and the beginning of the next.

    def _look_for_expiry(self, now_ms: int) -> list[Event]:
        self._agenda.at(now_ms + EXPIRY_LOOK_MS, self._look_for_expiry)
        events: list[Event] = []
        for group in [one for one in self.groups if one.ladder.expiry_ms <= now_ms]:
            events += self._end(group, now_ms)
            coin = group.ladder.coin
            noon = next_noons(now_ms, self.settings.days)[-1]
            spot_usd = self._coins[coin.symbol].price_usd
            ladder = build_ladder(self.settings.seed, coin, noon, spot_usd)
            events += self._add_group(ladder, now_ms)
        return events

    def _end(self, group: Group, now_ms: int) -> list[Event]:
        self.groups.remove(group)
        events = group.abandon_offer()
        spot_usd = self._coins[group.ladder.coin.symbol].advance(now_ms)
        settlement_e4 = round(spot_usd * 100) * 100
        for listing in group.ladder.listings:
            winner = winner_of(listing, settlement_e4)
            events += self.exchange.resolve(listing.facts.condition_id, winner, now_ms)
            text = market_resolved_text(listing.market_id, listing.facts, winner, now_ms)
            for token in listing.facts.tokens:
                events.append(Frame(Audience.TOKEN_CUSTOM, token, text))
        return events

    def _next(self, now_ms: int, per_second: float) -> int:
        return now_ms + max(1, round(self._rng.expovariate(per_second) * 1000.0))


def _is_paced(event: Event) -> bool:
    return isinstance(event, Frame) and event.audience in {Audience.MARKET, Audience.TOKEN}
