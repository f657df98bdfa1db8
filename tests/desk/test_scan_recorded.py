"""The compiled set measured against the linear program, on recordings."""

import json

import pytest

from desk.scan import scan_ladder
from desk.scanning import measured, recorded


@pytest.fixture(scope="module")
def scans(request):
    from tests.conftest import SHARED

    folder = SHARED / "data/trio_quotes"
    if not folder.is_dir():
        pytest.skip("needs the recordings in ../shared/data")
    return list(recorded(folder / "markets.csv", folder / "quotes_dev.csv"))


def test_on_the_recorded_quotes_the_compiled_set_misses_two_in_a_thousand(scans, tmp_path):
    out = tmp_path / "finds.jsonl"
    measure = measured(scans, out)
    assert (measure.moments, measure.scans, measure.with_profit) == (139, 2_558, 1_401)
    assert measure.unproven == 0
    assert measure.with_more == 34 == len(out.read_text().splitlines())
    assert 0.001 < measure.more_usd_e6 / measure.profit_usd_e6 < 0.003
    assert measure.not_promotable == 0
    assert measure.promotable >= measure.with_more


def test_compiled_baskets_never_get_more_than_the_best_purchase(scans):
    for _, ladder in scans:
        assert ladder.compiled_usd_e6 <= ladder.answer.bound.profit_usd_e6 + 2


def test_without_the_compiled_set_the_measure_would_show_it(scans):
    """The defect that the measure must catch: baskets that nobody compiled."""
    poorer = [(stamp, scan_ladder(one.offers, ())) for stamp, one in scans[::30]]
    measure = measured(iter(poorer), None)
    assert measure.with_more == measure.with_profit > 20
    assert measure.compiled_usd_e6 == 0


def test_every_find_is_proven_in_integers(scans):
    finds = [one for _, ladder in scans for one in ladder.beyond]
    for one in finds:
        assert min(one.proof.by_position_e4[::2]) == one.payout_e4
        assert one.net_e8 > 0
        json.dumps(one.as_json())
