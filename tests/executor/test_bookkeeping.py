"""Bookkeeping: what shared memory shows of ledger, flights and reports; nothing is dropped."""

import msgspec
import pytest

from executor.bookkeeping import Bookkeeper
from executor.flights import Flight, LegOrder, from_row
from executor.ledger import Ledger
from executor.wire import Trade
from shm import layout
from shm.codes import (
    BasketKind,
    FlightState,
    LegState,
    MarketKind,
    Outcome,
    Refusal,
    ReportKind,
    Role,
    Side,
)
from shm.fabric import Fabric
from shm.layout import ACCOUNT, EXECUTOR_STATS, FLIGHT, POSITION, REPORT, SIGNAL
from shm.segments import REPORTS_CAPACITY
from tests.engine.factory import market

KEY = "our-key"
WALLET = bytes(range(20))
MARKET = market(3, MarketKind.ABOVE, 10)
YES = str(int.from_bytes(MARKET.yes_token, "big"))
HASH = "0x" + "ab" * 32


class FakeStage:
    """The two things of a stage that a bookkeeper uses."""

    def __init__(self, instance: str) -> None:
        import logging

        self.fabric = Fabric(instance, Role.EXECUTOR)
        self.log = logging.getLogger("test")


@pytest.fixture
def counters(segments):
    return Fabric(segments, Role.EXECUTOR).counters(
        "stats-executor.counters", EXECUTOR_STATS, write=True
    )


@pytest.fixture
def keeper(segments, counters) -> Bookkeeper:
    keeper = Bookkeeper(FakeStage(segments), counters)
    keeper.learn([MARKET])
    keeper.know_account(KEY, WALLET)
    return keeper


def trade(number: int = 1, **some) -> Trade:
    base = {"id": f"t{number}", "taker_order_id": HASH, "asset_id": YES, "side": "BUY",
            "price": "0.5", "size": "10", "status": "MATCHED", "owner": KEY,
            "trader_side": "TAKER"}  # fmt: skip
    return msgspec.convert(base | some, Trade)


def flight(signal: int = 7) -> Flight:
    leg = LegOrder(3, Outcome.YES, Side.BUY, 5_000, HASH, LegState.SENT)
    return Flight(0, signal, 9, BasketKind.LADDER_BUY, 10_000, 10_000_000, 6_000_000, 1, [leg],
                  FlightState.SENT, sent_ns=1)  # fmt: skip


def start(keeper: Bookkeeper, *flights: Flight) -> None:
    keeper.start(Ledger(opening_usd_e6=100_000_000), flights, next_place=0)


def account(instance):
    return Fabric(instance).read_table("positions.account", ACCOUNT).read(0)


def reports(instance):
    consumer = Fabric(instance, Role.ENGINE).consume("reports", REPORT)
    found = []
    while (row := consumer.pop()) is not None:
        found.append(row)
    return found


def test_a_trade_changes_cash_position_and_account_once(segments, keeper, counters):
    start(keeper)
    for status in ("MATCHED", "MINED", "CONFIRMED"):
        keeper.take_trade(trade(status=status))
    assert account(segments).cash_usd_e6 == 100_000_000 - 5_000_000 - 175_000
    assert account(segments).wallet[-20:] == WALLET
    position = Fabric(segments).read_table("positions", POSITION).read(3)
    assert (position.yes_e6, position.no_e6, position.market_key) == (10_000_000, 0, MARKET.key)
    assert (counters.read().fills_seen, counters.read().fills_duplicate) == (1, 2)


def test_trades_that_arrive_during_recovery_are_kept_and_counted_once(segments, keeper):
    keeper.take_trade(trade(1))
    keeper.take_trade(trade(2))
    ledger = Ledger(opening_usd_e6=100_000_000)
    for fill in keeper.fills_of(trade(1)):
        ledger.apply(fill)  # REST had seen the first one already
    keeper.start(ledger, (), next_place=0)
    assert account(segments).fills == 2
    assert account(segments).cash_usd_e6 == 100_000_000 - 2 * 5_175_000


def test_an_open_flight_reserves_cash_and_its_markets_until_its_end(segments, keeper):
    start(keeper)
    one = flight()
    keeper.record(one)
    assert keeper.free_cash_usd_e6 == 100_000_000 - 6_000_000
    assert keeper.busy_rows == {3}
    one.legs[0].move(LegState.FILLED)
    keeper.settle(one)
    assert keeper.open  # the fill has not been seen
    keeper.take_trade(trade())
    assert not keeper.open
    assert keeper.busy_rows == frozenset()
    assert keeper.free_cash_usd_e6 == 100_000_000 - 5_175_000
    (report,) = reports(segments)
    assert (report.kind, report.signal, report.legs_filled) == (ReportKind.COMPLETE, 7, 1)
    assert report.profit_usd_e6 == 10_000_000 - 5_175_000
    assert account(segments).locked_profit_usd_e6 == report.profit_usd_e6


def test_a_flight_is_in_shared_memory_before_it_is_sent_and_a_successor_finds_it(segments, keeper):
    start(keeper)
    one = flight()
    one.state, one.legs[0].state = FlightState.INTENT, LegState.INTENT
    keeper.record(one)
    row = Fabric(segments).read_table("flights", FLIGHT).read(0)
    assert row.state == FlightState.INTENT
    assert row.leg_hash[:32].hex() == "ab" * 32
    found = from_row(0, row)
    assert found.legs[0].state is LegState.DOUBT


def test_a_doubt_that_nothing_proves_is_given_up_and_reported(segments, keeper, counters):
    start(keeper)
    one = flight()
    keeper.record(one)
    one.legs[0].move(LegState.DOUBT)
    keeper.settle(one)
    assert keeper.overdue(now_ns=10**9, wait_ns=10**6) == [one]
    keeper.give_up_doubts([one])
    assert not keeper.open
    assert counters.read().baskets_missed == 1
    assert reports(segments)[0].kind == ReportKind.MISSED


def test_a_failed_trade_is_taken_back(segments, keeper, counters):
    start(keeper)
    keeper.take_trade(trade())
    keeper.take_trade(trade(status="FAILED"))
    assert account(segments).cash_usd_e6 == 100_000_000
    assert counters.read().trades_failed == 1


def test_locked_profit_survives_a_restart_of_the_same_wallet_only(segments, keeper, counters):
    start(keeper)
    one = flight()
    keeper.record(one)
    one.legs[0].move(LegState.FILLED)
    keeper.take_trade(trade())
    locked = account(segments).locked_profit_usd_e6
    assert locked > 0
    for wallet, expected in ((WALLET, locked), (bytes(20), 0)):
        successor = Bookkeeper(FakeStage(segments), counters)
        successor.know_account(KEY, wallet)
        successor.start(Ledger(), (), next_place=1)
        assert account(segments).locked_profit_usd_e6 == expected


def test_no_report_is_dropped_when_the_engine_sleeps(segments, keeper, counters):
    start(keeper)
    many = REPORTS_CAPACITY + 50
    for number in range(1, many + 1):
        signal = SIGNAL.blank()._replace(signal=number, leg_count=2)
        keeper.refuse(signal, Refusal.STALE)
    assert keeper.reports_waiting
    assert counters.read().refused_stale == many
    consumer = Fabric(segments, Role.ENGINE).consume("reports", REPORT)
    heard = []
    while len(heard) < many:
        row = consumer.pop()
        if row is None:
            keeper.flush_reports()
            continue
        heard.append(row.signal)
    assert heard == list(range(1, many + 1))
    assert not keeper.reports_waiting


def test_places_in_the_flights_table_are_not_taken_from_open_flights(keeper):
    start(keeper)
    keeper.record(flight())
    places = [keeper.place() for _ in range(600)]
    assert 0 not in places
    assert set(places) == set(range(1, 256))


def test_every_refusal_and_partial_reason_has_its_counter():
    from shm.codes import PartialReason

    names = set(layout.ExecutorStats._fields)
    assert {f"refused_{reason.name.lower()}" for reason in Refusal if reason} <= names
    assert {f"partial_{reason.name.lower()}" for reason in PartialReason if reason} <= names
