import pytest

from sim import catalog as module
from sim.catalog import Catalog
from sim.coins import COINS
from sim.ladders import build_ladder, next_noons
from tests.sim.traders import NOW_MS

NOONS = next_noons(NOW_MS, 3)
LADDERS = [build_ladder(1, COINS["BTC"], noon, 87_000.0) for noon in NOONS]


def test_events_and_markets_are_found_by_every_name():
    catalog = Catalog()
    event = LADDERS[0].above
    catalog.add(event)
    assert catalog.events[event.event_id] is event
    assert catalog.event_by_slug[event.slug] is event
    for one in event.listings:
        assert catalog.markets[one.market_id] == (event, one)
        assert catalog.market_by_slug[one.slug] == (event, one)
        assert catalog.market_by_condition[one.facts.condition_id] == (event, one)
    with pytest.raises(ValueError, match="is listed"):
        catalog.add(event)


def test_the_oldest_events_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MAX_EVENTS", 2)
    catalog = Catalog()
    for ladder in LADDERS:
        catalog.add(ladder.above)
    assert list(catalog.event_by_slug) == [ladder.above.slug for ladder in LADDERS[1:]]
    assert len(catalog.markets) == len(catalog.market_by_slug) == 22
