"""A generated market for the tests, driven by a clock of their own."""

from sim.catalog import Catalog
from sim.coins import COINS
from sim.exchange import Exchange
from sim.generator import Generator, GeneratorSettings
from sim.trades import Delays

T0 = 1_795_363_200_000 + 5 * 3_600_000
STEP_MS = 5


def generated(seed=1, coins=("BTC",), *, days=1, frames=300.0, mispricings_per_minute=90.0, now=T0):
    """(generator, events of its start)."""
    exchange = Exchange(seed, 10_000_000_000, Delays(400, 1200))
    chosen = tuple(COINS[name] for name in coins)
    settings = GeneratorSettings(seed, chosen, days, frames, mispricings_per_minute)
    generator = Generator(settings, exchange, Catalog())
    return generator, generator.start(now)


def run(generator, duration_ms, start_ms=T0, step_ms=STEP_MS):
    """Steps until the time is over; yields (time, events)."""
    for now_ms in range(start_ms + step_ms, start_ms + duration_ms + 1, step_ms):
        events = generator.step(now_ms) + generator.exchange.advance(now_ms)
        yield now_ms, events
