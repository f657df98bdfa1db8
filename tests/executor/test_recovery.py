"""Recovery: the ledger is the venue's, whatever happens between two readings."""

import asyncio

import msgspec

from executor.ledger import fills_of
from executor.recovery import insist, rebuild
from executor.venue import Unavailable
from executor.wire import Trade


def trade(number: int) -> Trade:
    return msgspec.convert(
        {"id": f"t{number}", "taker_order_id": f"0x{number}", "asset_id": "7", "side": "BUY",
         "price": "0.5", "size": "10", "status": "MATCHED", "owner": "key",
         "trader_side": "TAKER"},
        Trade,
    )  # fmt: skip


def ours(value: Trade):
    return list(fills_of(value, "key", lambda _token: 0))


class Script:
    """A venue whose answers are written down."""

    def __init__(self, cash, trades) -> None:
        self._cash = iter(cash)
        self._trades = iter(trades)

    async def cash_usd_e6(self):
        return next(self._cash)

    async def trades(self):
        return next(self._trades)


def rebuilt(cash, trades):
    return asyncio.run(rebuild(Script(cash, trades), ours))


def test_opening_cash_is_the_balance_less_what_the_trades_changed():
    ledger = rebuilt([90_000_000] * 2, [[trade(1), trade(2)]])
    assert ledger.cash_usd_e6 == 90_000_000
    assert ledger.opening_usd_e6 == 100_000_000
    assert ledger.holdings["7"].size_e6 == 20_000_000


def test_a_trade_between_two_readings_makes_it_read_again():
    ledger = rebuilt([95_000_000, 90_000_000, 90_000_000], [[trade(1)], [trade(1), trade(2)]])
    assert (ledger.opening_usd_e6, ledger.fills) == (100_000_000, 2)


def test_no_answer_is_passed_on():
    gone = Unavailable("gone")
    assert rebuilt([gone, 1], [[]]) is gone
    assert rebuilt([1, 1], [gone]) is gone
    assert isinstance(rebuilt(range(1_000), [[]] * 100), Unavailable)


def test_insisting_asks_until_there_is_an_answer(monkeypatch):
    monkeypatch.setattr("executor.recovery.RETRY_S", 0.0)
    answers = iter([Unavailable("a"), Unavailable("a"), 5])

    async def ask():
        return next(answers)

    assert asyncio.run(insist("x", ask, lambda: False)) == 5
    assert asyncio.run(insist("x", ask, lambda: True)) is None
