"""Rows: the living never move, the dead keep their place for one generation."""

from hypothesis import given
from hypothesis import strategies as st

from desk.rows import arrange
from shm.codes import MarketKind, MarketState
from shm.layout import MARKETS_MAX
from tests.engine.factory import market


def wanted(keys):
    return [market(0, MarketKind.ABOVE, 5)._replace(key=key) for key in keys]


def active(rows):
    return {m.key: m.row for m in rows if m.state == MarketState.ACTIVE}


@given(st.lists(st.lists(st.integers(1, 40), unique=True, max_size=30), max_size=8))
def test_a_market_keeps_its_row_as_long_as_it_lives(generations):
    rows = []
    for keys in generations:
        before = active(rows)
        retired = {m.row for m in rows if m.state == MarketState.RETIRED}
        gone = {row for key, row in before.items() if key not in keys}
        rows, homeless = arrange(rows, wanted(keys))
        now = active(rows)
        assert homeless == 0
        assert set(now) == set(keys)
        assert len(set(now.values())) == len(now)
        for key in keys:
            if key in before:
                assert now[key] == before[key]
            else:
                assert now[key] not in gone  # not reused at once
        assert all(m.row == i for i, m in enumerate(rows))
        assert all(rows[row].state == MarketState.RETIRED for row in gone)
        assert not any(rows[row].state == MarketState.RETIRED for row in retired if row < len(rows))


def test_what_does_not_fit_is_counted_and_the_rest_is_placed():
    rows, homeless = arrange([], wanted(range(1, MARKETS_MAX + 11)))
    assert homeless == 10
    assert len(active(rows)) == MARKETS_MAX
