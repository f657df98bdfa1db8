"""`polytrio scan`: the best riskless purchase among all markets of a ladder, compiled or not.

Off the hot path. For every ladder the linear program (desk/linear.py) finds the best purchase at
the real depth and fees; a second one may buy compiled baskets only. The difference is what the
compiled set misses; desk/combinations.py says what that is made of, and a combination of equal
weights can be promoted to a basket that the engine watches.

Left out on purpose: the venue's least order sizes and amount grid, slippage, ties and the cost of
capital. The scan says what could be there; the engine decides with all of that about promoted
baskets, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from desk.combinations import Combination, taken_apart
from desk.linear import (
    E8,
    E14_PER_USD_E6,
    SHARE_E6,
    Answer,
    Field,
    Level,
    Offer,
    Program,
    best_purchase,
)
from engine.baskets import Basket
from engine.pricer import top_of
from engine.walk import E8_PER_E4, ladder_of
from shm.codes import MarketState, Outcome
from shm.fees import fee_table_e8
from shm.layout import Book, Market
from shm.units import PRICE_ONE_E4

LEAST_USD_E6 = 100
"""Profits below this are not worth a line."""


@dataclass(frozen=True)
class LadderScan:
    """What a scan says about one ladder."""

    coin: str
    expiry_ms: int
    offers: Field
    answer: Answer
    compiled_usd_e6: int
    """Most that compiled baskets could make of the same offers."""
    combinations: list[Combination] = field(default_factory=list)

    @property
    def profit_usd_e6(self) -> int:
        """Of the best purchase, rounded down; never below nothing."""
        return max(0, self.answer.bought.profit_e14 // E14_PER_USD_E6)

    @property
    def more_usd_e6(self) -> int:
        """What compiled baskets miss; 0 if it is not worth a line."""
        more = self.profit_usd_e6 - self.compiled_usd_e6
        return more if more >= LEAST_USD_E6 else 0

    @property
    def beyond(self) -> list[Combination]:
        """Combinations that the compiled set lacks."""
        return [one for one in self.combinations if not one.compiled] if self.more_usd_e6 else []

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the record."""
        bound = self.answer.bound
        return {
            "coin": self.coin,
            "expiry": f"{datetime.fromtimestamp(self.expiry_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "tokens": len(self.offers.offers),
            "profit_usd_e6": self.profit_usd_e6,
            "compiled_usd_e6": self.compiled_usd_e6,
            "more_usd_e6": self.more_usd_e6,
            "bought": self._bought(),
            "certificate": {
                "no_purchase_exceeds_usd_e6": bound.profit_usd_e6,
                "bounds_usd_e6": self.offers.bounds_usd_e6,
                "measure": bound.measure,
                "measure_unit": sum(bound.measure),
            },
            "combinations": [one.as_json() for one in self.combinations],
        }

    def _bought(self) -> dict[str, Any] | None:
        if not self.profit_usd_e6:
            return None
        bought = self.answer.bought
        return {
            "legs": [
                {
                    "market": f"{offer.market.key:016x}",
                    "outcome": offer.outcome.name,
                    "size_e6": sum(sizes),
                    "limit_e4": max(
                        level.price_e4
                        for level, size in zip(offer.levels, sizes, strict=True)
                        if size
                    ),
                }
                for offer, sizes in zip(self.offers.offers, bought.sizes_e6, strict=True)
                if any(sizes)
            ],
            "cost_usd_e6": -(-bought.cost_e14 // E14_PER_USD_E6),
            "payoff_by_interval_usd_e6": [one // E14_PER_USD_E6 for one in bought.payoff_e14],
        }


def offers_of(markets: Iterable[Market], books: Mapping[int, Book], epoch: int) -> list[Field]:
    """All that can be bought, one field for each ladder and rule of settlement."""
    fields: dict[tuple[int, int, int], list[Offer]] = {}
    for market in markets:
        book = books.get(market.row)
        if market.state != MarketState.ACTIVE or market.taker_delay_ms or book is None:
            continue
        if not top_of(book, 0, market.key, epoch).usable:
            continue
        fees_e8 = fee_table_e8(market.fee_rate_e6)
        for outcome in (Outcome.YES, Outcome.NO):
            levels = tuple(
                Level(price_e4 * E8_PER_E4 + fees_e8[price_e4], size_e6, price_e4)
                for price_e4, size_e6 in ladder_of(book, yes=outcome is Outcome.YES)
            )
            if levels:
                name = market.expiry_ms, market.group, market.fingerprint
                fields.setdefault(name, []).append(Offer(market, outcome, levels))
    return [Field(tuple(offers)) for _, offers in sorted(fields.items())]


def scan_ladder(offers: Field, baskets: Sequence[Basket]) -> LadderScan:
    """The best purchase, what compiled baskets would have got, and what lies between."""
    first = offers.offers[0].market
    answer = best_purchase(offers)
    coin = first.coin.rstrip(b"\0").decode()
    if answer.bought.profit_e14 < LEAST_USD_E6 * E14_PER_USD_E6:
        return LadderScan(coin, first.expiry_ms, offers, answer, 0)
    own = [basket for basket in baskets if basket.group == first.group]
    compiled = {names_of(basket): basket.id for basket in own}
    parts = taken_apart(offers, answer, compiled, LEAST_USD_E6)
    return LadderScan(coin, first.expiry_ms, offers, answer, _best_of(own, offers), parts)


def names_of(basket: Basket) -> frozenset[tuple[int, Outcome]]:
    """Market key and outcome of each leg."""
    return frozenset((leg.market.key, leg.outcome) for leg in basket.legs)


def _best_of(baskets: Sequence[Basket], offers: Field) -> int:
    """Most that these baskets together make of the offers, in micro-dollars, rounded up.

    A leg that may be left out for a dollar of payout is one that may be bought for a dollar.
    """
    rows = {offer.name: row for row, offer in enumerate(offers.offers)}
    usable = [b for b in baskets if b.optional or names_of(b) <= rows.keys()]
    pairs = [(b.id, name) for b in usable if b.optional for name in names_of(b) & rows.keys()]
    skips = {pair: len(rows) + place for place, pair in enumerate(pairs)}
    # One row for each token: what is bought less what baskets use. One for each leg that may be
    # left out: no more than baskets.
    program = Program(len(rows) + len(skips))
    for basket in usable:
        names = names_of(basket)
        offered = names & rows.keys()
        entries = {rows[name]: -1.0 for name in offered}
        if basket.optional:
            entries |= {skips[basket.id, name]: 1.0 for name in offered}
        payout = basket.payout_e4 / PRICE_ONE_E4 - len(names - offered)
        program.column(payout, 0.0, program.infinity, entries)
    for (_, name), row in skips.items():
        program.column(-1.0, 0.0, program.infinity, {row: -1.0, rows[name]: 1.0})
    for row, offer in enumerate(offers.offers):
        for level in offer.levels:
            program.column(-level.cost_e8 / E8, 0.0, level.size_e6 / SHARE_E6, {row: 1.0})
    _, _, gained = program.solved()
    return max(0, round(gained * 1e6 + 0.5))
