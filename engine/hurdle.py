"""The net edge that a basket must have before it is signalled: least edge and allowances. Pure."""

from engine.baskets import Basket
from engine.walk import E8_PER_E4
from shm.settings import EngineSettings


def hurdle_e8(basket: Basket, settings: EngineSettings) -> int:
    """Least edge of one unit, plus what the slippage allowance may cost at the markets' ticks."""
    slippage_e4 = settings.slippage_ticks * sum(leg.market.tick_e4 for leg in basket.legs)
    return settings.min_net_edge_e8 + slippage_e4 * E8_PER_E4
