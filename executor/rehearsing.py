"""Keeps the way of an order warm on a core of its own: a signal of nobody's, decided and signed.

Where nothing was sent for some milliseconds, an order takes two or three times as long: code and
tables have left the caches. Nothing of a rehearsal can come out: its markets exist nowhere, its key
is made for it and has no wallet, its journal is /dev/null, and it knows no connection. It neither
reads nor changes what the executor knows.
"""

import os
import secrets
import time

from executor import admission, gate, risk
from executor.auth import Credentials, RequestSigner
from executor.batch import Account
from executor.exposure import Exposure
from executor.gate import Admitted
from executor.launching import Launcher, made_ready
from executor.pens import make_pen
from executor.reporting import column
from executor.signing import OrderSigner
from executor.wallet import Wallet, make_key
from shm import backend
from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Mode, Outcome, Side
from shm.fees import share_fee_e8
from shm.journal_record import first_link
from shm.layout import MARKET, SIGNAL, Market, Signal
from shm.limits import RiskSettings
from shm.settings import ExecutorSettings, WalletSettings

EVERY_NS = 2_000_000
"""Often enough for the caches; a signal that comes meanwhile waits for the rest of a rehearsal."""
LIMITS = (ExecutorSettings(), RiskSettings())
_STRIKES_USD_E6 = (10_000_000, 20_000_000)
_OUTCOMES = (Outcome.YES, Outcome.NO, Outcome.NO)
_PRICES_E4 = (6_000, 7_000, 5_900)
_PAYOUT_E4 = 20_000
_SHARES = 10
_FEE_RATE_E6 = 70_000
_DAY_MS = 86_400_000


class Rehearsal:
    """See the module."""

    def __init__(self) -> None:
        wallet = Wallet(make_key(bytearray(secrets.token_bytes(32))), WalletSettings())
        requests = RequestSigner(wallet.address, Credentials("", "", ""))
        account = Account(OrderSigner(wallet), requests, "", "nowhere.invalid", "FOK")
        self._launcher = Launcher(account, 0)
        self._pen = make_pen(first_link(0), native=backend.NATIVE)
        self._fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._markets = _markets()
        self._signal = _signal(self._markets)
        self._shapes: dict[gate.ShapeKey, gate.Shape] = {}
        self._next_ns = 0

    def turn(self, now_ns: int) -> bool:
        """Rehearse if it is time for it; whether it was."""
        if now_ns < self._next_ns:
            return False
        written = self.rehearse(now_ns)
        assert written > 0, "a rehearsal goes the whole way"
        self._next_ns = time.monotonic_ns() + EVERY_NS
        return True

    def rehearse(self, now_ns: int) -> int:
        """Decide, build, sign, authenticate, and write nowhere; bytes that were written there."""
        signal = self._signal._replace(created_ns=now_ns)
        quotes = {row: _quote(row, now_ns) for row in self._markets}
        situation = _situation(now_ns, self._markets, quotes, self._shapes)
        admitted = admission.admit(signal, situation, _standing(now_ns), quotes, LIMITS)
        assert isinstance(admitted, Admitted), f"a rehearsal is admitted, not {admitted.name}"
        ready = made_ready(
            self._launcher, 1, signal, admitted, situation, now_ms=now_ns // 1_000_000
        )
        orders = (1, ready.basket, ready.intents)
        return self._pen.write_orders(self._fd, 0, orders, now_ns, now_ns)


def _markets() -> dict[int, Market]:
    """Above, between and above, far in the future."""
    lower, upper = _STRIKES_USD_E6
    bounds = ((lower, 2**63 - 1), (lower, upper), (upper, 2**63 - 1))
    kinds = (MarketKind.ABOVE, MarketKind.RANGE, MarketKind.ABOVE)
    return {
        row: MARKET.blank()._replace(
            key=row + 1, lower_usd_e6=low, upper_usd_e6=high, expiry_ms=2**62, row=row, group=1,
            min_size_e6=5_000_000, kind=kind, state=MarketState.ACTIVE, exchange=1, tick_e4=10,
            fee_rate_e6=_FEE_RATE_E6, yes_token=bytes([row + 1] * 32),
            no_token=bytes([row + 9] * 32),
        )
        for row, ((low, high), kind) in enumerate(zip(bounds, kinds, strict=True))
    }  # fmt: skip


def _signal(markets: dict[int, Market]) -> Signal:
    legs = [(markets[row].key, outcome, Side.BUY) for row, outcome in enumerate(_OUTCOMES)]
    cost_e8 = sum(price * 10_000 + share_fee_e8(_FEE_RATE_E6, price) for price in _PRICES_E4)
    net_e8 = _PAYOUT_E4 * 10_000 - cost_e8
    return SIGNAL.blank()._replace(
        signal=1, basket=basket_id(BasketKind.TRIANGLE_BUY, legs), kind=BasketKind.TRIANGLE_BUY,
        leg_count=3, payout_e4=_PAYOUT_E4, size_e6=_SHARES * 10**6, limit_net_e8=net_e8,
        profit_usd_e6=net_e8 * _SHARES // 100 + 1, leg_market=column((0, 1, 2)),
        leg_outcome=column(_OUTCOMES), leg_side=column((Side.BUY,) * 3),
        leg_price_e4=column(_PRICES_E4),
    )  # fmt: skip


def _quote(row: int, now_ns: int) -> risk.Quote:
    price_e4 = _PRICES_E4[row]
    yes = _OUTCOMES[row] is Outcome.YES
    return risk.Quote(True, 0 if yes else 10_000 - price_e4, price_e4 if yes else 0, 10, now_ns)


def _situation(
    now_ns: int,
    markets: dict[int, Market],
    quotes: dict[int, risk.Quote],
    shapes: dict[gate.ShapeKey, gate.Shape],
) -> gate.Situation:
    return gate.Situation(
        now_ns=now_ns, trading=True, armed=True, generation=0, last_signal=0, open_flights=0,
        busy_rows=frozenset(), connection_idle=True, reports_waiting=False,
        free_cash_usd_e6=10**9, markets=markets, held={}, shapes=shapes,
        ticks_e4={row: quote.tick_e4 for row, quote in quotes.items()},
    )  # fmt: skip


def _standing(now_ns: int) -> risk.Standing:
    return risk.Standing(
        now_ns=now_ns, now_ms=_DAY_MS, killed=False, mode=Mode.ARMED, equity_usd_e6=10**10,
        exposure=Exposure(), order_tokens=15, orders_today=0, last_basket_ms={},
        baskets_this_hour={}, edge_since_ms={}, clock_offset_ms=0, facts_age_ms=0,
        feed_silence_ns=0, restarted_ms=0, held_up=False,
    )  # fmt: skip
