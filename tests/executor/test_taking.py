"""Taking: what a refusal means for the signals that follow, and whose word the engine hears."""

import time
from types import SimpleNamespace

import pytest

from executor import taking
from executor.gate import Admitted
from executor.taking import Taker
from shm.codes import Refusal, ReportKind
from shm.layout import MARKETS_MAX
from tests.executor.stand import Stand
from tests.executor.test_gate import signal
from tests.executor.written import MARKETS

GROUP = MARKETS[0].group


@pytest.fixture
def stand(segments, tmp_path):
    made = Stand(segments, tmp_path)
    made.begin()
    made.stage.sending = True
    made.dispatcher = SimpleNamespace(send=lambda *_: None, why_not=Refusal.STALE)
    made.taker = Taker(
        made.stage, made.around, made.written.chronicle, made.reports,
        dispatcher=made.dispatcher, venue=made.venue, counters=made.counters, keep=None,
    )  # fmt: skip
    return made


def taken(stand, monkeypatch, judged) -> list:
    """What the engine hears of a signal that is judged like this."""
    monkeypatch.setattr(taking.admission, "admit", lambda *_: judged)
    stand.taker.take(signal(), 10**15)
    return [(one.kind, one.reason) for one in stand.heard()]


@pytest.mark.parametrize("judged", [Refusal.TOO_GOOD, Refusal.COLLAR])
def test_a_ladder_whose_edge_is_too_good_to_be_true_is_quarantined(stand, monkeypatch, judged):
    assert taken(stand, monkeypatch, judged) == [(ReportKind.REFUSED, judged)]
    assert stand.around.standing(GROUP).quarantined is (judged is Refusal.TOO_GOOD)
    assert not stand.around.standing(GROUP + 1).quarantined


def test_of_orders_that_were_withheld_the_engine_hears_why(stand, monkeypatch):
    monkeypatch.setattr(taking, "made_ready", lambda *_, **__: SimpleNamespace(intents=[]))
    stand.taker.launcher = object()
    heard = taken(stand, monkeypatch, Admitted(10**7, 10**7))
    assert heard == [(ReportKind.REFUSED, Refusal.STALE)]
    assert stand.counted("baskets_sent") == 0
    assert stand.counted("refused_stale") == 1


@pytest.mark.parametrize("row", [3, MARKETS_MAX, 2**32 - 1])
def test_a_signal_for_a_market_that_nobody_knows_is_refused_like_any_other(stand, row):
    stand.around.ready = stand.around.channel_up = True
    now_ns = time.monotonic_ns()
    legs = (row, *signal().leg_market[1:])
    stand.taker.take(signal(leg_market=legs, created_ns=now_ns, generation=1), now_ns)
    (heard,) = stand.heard()
    assert (heard.kind, heard.reason) == (ReportKind.REFUSED, Refusal.MARKET)
