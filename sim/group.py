"""One ladder as the house quotes it: 22 quoters, one spot price, and one mispricing at most.

A group moves in two steps. First every market gives up what would not enclose its new fair value,
then the new spot becomes the reference, and only then are new quotes put. So the quotes of all
markets enclose one consistent set of fair values at every moment, and no set of them is riskless.
"""

from dataclasses import dataclass, field
from random import Random

from sim.events import Event, Notice
from sim.house import House
from sim.ladders import Ladder
from sim.market import Market
from sim.mispricing import (
    BasketSet,
    Counts,
    Leg,
    LegKey,
    Offer,
    Quotes,
    Stage,
    choose,
    net_edge_e8,
    sets_of,
    shares_e6,
)
from sim.order import OTHER_SIDE, Side, in_yes_terms
from sim.pricing import fair_values
from sim.quoting import Quoter, beyond


@dataclass(slots=True, eq=False)
class Group:
    """A ladder with its quoters; `markets` in the order of the listings."""

    ladder: Ladder
    markets: list[Market]
    quoters: list[Quoter]
    house: House
    rng: Random
    counts: Counts
    offer: Offer | None = None
    rests_until_ms: int = 0
    baskets: list[BasketSet] = field(init=False)

    def __post_init__(self) -> None:
        self.baskets = sets_of(len(self.ladder.strikes_e4))

    def open(self, now_ms: int) -> list[Event]:
        """First quotes of all markets."""
        return [event for quoter in self.quoters for event in quoter.open(now_ms)]

    def move(self, spot_usd: float, now_ms: int) -> tuple[list[Event], list[Quoter]]:
        """Take a new spot price as the reference, if it matters to any market.

        Returns the withdrawals and the quoters that should requote soon; nothing while a set is
        mispriced.
        """
        if self.offer is not None:
            return [], []
        fairs = fair_values(self.ladder, spot_usd, now_ms)
        pairs = list(zip(self.quoters, fairs, strict=True))
        stale = [quoter for quoter, fair_e4 in pairs if quoter.is_stale(fair_e4)]
        if not stale:
            return [], []
        events: list[Event] = []
        for quoter, fair_e4 in pairs:
            events += quoter.withdraw_beyond(fair_e4, now_ms)
        for quoter, fair_e4 in pairs:
            quoter.fair_e4 = fair_e4
        return events, stale

    def is_free(self, now_ms: int) -> bool:
        """Whether a mispricing may begin."""
        return self.offer is None and now_ms >= self.rests_until_ms

    def begin_offer(self, now_ms: int) -> list[Event]:
        """Choose a set, claim its markets and widen those beside it.

        No events when no set can be made cheap now. The legs are shown afterwards, one by one.
        """
        basket, prices = choose(self.baskets, self._quotes(), self.rng)
        if not prices or not self.is_free(now_ms):
            return []
        legs = tuple(
            Leg(index, outcome, price_e4, shares_e6(self.rng))
            for (index, outcome), price_e4 in zip(basket.legs, prices, strict=True)
        )
        tokens = frozenset(self.markets[leg.index].facts.tokens[leg.outcome] for leg in legs)
        self.offer = Offer(basket, legs, tokens)
        for quoter in self._claimed(self.offer):
            quoter.busy = True
        events: list[Event] = [self._notice(tuple(self._condition_id(leg) for leg in legs))]
        for index, side in basket.screens:
            events += self._widen(index, side, basket.max_shift_e4, now_ms)
        return events

    def _claimed(self, offer: Offer) -> list[Quoter]:
        indexes = [leg.index for leg in offer.legs]
        indexes += [index for index, _ in offer.basket.screens]
        return [self.quoters[index] for index in indexes]

    def _widen(self, index: int, side: Side, by_e4: int, now_ms: int) -> list[Event]:
        market = self.markets[index]
        best_e4 = market.book.best_e4(side)
        if best_e4 is None:
            return []
        limit_e4 = best_e4 - by_e4 if side is Side.BUY else best_e4 + by_e4
        leaving = [
            ((side, level_e4), 0)
            for level_e4 in self.house.levels(market, side)
            if beyond(side, level_e4, limit_e4)
        ]
        return self.house.set_levels(market, leaving, now_ms)

    def show_leg(self, leg: Leg, now_ms: int) -> list[Event]:
        """Shift the quotes of one market: make room on the other side, then the cheap level."""
        market = self.markets[leg.index]
        side, price_e4 = in_yes_terms(leg.outcome, Side.SELL, leg.price_e4)
        other = OTHER_SIDE[side]
        tick_e4 = market.tick_e4
        limit_e4 = price_e4 - tick_e4 if side is Side.SELL else price_e4 + tick_e4
        leaving = [
            ((other, level_e4), 0)
            for level_e4 in self.house.levels(market, other)
            if beyond(other, level_e4, limit_e4)
        ]
        events = self.house.set_levels(market, leaving, now_ms)
        wanted = [((side, price_e4), leg.size_e6)]
        return events + self.house.set_levels(market, wanted, now_ms)

    def finish_showing(self) -> bool:
        """Whether the set is net-positive now that all its legs are in the books."""
        offer = self._active()
        asks = [self._ask_e4((leg.index, leg.outcome)) for leg in offer.legs]
        prices = [ask for ask in asks if ask is not None]
        whole = len(prices) == len(asks)
        edge_e8 = net_edge_e8(offer.basket.payout_e4, prices, self._rate_e6()) if whole else 0
        offer.become(Stage.OFFERED if edge_e8 > 0 else Stage.FAILED)
        self.counts.offered += offer.stage is Stage.OFFERED
        return offer.stage is Stage.OFFERED

    def count_purchase(self, wallet: str, token: str) -> bool:
        """Note a user's purchase; true when it makes the offered set taken."""
        if self.offer is None:
            return False
        self.offer.count_purchase(wallet, token)
        if self.offer.stage is not Stage.OFFERED or not self.offer.is_bought():
            return False
        self.offer.become(Stage.TAKEN)
        self.counts.taken += 1
        return True

    def expire_offer(self) -> bool:
        """The offer's time is over; false when it was taken before."""
        offer = self._active()
        if offer.stage is not Stage.OFFERED:
            return False
        offer.become(Stage.EXPIRED)
        self.counts.expired += 1
        return True

    def repair(self, now_ms: int, rest_ms: int) -> list[Event]:
        """Take the shifted quotes away, quote around the fair values again, free the group."""
        offer = self._active()
        events: list[Event] = []
        for leg in offer.legs:
            quoter = self.quoters[leg.index]
            level = in_yes_terms(leg.outcome, Side.SELL, leg.price_e4)
            events += self.house.set_levels(quoter.market, [(level, 0)], now_ms)
            events += quoter.withdraw_beyond(quoter.fair_e4, now_ms)
        # From here on nothing is shifted: what follows encloses the fair values again.
        self.offer = None
        self.rests_until_ms = now_ms + rest_ms
        events.append(self._notice(()))
        for quoter in self._claimed(offer):
            quoter.busy = False
            if quoter.market.accepting:
                events += quoter.requote(now_ms)
        return events

    def abandon_offer(self) -> list[Event]:
        """The ladder ends: an offer of it ends as well, its quotes with the markets."""
        if self.offer is None:
            return []
        self.expire_offer()
        self.offer = None
        return [self._notice(())]

    def _active(self) -> Offer:
        if self.offer is None:
            raise ValueError(f"group {self.ladder.name} has no offer")
        return self.offer

    def _quotes(self) -> Quotes:
        return Quotes(self._ask_e4, lambda index: self.markets[index].tick_e4, self._rate_e6())

    def _rate_e6(self) -> int:
        return self.markets[0].facts.fee_rate_e6

    def _ask_e4(self, leg: LegKey) -> int | None:
        index, outcome = leg
        return self.markets[index].book.best_of(outcome, Side.SELL)

    def _condition_id(self, leg: Leg) -> str:
        return self.markets[leg.index].facts.condition_id

    def _notice(self, condition_ids: tuple[str, ...]) -> Notice:
        return Notice(self.ladder.name, condition_ids)
