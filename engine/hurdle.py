"""The net edge that a basket must have before it is signalled: least edge and allowances. Pure.

The edge at the top of the books is net of fees. What it must still cover, in units of 1e-8 dollars
a share:

    least edge      the largest of: dollars, share of the payout, yearly return on the capital
    + slippage      what the limits may stand above the levels
    + ties          shortfall of the payout on each bound, times the probability of such a tie
    + capital       interest until the payout

The capital of a unit is taken to be its payout: it is a little less.
"""

from engine.baskets import Basket
from engine.walk import E8_PER_E4
from shm.settings import EngineSettings
from shm.units import ceil_div

YEAR_MS = 365 * 86_400_000
"""The venue counts no leap days either; a thousandth more or less is no matter here."""


def hurdle_e8(basket: Basket, settings: EngineSettings, now_ms: int) -> int:
    """Net edge of one unit at the top of the books that makes it worth a walk down."""
    payout_e8 = basket.payout_e4 * E8_PER_E4
    left_ms = max(0, max(leg.market.expiry_ms for leg in basket.legs) - now_ms)
    least_e8 = max(
        settings.min_net_edge_e8,
        ceil_div(payout_e8 * settings.min_edge_bps, 10_000),
        ceil_div(payout_e8 * settings.min_return_per_year_e6 * left_ms, 10**6 * YEAR_MS),
    )
    slippage_e4 = settings.slippage_ticks * sum(leg.market.tick_e4 for leg in basket.legs)
    capital_e8 = ceil_div(payout_e8 * settings.capital_cost_per_year_e6 * left_ms, 10**6 * YEAR_MS)
    return least_e8 + slippage_e4 * E8_PER_E4 + tie_reserve_e8(basket, settings) + capital_e8


def tie_reserve_e8(basket: Basket, settings: EngineSettings) -> int:
    """Expected shortfall from a settlement exactly on one of the bounds."""
    shortfall_e4 = sum(
        max(0, basket.payout_e4 - paid_e4) for paid_e4 in basket.proof.by_position_e4[1::2]
    )
    return ceil_div(shortfall_e4 * E8_PER_E4 * settings.tie_probability_e9, 10**9)


def yearly_return_e6(net_e8: int, payout_e8: int, left_ms: int) -> int:
    """A net edge as a yearly return on the capital, in millionths; 0 at the end of time."""
    if left_ms <= 0 or payout_e8 <= net_e8:
        return 0
    return net_e8 * YEAR_MS * 10**6 // ((payout_e8 - net_e8) * left_ms)
