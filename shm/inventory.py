"""Buy a token, or sell its opposite that we hold: the same trade, and the sale frees capital. Pure.

NO at 1 - p and YES sold at p have the same fee, and their payoffs differ by one dollar at every
settlement price, tie and void. The buyer of NO who holds YES has that dollar at the expiry, the
seller has it now. So a leg is sold whenever the whole size of its opposite is free to be sold.

The engine signals purchases only; the executor chooses the form, and `polytrio explain` shows it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shm.codes import Outcome, Side
from shm.grid import least_shares
from shm.payoff import Leg
from shm.units import PRICE_ONE_E4, SHARE_E6


class Held(NamedTuple):
    """Shares of a market's tokens that nothing else has a claim on."""

    yes_e6: int
    no_e6: int

    def of(self, outcome: Outcome) -> int:
        """Of one of the two tokens."""
        return self.yes_e6 if outcome is Outcome.YES else self.no_e6


NOTHING = Held(0, 0)


class Form(NamedTuple):
    """How the legs of a basket are carried out, and what that does to the capital."""

    legs: tuple[Leg, ...]
    """In the basket's order; some of them sales."""
    prices_e4: tuple[int, ...]
    """Limits of those legs."""
    freed_usd_e6: int
    """Dollars that are not bound until the expiry, against buying all legs."""


def opposite(outcome: Outcome) -> Outcome:
    """The other token of a market."""
    return Outcome.NO if outcome is Outcome.YES else Outcome.YES


def as_sale(leg: Leg) -> Leg:
    """The other form of a purchase."""
    assert leg.side is Side.BUY
    return Leg(leg.market, opposite(leg.outcome), Side.SELL)


def may_sell(price_e4: int, size_e6: int, free_e6: int, min_size_e6: int) -> bool:
    """Whether a purchase at this limit can be a sale of the opposite, of which `free_e6` are there.

    All of it or nothing: two orders for one leg could be filled apart. The venue wants a dollar of
    a sale, too, at the sale's own price; its amounts have no grid of cents (docs/venue.md).
    """
    least_e6 = least_shares(PRICE_ONE_E4 - price_e4, min_size_e6) * SHARE_E6
    return 0 < size_e6 <= free_e6 and size_e6 >= least_e6


def chosen_form(
    legs: Sequence[Leg], prices_e4: Sequence[int], size_e6: int, held: Mapping[int, Held]
) -> Form:
    """Sell where the opposite token is there in the whole size, buy elsewhere; `held` by row."""
    chosen, limits_e4, sold = [], [], 0
    for leg, price_e4 in zip(legs, prices_e4, strict=True):
        free_e6 = held.get(leg.market.row, NOTHING).of(opposite(leg.outcome))
        sells = may_sell(price_e4, size_e6, free_e6, leg.market.min_size_e6)
        chosen.append(as_sale(leg) if sells else leg)
        limits_e4.append(PRICE_ONE_E4 - price_e4 if sells else price_e4)
        sold += sells
    return Form(tuple(chosen), tuple(limits_e4), sold * size_e6)  # a dollar a share
