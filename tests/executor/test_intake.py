"""Intake: each fill once a status, whatever comes early, twice, from strangers, or unreadable."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.intake import FILLS_AT_ONCE, Intake
from executor.wire import Trade
from shm.codes import FlightState, LegState
from tests.executor.written import CASH_USD_E6, MARKETS, Counted, Written

KEY = "our-key"
STATUSES = ["MATCHED", "MINED", "CONFIRMED", "RETRYING", "FAILED"]


class Desk:
    """An intake on a journal of its own."""

    def __init__(self, folder) -> None:
        self.written = Written(folder).begin()
        self.counters = Counted()
        self.intake = Intake(self.written.chronicle, self.counters, KEY)
        self.intake.open()

    @property
    def state(self):
        return self.written.state


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def trade(flight=None, place: int = 0, **some) -> Trade:
    """One of ours, for an order of a flight or of nobody."""
    base = {"id": "t1", "taker_order_id": "0x" + "ab" * 32, "side": "BUY", "price": "0.6",
            "size": "10", "status": "MATCHED", "owner": KEY, "trader_side": "TAKER",
            "asset_id": str(int.from_bytes(MARKETS[0].yes_token, "big"))}  # fmt: skip
    if flight is not None:
        leg = flight.legs[place]
        base |= {"id": f"t{flight.id}-{place}", "taker_order_id": leg.order_hash,
                 "asset_id": leg.token, "price": str(leg.price_e4 / 10_000)}  # fmt: skip
    return msgspec.convert(base | some, Trade)


def test_a_fill_of_ours_finds_its_flight(desk):
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    for place in range(3):
        desk.intake.take_one(trade(flight, place))
    assert flight.state is FlightState.COMPLETE
    assert desk.counters == {"fills_seen": 3}
    assert not desk.state.strangers


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(STATUSES)), max_size=30))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_fill_counts_once_in_whatever_order_and_however_often(tmp_path_factory, told):
    desk = Desk(tmp_path_factory.mktemp("intake"))
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    for place, status in told:
        desk.intake.take_one(trade(flight, place, status=status))
    for place in range(3):
        said = [status for where, status in told if where == place]
        counts = bool(said) and ("FAILED" not in said or "CONFIRMED" in said)
        seen = desk.state.ledger.of_order(flight.legs[place].order_hash)
        assert seen.size_e6 == (10_000_000 if counts else 0)
    digest = desk.state.digest()
    desk.written.reopen()
    assert desk.state.digest() == digest
    desk.written.chronicle.close()


def test_a_trade_of_nothing_is_no_fill_and_is_counted_as_unreadable(desk):
    flight = desk.written.launch()
    seq = desk.written.chronicle.seq
    desk.intake.take_one(trade(flight, size="0"))
    maker = {"order_id": flight.legs[0].order_hash, "owner": KEY, "matched_amount": "0.000000",
             "price": "0.6", "asset_id": flight.legs[0].token}  # fmt: skip
    desk.intake.take_one(trade(flight, trader_side="MAKER", maker_orders=[maker]))
    assert desk.counters == {"post_errors": 2}
    assert desk.written.chronicle.seq == seq
    assert not desk.state.ledger.fills


def test_what_comes_too_early_waits_in_order_and_is_not_lost(tmp_path):
    written = Written(tmp_path).begin()
    flight = written.launch()
    written.reply(flight, *[LegState.FILLED] * 3)
    intake = Intake(written.chronicle, Counted(), KEY)
    for place in range(3):
        intake.take_one(trade(flight, place, status="MATCHED"))
        intake.take_one(trade(flight, place, status="FAILED"))
    assert not written.state.ledger.fills
    intake.open()
    assert len(written.state.ledger.fills) == 3
    assert flight.state is FlightState.MISSED
    intake.open()
    assert written.state.ledger.cash_usd_e6 == CASH_USD_E6


def test_an_order_that_nobody_here_sent_is_a_stranger_once(desk):
    for _ in range(3):
        desk.intake.take_one(trade())
    desk.intake.take_one(trade(id="t2"))
    desk.intake.take_one(trade(status="CONFIRMED"))
    assert desk.state.strangers == {"0x" + "ab" * 32}
    assert desk.counters["fills_seen"] == 2
    assert desk.counters["fills_duplicate"] == 2


def test_more_fills_than_a_group_holds_are_told_in_several(desk):
    desk.intake.take([trade(id=f"t{n}") for n in range(2 * FILLS_AT_ONCE + 3)])
    assert len(desk.state.ledger.fills) == 2 * FILLS_AT_ONCE + 3
    assert desk.state.ledger.holdings["1"].fills == 2 * FILLS_AT_ONCE + 3


@pytest.mark.parametrize(
    "bad",
    [
        {"price": "NaN"}, {"price": "-0.5"}, {"price": "1e-3"}, {"price": "1.5"}, {"price": ""},
        {"size": "-10"}, {"size": "1e400"}, {"size": "99999999999999999999"}, {"size": "ten"},
        {"side": "HOLD"}, {"side": ""}, {"side": "buy"},
        {"taker_order_id": ""}, {"taker_order_id": "0x12"}, {"taker_order_id": "0x" + "zz" * 32},
        {"taker_order_id": "ab" * 33}, {"taker_order_id": "0x" + "ab" * 31 + " a"},
        {"asset_id": ""}, {"asset_id": "-7"}, {"asset_id": "0x7"}, {"asset_id": "9" * 90},
        {"asset_id": str(2**256)}, {"asset_id": "seven"}, {"asset_id": "007"},
        {"asset_id": "\uff10"},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_counted_and_harms_nothing(desk, bad):
    version = desk.written.chronicle.version
    desk.intake.take([trade(**bad), trade(id="good")])
    assert desk.counters["post_errors"] == 1
    assert desk.counters["fills_seen"] == 1
    assert desk.written.chronicle.version == version + 2  # the good one, and that it is a stranger


@pytest.mark.parametrize("name", ["", "é" * 5, "x" * 500, "a\0b", "tail\0", "\ud800", " t ", "💥"])
def test_whatever_a_trade_is_called_it_is_known_again_also_after_a_snapshot(desk, name):
    strange = trade()
    strange.id = name
    for _ in range(3):
        desk.intake.take([strange])
    assert desk.counters["fills_seen"] == 1
    assert desk.counters["fills_duplicate"] == 2
    digest = desk.state.digest()
    desk.written.journal._full_at = 0
    desk.written.chronicle.rotate_when_full()
    desk.written.reopen()
    assert desk.state.digest() == digest
    again = Intake(desk.written.chronicle, Counted(), KEY)
    again.open()
    again.take([strange])
    assert desk.state.ledger.holdings["1"].fills == 1


def test_a_maker_of_somebody_else_is_none_of_ours(desk):
    maker = {"order_id": "?", "matched_amount": "?", "price": "?", "asset_id": "?", "owner": "x"}
    desk.intake.take_one(trade(owner="x", trader_side="MAKER", maker_orders=[maker]))
    assert not desk.counters
    desk.intake.take_one(
        trade(owner="x", trader_side="MAKER", maker_orders=[{**maker, "owner": KEY}])
    )
    assert desk.counters == {"post_errors": 1}


def test_a_fill_of_an_order_that_was_sent_under_another_key_finds_its_flight(desk):
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    for place, owner in enumerate(["an older key", "", None]):
        desk.intake.take_one(trade(flight, place, owner=owner))
    assert flight.state is FlightState.COMPLETE
    assert not desk.state.strangers


def test_while_the_disk_is_full_the_same_fill_waits_once_however_often_it_is_read(desk):
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    desk.written.fill_disk()
    for _ in range(50):
        desk.intake.take([trade(flight, place) for place in range(3)])
    assert len(desk.written.chronicle._waiting) == 3
    desk.intake.take([trade(flight, 0, status="CONFIRMED")])
    assert len(desk.written.chronicle._waiting) == 4
    assert desk.counters["fills_seen"] == 3
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert flight.state is FlightState.COMPLETE
    assert len(desk.state.ledger.fills) == 3
