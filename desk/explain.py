"""`polytrio explain ID`: one basket of a running system, down to the last figure.

The same code that decides, given the same books: legs and what they cost, what the basket pays
over the settlement line, the hurdle part by part, every check of the gate with its figures, the
walk down the levels, what the executor would sell instead of buying. Only which markets are spoken
for is not seen from here; the engine's own last word is shown beside. desk/explain_text.py has it
for people.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from desk.basket_list import Listed, listed, outcome_word, slug_of, verdict_word
from engine.baskets import Basket
from engine.gate import Candidate, size_cap_e6
from engine.hurdle import YEAR_MS, hurdle_e8, tie_reserve_e8, yearly_return_e6
from engine.pricer import Edge, Pricer, Top
from engine.walk import E8_PER_E4, Order, Stretch, walked
from shm.codes import BasketKind, Outcome, Role, Side
from shm.control import SwitchBoard, require_settings
from shm.errors import InputError
from shm.fabric import Fabric
from shm.fees import share_fee_e8
from shm.inventory import Form, Held, chosen_form
from shm.layout import BOOK, POSITION
from shm.payoff import Leg, payoff
from shm.roles import RoleTable
from shm.settings import EngineSettings
from shm.units import PRICE_ONE_E4, ceil_div

NS_PER_MS = 1_000_000


class Check(NamedTuple):
    """One thing that could have spoken against a signal."""

    name: str
    passed: bool | None
    """None: cannot be seen from here."""
    figures: str


class Moment(NamedTuple):
    """What the world looks like apart from the basket."""

    now_ns: int
    now_ms: int
    trading: bool
    ingest_silent_ns: int


class Explained(NamedTuple):
    """Everything about one basket."""

    one: Listed
    basket: Basket
    settings: EngineSettings
    pricer: Pricer
    moment: Moment
    held: Mapping[int, Held]
    """By row, what the executor may sell; empty where `executor.inventory` is off."""

    @property
    def edge(self) -> Edge | None:
        """Worth of a unit at the best levels."""
        return self.pricer.edge(0)

    @property
    def cost_e8(self) -> int:
        """Of a unit at the best levels, fees included; of what is quoted."""
        prices = [(self.price_e4(leg), self.fee_e8(leg)) for leg in self.taken or ()]
        return sum((price or 0) * E8_PER_E4 + (fee or 0) for price, fee in prices)

    @property
    def per_year_e6(self) -> int:
        """The edge as a yearly return."""
        payout_e8 = self.basket.payout_e4 * E8_PER_E4
        return yearly_return_e6(self._net_e8(), payout_e8, self.left_ms)

    @property
    def left_ms(self) -> int:
        """Until the expiry."""
        return self.one.expiry_ms - self.moment.now_ms

    # --- figures ------------------------------------------------------------------------------

    @property
    def hurdle_parts_e8(self) -> dict[str, int]:
        """What the net edge must cover, part by part."""
        settings, basket = self.settings, self.basket
        payout_e8 = basket.payout_e4 * E8_PER_E4
        left_ms = max(0, self.left_ms)
        slippage_e4 = settings.slippage_ticks * sum(leg.market.tick_e4 for leg in basket.legs)
        whole_e8 = hurdle_e8(basket, settings, self.moment.now_ms)
        parts = {
            "slippage": slippage_e4 * E8_PER_E4,
            "ties": tie_reserve_e8(basket, settings),
            "capital": ceil_div(
                payout_e8 * settings.capital_cost_per_year_e6 * left_ms, 10**6 * YEAR_MS
            ),
        }
        return {"least edge": whole_e8 - sum(parts.values()), **parts, "together": whole_e8}

    @property
    def taken(self) -> list[Leg] | None:
        """The legs that would be bought; None while a price is missing."""
        return self.pricer.taken(0)

    def top(self, leg: Leg) -> Top:
        """The best levels of a leg's market."""
        return self.pricer.top(leg.market.row)

    def price_e4(self, leg: Leg) -> int | None:
        """What a share of a leg costs now; None without a quote."""
        top = self.top(leg)
        if not top.usable:
            return None
        if leg.outcome is Outcome.YES:
            return top.ask_price_e4 or None
        return PRICE_ONE_E4 - top.bid_price_e4 if top.bid_price_e4 else None

    def leg_size_e6(self, leg: Leg) -> int:
        """Shares at that price."""
        top = self.top(leg)
        return top.ask_size_e6 if leg.outcome is Outcome.YES else top.bid_size_e6

    def fee_e8(self, leg: Leg) -> int | None:
        """Fee of a share of a leg now."""
        price_e4 = self.price_e4(leg)
        return None if price_e4 is None else share_fee_e8(leg.market.fee_rate_e6, price_e4)

    @property
    def cap_e6(self) -> int:
        """Most units, whatever the books hold."""
        assert self.taken is not None
        tops = [self.top(leg) for leg in self.taken]
        return size_cap_e6(Candidate(self.basket, self.taken, tops), self.settings)

    @property
    def order(self) -> Order | None:
        """What would be ordered, if everything else agreed."""
        if self.taken is None:
            return None
        settings = self.settings
        needed_e8 = self.hurdle_parts_e8["together"]
        return self.pricer.order(0, needed_e8, self.cap_e6, settings.slippage_ticks)

    @property
    def form(self) -> Form | None:
        """How the executor would carry the order out; None without an order."""
        order, taken = self.order, self.taken
        if order is None or taken is None:
            return None
        return chosen_form(taken, order.limits_e4, order.size_e6, self.held)

    @property
    def saved_usd_e6(self) -> int:
        """What the capital that sales free would have cost until the expiry, rounded down."""
        freed_usd_e6 = self.form.freed_usd_e6 if self.form else 0
        per_year_e6, left_ms = self.settings.capital_cost_per_year_e6, max(0, self.left_ms)
        return freed_usd_e6 * per_year_e6 * left_ms // (10**6 * YEAR_MS)

    @property
    def stretches(self) -> list[Stretch]:
        """The walk down the levels, also where it is not worth it any more."""
        taken = self.taken
        if taken is None:
            return []
        payout_e8 = self.pricer.payout_e4(0, taken) * E8_PER_E4
        least_e8 = min(0, self.hurdle_parts_e8["together"], self._net_e8())
        return list(walked(self.pricer.legs(taken), payout_e8, least_e8, self.cap_e6))

    def _net_e8(self) -> int:
        edge = self.edge
        return 0 if edge is None else edge.net_e8

    # --- why, or why not ----------------------------------------------------------------------

    def checks(self) -> Iterator[Check]:
        """What the engine asks, in its order."""
        taken = self.taken
        missing = [slug_of(leg.market) for leg in self.basket.legs if self.price_e4(leg) is None]
        quoted = f"no usable price of {', '.join(missing)}" if missing else "every price is there"
        yield Check("quoted", taken is not None, quoted)
        if taken is None:
            return
        net_e8, needed_e8 = self._net_e8(), self.hurdle_parts_e8["together"]
        yield Check(
            "edge",
            net_e8 >= needed_e8,
            f"net {net_e8 / 1e6:+.4f} cents, needs {needed_e8 / 1e6:.4f}",
        )
        switch = "on" if self.moment.trading else "off"
        yield Check("trading", self.moment.trading, f"the switch is {switch}")
        yield from self._ages(taken)
        yield self._cooldown()
        yield Check("free", None, "no leg may be spoken for; engine's own")
        yield self._size()

    def _cooldown(self) -> Check:
        until_ns, pause = self.one.row.cooling_until_ns, f"{self.settings.cooldown_ms} ms"
        if until_ns == 0:
            return Check("cooldown", True, f"no orders yet; {pause} after each")
        left_ms = (until_ns - self.moment.now_ns) / NS_PER_MS
        if left_ms > 0:
            return Check("cooldown", False, f"another {left_ms:,.0f} ms; {pause} after its orders")
        return Check("cooldown", True, f"over since {-left_ms:,.0f} ms; {pause} after its orders")

    def _ages(self, taken: Sequence[Leg]) -> Iterator[Check]:
        settings, moment = self.settings, self.moment
        silent_ms = moment.ingest_silent_ns / NS_PER_MS
        limit_ms = settings.max_ingest_silence_ms
        yield Check(
            "ingest alive",
            abs(silent_ms) <= limit_ms,
            f"heartbeat {silent_ms:.0f} ms ago, at most {limit_ms}",
        )
        received = [self.top(leg).received_ns for leg in taken]
        age_ms = (moment.now_ns - min(received)) / NS_PER_MS
        skew_ms = (max(received) - min(received)) / NS_PER_MS
        yield Check(
            "fresh",
            age_ms <= settings.max_book_age_ms,
            f"oldest book {age_ms:,.0f} ms, at most {settings.max_book_age_ms:,}",
        )
        yield Check(
            "together",
            skew_ms <= settings.max_leg_skew_ms,
            f"books {skew_ms:,.0f} ms apart, at most {settings.max_leg_skew_ms:,}",
        )

    def _size(self) -> Check:
        order, least_usd_e6 = self.order, self.settings.min_profit_usd_e6
        cap = f"at most {self.cap_e6 / 1e6:,.2f} units"
        if order is None:
            return Check("size", False, f"no order is worth it or large enough ({cap})")
        return Check(
            "size",
            order.profit_usd_e6 >= least_usd_e6,
            f"{order.size_e6 / 1e6:,.2f} units make ${order.profit_usd_e6 / 1e6:.4f}, "
            f"needs ${least_usd_e6 / 1e6:.4f} ({cap})",
        )

    # --- both faces ---------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        proof, order = self.basket.proof, self.order
        edge = self.edge
        return {
            **self.one.as_json(),
            "gross_e8": edge and edge.gross_e8,
            "net_e8": edge and edge.net_e8,
            "yearly_return_e6": edge and self.per_year_e6,
            "legs": [
                {
                    "slug": slug_of(leg.market),
                    "outcome": outcome_word(leg.outcome),
                    "price_e4": self.price_e4(leg),
                    "size_e6": self.leg_size_e6(leg),
                    "fee_e8": self.fee_e8(leg),
                    "fee_rate_e6": leg.market.fee_rate_e6,
                    "bought": leg in (self.taken or ()),
                }
                for leg in self.basket.legs
            ],
            "payoff": {
                "bounds_usd_e6": proof.bounds_usd_e6,
                "by_position_e4": proof.by_position_e4,
                "interval_min_e4": proof.interval_min_e4,
                "tie_min_e4": proof.tie_min_e4,
                "void_e4": proof.void_e4,
            },
            "hurdle_parts_e8": self.hurdle_parts_e8,
            "walk": [stretch._asdict() for stretch in self.stretches],
            "order": order and order._asdict(),
            "inventory": self._inventory(),
            "checks": [check._asdict() for check in self.checks()],
            "engine_says": verdict_word(self.one.row.verdict),
        }

    def _inventory(self) -> dict[str, Any] | None:
        form = self.form
        if form is None:
            return None
        return {
            "sold": [slug_of(leg.market) for leg in form.legs if leg.side is Side.SELL],
            "freed_usd_e6": form.freed_usd_e6,
            "saved_usd_e6": self.saved_usd_e6,
        }


def explained(instance: str, wanted: str) -> Explained:
    """The basket with this id, or the only one whose id begins so."""
    one = _find(listed(instance), wanted)
    fabric = Fabric(instance)
    every = require_settings(fabric)
    settings = every.engine
    basket = _basket(one)
    table = fabric.read_table("books", BOOK)
    roles = RoleTable(fabric.segment("control", writable=False))
    pricer = Pricer([basket])
    for leg in basket.legs:
        book = table.read(leg.market.row)
        if book is not None:
            pricer.observe(leg.market.row, book, table.seen, roles.epoch(Role.INGEST))
    positions = fabric.read_table("positions", POSITION)
    held = {
        leg.market.row: Held(position.yes_free_e6, position.no_free_e6)
        for leg in basket.legs
        if every.executor.inventory
        and (position := positions.read(leg.market.row)) is not None
        and position.market_key == leg.market.key
    }
    now_ns = time.monotonic_ns()
    silent_ns = now_ns - roles.row(Role.INGEST).heartbeat_ns
    trading = SwitchBoard(fabric).trading
    moment = Moment(now_ns, time.time_ns() // NS_PER_MS, trading, silent_ns)
    return Explained(one, basket, settings, pricer, moment, held)


def _find(every: Sequence[Listed], wanted: str) -> Listed:
    found = [one for one in every if one.id.startswith(wanted.lower())]
    if not found:
        raise InputError(f"no basket {wanted!r}: `polytrio baskets` lists them")
    if len(found) > 1:
        raise InputError(f"{len(found)} baskets begin with {wanted!r}: more digits are needed")
    return found[0]


def _basket(one: Listed) -> Basket:
    """The basket as the engine compiled it: from its legs, with its proof."""
    row = one.row
    legs = tuple(
        Leg(market, Outcome(row.leg_outcome[at]), Side(row.leg_side[at]))
        for at, market in enumerate(one.legs)
    )
    return Basket(row.basket, BasketKind(row.kind), row.group, legs, payoff(legs))
