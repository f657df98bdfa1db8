"""Buy a token, or sell its opposite that we hold: the same trade, and the sale frees capital. Pure.

NO at 1 - p and YES sold at p have the same fee, and their payoffs differ by one dollar at every
settlement price, tie and void. The buyer of NO who holds YES has that dollar at the expiry, the
seller has it now. So a leg is sold whenever the whole size of its opposite is held.

Signals do not carry sales yet: the executor refuses them (docs/baskets.md, "Inventory").
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.hurdle import YEAR_MS
from shm.codes import Outcome, Side
from shm.payoff import Leg
from shm.units import PRICE_ONE_E4


class Held(NamedTuple):
    """Shares of a market's tokens that nothing else has a claim on."""

    yes_e6: int
    no_e6: int


class Form(NamedTuple):
    """How the legs of a basket are carried out, and what that does to the capital."""

    legs: tuple[Leg, ...]
    """In the basket's order; some of them sales."""
    prices_e4: tuple[int, ...]
    """Limits of those legs."""
    freed_usd_e6: int
    """Dollars that are not bound until the expiry, against buying all legs."""
    saved_usd_e6: int
    """What that much capital would have cost until then, rounded down."""


def as_sale(leg: Leg) -> Leg:
    """The other form of a purchase."""
    assert leg.side is Side.BUY
    opposite = Outcome.NO if leg.outcome is Outcome.YES else Outcome.YES
    return Leg(leg.market, opposite, Side.SELL)


def chosen_form(
    legs: Sequence[Leg],
    prices_e4: Sequence[int],
    size_e6: int,
    held: Mapping[int, Held],
    capital: tuple[int, int],
) -> Form:
    """Sell where the opposite token is held in the whole size, buy elsewhere.

    `held` is by market row; `capital` is its cost a year in millionths and the time to the expiry
    in milliseconds. A leg is carried out in one form only: two orders for one leg could be filled
    apart.
    """
    chosen, limits_e4, sold = [], [], 0
    for leg, price_e4 in zip(legs, prices_e4, strict=True):
        have = held.get(leg.market.row, Held(0, 0))
        opposite_e6 = have.no_e6 if leg.outcome is Outcome.YES else have.yes_e6
        sells = opposite_e6 >= size_e6 > 0
        chosen.append(as_sale(leg) if sells else leg)
        limits_e4.append(PRICE_ONE_E4 - price_e4 if sells else price_e4)
        sold += sells
    freed_usd_e6 = sold * size_e6  # a dollar a share
    per_year_e6, left_ms = capital
    saved_usd_e6 = freed_usd_e6 * per_year_e6 * max(0, left_ms) // (10**6 * YEAR_MS)
    return Form(tuple(chosen), tuple(limits_e4), freed_usd_e6, saved_usd_e6)
