import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.coins import COINS
from sim.ladders import build_ladder, next_noons, token_id, winner_of
from sim.order import Outcome
from tests.sim.traders import NOW_MS

LADDERS = {
    symbol: build_ladder(7, coin, next_noons(NOW_MS, 1)[0], coin.start_usd)
    for symbol, coin in COINS.items()
}


@pytest.mark.parametrize("symbol", COINS)
def test_strikes_line_up_with_the_brackets_and_one_more_below(symbol):
    ladder = LADDERS[symbol]
    strikes = [one.lower_e4 for one in ladder.above.listings]
    assert len(strikes) == 11
    assert strikes == sorted(strikes) == list(ladder.strikes_e4)
    brackets = [(one.lower_e4, one.upper_e4) for one in ladder.price.listings]
    assert len(brackets) == 11
    ends = [None, *strikes[1:], None]
    assert brackets == list(itertools.pairwise(ends))
    steps = {high - low for low, high in itertools.pairwise(strikes)}
    assert steps == {COINS[symbol].step_e4}
    spot_e4 = COINS[symbol].start_usd * 10_000
    assert strikes[1] < spot_e4 < strikes[-1]


@pytest.mark.parametrize("symbol", COINS)
def test_ids_have_the_venues_forms_and_are_all_different(symbol):
    ladder = LADDERS[symbol]
    tokens = [token for one in ladder.listings for token in one.facts.tokens]
    assert all(76 <= len(token) <= 78 and 0 < int(token) < 1 << 256 for token in tokens)
    assert len(set(tokens)) == 44
    conditions = {one.facts.condition_id for one in ladder.listings}
    assert len(conditions) == 22
    assert all(len(one) == 66 and int(one, 16) for one in conditions)
    assert len({one.market_id for one in ladder.listings}) == 22


def test_neg_risk_questions_share_the_market_id_and_count_in_the_last_byte():
    event = LADDERS["BTC"].price
    assert event.neg_risk
    assert event.neg_risk_market_id.endswith("00")
    for index, one in enumerate(event.listings):
        assert one.facts.neg_risk
        assert one.question_id == event.neg_risk_market_id[:-2] + f"{index:02x}"
        assert one.ordinal == index
    assert not LADDERS["BTC"].above.neg_risk
    assert not any(one.facts.neg_risk for one in LADDERS["BTC"].above.listings)


def test_ladders_depend_on_the_seed_and_on_nothing_else():
    noon = next_noons(NOW_MS, 1)[0]
    again = build_ladder(7, COINS["BTC"], noon, COINS["BTC"].start_usd)
    assert again == LADDERS["BTC"]
    other = build_ladder(8, COINS["BTC"], noon, COINS["BTC"].start_usd)
    assert other.above.listings[0].facts.tokens != again.above.listings[0].facts.tokens


@pytest.mark.parametrize(
    ("now", "utc"),
    [
        ("2026-11-22T16:59:59+00:00", ["2026-11-22T17:00", "2026-11-23T17:00"]),
        ("2026-11-22T17:00:00+00:00", ["2026-11-23T17:00", "2026-11-24T17:00"]),
        ("2026-07-01T15:00:00+00:00", ["2026-07-01T16:00", "2026-07-02T16:00"]),
        ("2026-10-31T17:00:00+00:00", ["2026-11-01T17:00", "2026-11-02T17:00"]),
        ("2027-01-01T03:00:00+00:00", ["2027-01-01T17:00", "2027-01-02T17:00"]),
    ],
)
def test_noon_is_new_yorks_in_summer_and_in_winter(now, utc):
    now_ms = int(dt.datetime.fromisoformat(now).timestamp() * 1000)
    noons = next_noons(now_ms, 2)
    shown = [noon.astimezone(dt.UTC).isoformat(timespec="minutes")[:16] for noon in noons]
    assert shown == utc


@given(st.integers(-3, 3), st.sampled_from(list(COINS)), st.integers(0, 10))
def test_exactly_one_bracket_wins_and_thresholds_are_strict(cents, symbol, index):
    ladder = LADDERS[symbol]
    strike = ladder.strikes_e4[index]
    price = strike + cents * 100
    winners = [one for one in ladder.price.listings if winner_of(one, price) is Outcome.YES]
    assert len(winners) == 1
    won = winners[0]
    assert won.lower_e4 is None or won.lower_e4 <= price
    assert won.upper_e4 is None or price < won.upper_e4
    for one in ladder.above.listings:
        assert (winner_of(one, price) is Outcome.YES) is (price > one.lower_e4)


@given(st.text(max_size=20))
def test_token_ids_are_never_short(what):
    assert 76 <= len(token_id(1, what)) <= 78
