"""Rows: the living never move, the dead keep their place for a while, newcomers wait for it."""

from hypothesis import given
from hypothesis import strategies as st

from desk.rows import Tenancy
from shm.codes import MarketKind, MarketState
from shm.layout import MARKET, MARKETS_MAX, Market
from tests.engine.factory import market

GRACE_MS = 1_000
EXPIRY_MS = 10_000


def wanted(keys, expiry_ms: int = EXPIRY_MS) -> list[Market]:
    return [market(0, MarketKind.ABOVE, 5)._replace(key=key, expiry_ms=expiry_ms) for key in keys]


def active(rows) -> dict[int, int]:
    return {m.key: m.row for m in rows if m.state == MarketState.ACTIVE}


def retired(rows) -> dict[int, int]:
    return {m.key: m.row for m in rows if m.state == MarketState.RETIRED}


STEPS = st.lists(
    st.tuples(st.integers(0, 1_500), st.lists(st.integers(1, 40), unique=True, max_size=30)),
    max_size=12,
)


@given(STEPS, st.integers(0, 3_000))
def test_living_rows_stand_still_and_left_ones_wait_for_the_end_of_their_grace(steps, expiry_ms):
    tenancy, now_ms = Tenancy([], 0, GRACE_MS), 0
    home: dict[int, int] = {}
    left_ms: dict[int, int] = {}  # by row
    for wait_ms, keys in steps:
        now_ms += wait_ms
        assert tenancy.arrange(wanted(keys, expiry_ms), now_ms) == 0
        now = active(tenancy.rows)
        assert set(now) == set(keys)
        assert len(set(now.values())) == len(now)
        for key, row in now.items():
            if key in home:
                held = row == home[key]
                over = now_ms >= max(left_ms.get(home[key], now_ms), expiry_ms) + GRACE_MS
                assert held or (over and home[key] in left_ms)
            tenant = [k for k, r in home.items() if r == row and k != key]
            for former in tenant:
                assert now_ms >= max(left_ms[row], expiry_ms) + GRACE_MS
                del home[former]
            home[key] = row
            left_ms.pop(row, None)
        for key, row in home.items():
            if key not in now:
                left_ms.setdefault(row, now_ms)
                kept = now_ms < max(left_ms[row], expiry_ms) + GRACE_MS
                assert (retired(tenancy.rows).get(key) == row) is kept
        assert all(m.row == i for i, m in enumerate(tenancy.rows))


def test_a_retired_row_keeps_all_its_facts_and_a_free_one_none():
    tenancy = Tenancy([], 0, GRACE_MS)
    tenancy.arrange(wanted([7, 8]), 0)
    before = tenancy.rows[0]
    tenancy.arrange(wanted([8]), EXPIRY_MS)
    assert tenancy.rows[0] == before._replace(state=MarketState.RETIRED)
    assert not tenancy.due(EXPIRY_MS - 1)
    assert tenancy.due(EXPIRY_MS + GRACE_MS)
    tenancy.arrange(wanted([8]), EXPIRY_MS + GRACE_MS)
    assert tenancy.rows[0] == MARKET.blank()


def test_a_market_that_comes_back_gets_its_own_row():
    tenancy = Tenancy([], 0, GRACE_MS)
    tenancy.arrange(wanted([1, 2, 3]), 0)
    tenancy.arrange(wanted([3]), 10)
    tenancy.arrange(wanted([3, 2, 4]), 20)
    assert active(tenancy.rows) == {3: 2, 2: 1, 4: 3}
    assert retired(tenancy.rows) == {1: 0}


def test_it_is_due_when_a_market_expires():
    tenancy = Tenancy([], 0, GRACE_MS)
    tenancy.arrange(wanted([1]), 0)
    assert not tenancy.due(EXPIRY_MS - 1)
    assert tenancy.due(EXPIRY_MS)


def test_a_restart_knows_no_times_and_counts_from_the_expiry_or_from_now():
    expired, ended = wanted([1], 5_000), wanted([2], 50_000)
    first = Tenancy([], 0, GRACE_MS)
    first.arrange([*expired, *ended], 0)
    first.arrange([], 100)
    second = Tenancy(first.rows, 5_500, GRACE_MS)
    second.arrange([], 5_999)
    assert set(retired(second.rows)) == {1, 2}
    second.arrange([], 6_000)
    assert set(retired(second.rows)) == {2}


def test_what_does_not_fit_is_counted_and_gets_the_first_row_that_is_free():
    tenancy = Tenancy([], 0, GRACE_MS)
    homeless = tenancy.arrange(wanted(range(1, MARKETS_MAX + 11)), 0)
    assert homeless == 10
    assert len(active(tenancy.rows)) == MARKETS_MAX
    rest = wanted(range(2, MARKETS_MAX + 11))
    assert tenancy.arrange(rest, EXPIRY_MS) == 10  # the row of 1 is still warm
    assert tenancy.arrange(rest, EXPIRY_MS + GRACE_MS) == 9
    assert tenancy.rows[0].key == MARKETS_MAX + 1
