"""Bits flipped at random in shared memory, under the real engine and the real gate of the executor.

A `Bench` is a system without processes: segments, markets, books with edges in them, one engine
core, and what the executor would decide. It keeps complaints: what was signalled or admitted and is
absurd, by a judgement that shares no code with either.
"""

import random
import time
from collections.abc import Callable, Iterator

from engine.baskets import Basket, compile_baskets
from executor.gate import Admitted
from shm.codes import Outcome, ReportKind, Role, Side
from shm.control import SwitchPanel
from shm.fabric import Fabric, find_section
from shm.layout import REPORT, UPDATE, Market, Signal
from shm.markets import MarketsWriter
from shm.segments import SEGMENTS
from shm.settings import EngineSettings, ExecutorSettings
from tests.engine.books import book
from tests.engine.factory import ladder
from tests.engine.test_core import World
from tests.executor.test_gate import admit, situation

ENGINE = EngineSettings(
    min_net_edge_e8=100_000, min_profit_usd_e6=10_000, max_book_age_ms=3_600_000,
    max_leg_skew_ms=3_600_000, max_ingest_silence_ms=3_600_000, max_basket_shares=500,
)  # fmt: skip
EXECUTOR = ExecutorSettings()
STRIKES = [10, 20, 30, 40]


def priced(market: Market, received_ns: int):
    """A book with levels; strikes are priced upside down, so that baskets have an edge."""
    rank = market.lower_usd_e6 // 10**7 if market.kind == 1 else 0
    bid_e4 = 4_500 + 200 * rank if market.kind == 1 else 300
    levels = range(5)
    return book(
        [(bid_e4 - 10 * n, 60 * 10**6) for n in levels],
        [(bid_e4 + 10 + 10 * n, 60 * 10**6) for n in levels],
        key=market.key, received_ns=received_ns,
    )  # fmt: skip


class Bench(World):
    """See the module."""

    def __init__(self, instance: str, core_of: Callable, seed: int = 1) -> None:
        super().__init__(instance, core_of, ENGINE)
        self.random = random.Random(seed)
        self.core_of = core_of
        self.markets = [m._replace(fee_rate_e6=10_000) for m in ladder(STRIKES)]
        MarketsWriter(Fabric(instance, Role.DESK)).publish(1, self.markets)
        self.by_row = {market.row: market for market in self.markets}
        self.by_id: dict[int, Basket] = {b.id: b for b in compile_baskets(self.markets).baskets}
        self.fabric = Fabric(instance, Role.EXECUTOR)
        self.engine = Fabric(instance, Role.ENGINE)
        self.engine.fence = self.holder.fence
        self.views = {name: Fabric(instance).segment(name, writable=True).view for name in SEGMENTS}
        self.complaints: list[str] = []
        self.flips = self.signalled = self.admitted = 0
        SwitchPanel(Fabric(instance, Role.DESK)).set_trading(enabled=True)
        self.refresh()

    def refresh(self) -> None:
        """Everything as if nothing had happened: books, heartbeat, plan."""
        now_ns = time.monotonic_ns()
        self.ingest_role.beat(now_ns)
        for market in self.markets:
            self.books.write(
                market.row, priced(market, now_ns)._replace(epoch=self.ingest_role.epoch)
            )
        self.adopt(self.markets, 1)
        self.core.follow_ingest()

    # --- damage ---------------------------------------------------------------------------------

    def flip(self, segment: str, first: int, size: int) -> tuple[int, int]:
        """Flip one bit among `size` bytes; where it was, and what was there."""
        view = self.views[segment]
        at = first + self.random.randrange(size)
        before = view[at]
        view[at] = before ^ 1 << self.random.randrange(8)
        self.flips += 1
        return at, before

    def flipping(self, segment: str, first: int, size: int) -> Iterator[None]:
        """For ever: flip a bit, let the caller look, mend it."""
        while True:
            at, before = self.flip(segment, first, size)
            yield
            self.views[segment][at] = before

    # --- what comes of it -----------------------------------------------------------------------

    def update(self, row: int) -> None:
        """Let the core look at a market, whatever row that is."""
        now_ns = time.monotonic_ns()
        stamps = {"frame_ns": now_ns, "parsed_ns": now_ns, "published_ns": now_ns}
        self.core.take(UPDATE.blank()._replace(market=row, **stamps), time.monotonic_ns())

    def judge_signals(self) -> None:
        """Look at every signal on its way, as the executor does and as this module does."""
        while (signal := self.signals.pop()) is not None:
            self.signalled += 1
            self._complain("signalled", signal)
            self.judge(signal)
            refused = REPORT.blank()._replace(signal=signal.signal, kind=ReportKind.REFUSED)
            self.core.hear(refused, time.monotonic_ns())

    def judge(self, signal: Signal) -> Admitted | None:
        """What the executor makes of a signal."""
        outcome = admit(signal, self.situation(), EXECUTOR)
        if not isinstance(outcome, Admitted):
            return None
        self.admitted += 1
        cost_usd_e6 = sum(signal.leg_price_e4) * outcome.size_e6 // 10**4
        if cost_usd_e6 > EXECUTOR.max_basket_usd_e6:
            self.complaints.append(f"{cost_usd_e6} micro-dollars at once: {signal}")
        self._complain("admitted", signal._replace(size_e6=outcome.size_e6))
        return outcome

    def situation(self):
        """An executor with nothing against trading."""
        return situation(
            now_ns=time.monotonic_ns(), generation=1, last_signal=0, markets=self.by_row
        )

    def _complain(self, what: str, signal: Signal) -> None:
        why = absurd(signal, self.by_id.get(signal.basket), self.by_row)
        self.complaints += [f"{what}: {reason}: {signal}" for reason in why]


def absurd(signal: Signal, basket: Basket | None, by_row: dict[int, Market]) -> Iterator[str]:
    """What is wrong with a purchase, by the facts that nobody damaged."""
    if signal.size_e6 <= 0 or signal.size_e6 % 10**6:
        yield f"size {signal.size_e6}"
    if basket is None:
        yield "no such basket"
        return
    count = signal.leg_count
    legs = list(zip(signal.leg_market[:count], signal.leg_outcome[:count], strict=True))
    known = {(leg.market.row, int(leg.outcome)) for leg in basket.legs}
    if not set(legs) <= known or len(set(legs)) != count or count < 2:
        yield f"other legs than {known}"
        return
    if signal.kind != basket.kind or set(signal.leg_side[:count]) != {Side.BUY}:
        yield f"kind {signal.kind}, sides {signal.leg_side}"
    prices = signal.leg_price_e4[:count]
    if not all(0 < price_e4 < 10_000 for price_e4 in prices):
        yield f"prices {prices}"
    if signal.payout_e4 != (sure := pays_e4(legs, by_row)) or sum(prices) >= sure:
        yield f"{sum(prices)} for {sure}, said to be {signal.payout_e4}"


def pays_e4(legs: list[tuple[int, int]], by_row: dict[int, Market]) -> int:
    """The least that the tokens pay together, by trying a price in each gap between two bounds."""
    prices = [usd * 10**6 + 10**6 // 2 for usd in range(max(STRIKES) + 5)]
    return min(
        sum(10_000 * (_yes_wins(by_row[row], s) is (o == Outcome.YES)) for row, o in legs)
        for s in prices
    )


def _yes_wins(market: Market, price_usd_e6: int) -> bool:
    return market.lower_usd_e6 < price_usd_e6 < market.upper_usd_e6


def section_bytes(path: str) -> tuple[str, int, int]:
    """Segment, start and size of a section."""
    plan, placed = find_section(path)
    return plan.name, placed.offset, placed.section.total_bytes


def row_bytes(path: str, row: int) -> tuple[str, int, int]:
    """Segment, start and size of one row of a section: for a latch, head and both copies."""
    plan, placed = find_section(path)
    stride = placed.section.stride_bytes
    start = placed.offset + placed.section.prelude_bytes + row * stride
    return plan.name, start, stride


def orders(signal: Signal) -> list[tuple[int, Outcome, Side, int]]:
    """What would be ordered, leg by leg."""
    columns = (signal.leg_market, signal.leg_outcome, signal.leg_side, signal.leg_price_e4)
    return list(zip(*(column[: signal.leg_count] for column in columns), strict=True))
