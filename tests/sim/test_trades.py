import pytest

from sim import trades as module
from sim.ledger import Movement
from sim.matching import Execution, Fill
from sim.order import Outcome
from sim.trades import TRANSITIONS, Delays, Trade, TradeBook, TradeStatus
from tests.sim.worlds import CID, order


def trade(trade_id="t", taker_house=False, maker_house=True, at_ms=0):
    taker = order("BUY", owner="taker", house=taker_house)
    makers = [order("SELL", owner="maker", house=maker_house), order("SELL", owner="maker")]
    makers[1].house = maker_house
    fills = tuple(Fill(maker, 5_000_000) for maker in makers)
    return Trade(
        trade_id, CID, taker, Execution(5000, fills), Movement(CID, (), ()), at_ms, "0xhash", at_ms
    )


def test_the_good_path_follows_the_delays():
    book, one = TradeBook(Delays(400, 1200)), trade(at_ms=1000)
    book.add(one)
    assert book.due(1399) == []
    assert book.due(1400) == [(one, TradeStatus.MINED)]
    one.become(TradeStatus.MINED, 1400)
    assert book.due(2199) == []
    assert book.due(2200) == [(one, TradeStatus.CONFIRMED)]


def test_a_late_look_gives_both_steps_in_order():
    book, one = TradeBook(Delays(0, 0)), trade()
    book.add(one)
    assert book.due(5000) == [(one, TradeStatus.MINED), (one, TradeStatus.CONFIRMED)]


def test_a_failed_trade_is_not_mined_later():
    book, one = TradeBook(Delays(10, 20)), trade()
    book.add(one)
    one.become(TradeStatus.FAILED, 5)
    assert book.due(100) == []


@pytest.mark.parametrize("start", TradeStatus)
def test_only_the_tables_steps_are_possible(start):
    for goal in TradeStatus:
        one = trade()
        one.status = start
        if goal in TRANSITIONS[start]:
            one.become(goal, 7)
            assert (one.status, one.updated_ms) == (goal, 7)
        else:
            with pytest.raises(ValueError, match="cannot become"):
                one.become(goal, 7)


def test_a_retry_can_still_settle_and_final_states_are_final():
    path = [TradeStatus.RETRYING, TradeStatus.MINED, TradeStatus.CONFIRMED]
    one = trade()
    for status in path:
        one.become(status, 1)
    assert not TRANSITIONS[TradeStatus.CONFIRMED]
    assert not TRANSITIONS[TradeStatus.FAILED]


@pytest.mark.parametrize("status", TradeStatus)
def test_the_transaction_is_shown_only_when_there_is_one(status):
    one = trade()
    one.status = status
    mined = status in {TradeStatus.MINED, TradeStatus.CONFIRMED}
    assert one.shown_hash() == ("0xhash" if mined else "")


def test_parties_are_users_each_once_with_the_taker_first():
    assert trade().parties() == ["taker"]
    assert trade(maker_house=False).parties() == ["taker", "maker"]
    assert trade(taker_house=True, maker_house=False).parties() == ["maker"]
    assert trade(taker_house=True).parties() == []


def test_trades_are_found_by_party_and_forgotten_in_order(monkeypatch):
    monkeypatch.setattr(module, "MAX_FINISHED_TRADES", 2)
    book = TradeBook(Delays(1, 2))
    made = [trade(str(index), maker_house=False) for index in range(3)]
    for one in made:
        book.add(one)
    assert book.of_owner("taker") == made[1:]
    assert book.of_owner("maker") == made[1:]
    assert book.of_owner("stranger") == []
    assert book.count == 3
    assert book.due(10) == [
        (one, status) for status in (TradeStatus.MINED, TradeStatus.CONFIRMED) for one in made[1:]
    ]
    assert Outcome.YES == 0
