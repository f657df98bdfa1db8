"""The trading floor: the one place where books, ledger, orders and trades change together.

Requests of users and of the house end here as `submit`, `withdraw` and `swap`. Whoever calls has
checked everything; what is impossible here raises.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from sim.courses import course_of
from sim.events import Event
from sim.faults import Faults, Later, Subject
from sim.fees import taker_fee_usd_e6
from sim.ledger import Ledger, Movement
from sim.market import Market, Touch, TradePrint
from sim.matching import Execution, Fill, Plan, maker_notional_usd_e6, notional_usd_e6, plan
from sim.order import Order, Side, Status
from sim.register import Register
from sim.restraints import Restraints
from sim.rules import TRADE
from sim.story import tell_end, tell_trade
from sim.trades import Course, Trade, TradeBook
from sim.truth import Truth
from sim.userframes import order_frame, trade_frames


@dataclass(frozen=True, slots=True)
class Bought:
    """A wallet of a user got shares of a token; the generator counts its baskets with these."""

    wallet: str
    token: str
    size_e6: int


@dataclass(slots=True)
class Executed:
    """What submitting did. `trades` has one element for each price level."""

    plan: Plan
    trades: list[Trade] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Floor:
    """All markets by condition id, and everything that a match touches.

    `rng` gives ids, so that one seed gives one stream. `bought` is emptied by whoever reads it, and
    so is `put_off`: acts that a trade has caused, which must not disturb the transaction.
    """

    rng: Random
    ledger: Ledger
    tape: TradeBook
    truth: Truth
    faults: Faults
    markets: dict[str, Market] = field(default_factory=dict)
    register: Register = field(default_factory=Register)
    restraints: Restraints = field(default_factory=Restraints)
    bought: list[Bought] = field(default_factory=list)
    put_off: list[Later] = field(default_factory=list)

    def preview(self, order: Order) -> Plan:
        """Whom `order` would trade with, without trading."""
        return plan(self.markets[order.condition_id].book, order)

    def submit(self, order: Order, now_ms: int, *, rest: bool) -> Executed:
        """Match `order`, then rest what is left if `rest`; all of it one transaction.

        A user's order is announced before its trades; a rest that may not rest is left to the
        caller to cancel.
        """
        work = _Transaction(self.markets[order.condition_id], now_ms)
        if not order.house:
            work.events.append(order_frame(order, "PLACEMENT", now_ms))
        done = self._enter(work, order, rest=rest)
        done.events = work.close()
        return done

    def release(self, order: Order, now_ms: int, *, rest: bool) -> Executed:
        """Bring a DELAYED order, which was announced when it came, to the book."""
        order.become(Status.LIVE)
        work = _Transaction(self.markets[order.condition_id], now_ms)
        work.events.append(order_frame(order, "UPDATE", now_ms))
        done = self._enter(work, order, rest=rest)
        done.events = work.close()
        return done

    def withdraw(
        self, orders: Iterable[Order], status: Status, now_ms: int, *, sentence: str = ""
    ) -> list[Event]:
        """Take orders of one market off its book as one transaction.

        `sentence` replaces the state text in the event, as for a killed order that never rested.
        """
        leaving = list(orders)
        if not leaving:
            return []
        work = _Transaction(self.markets[leaving[0].condition_id], now_ms)
        for order in leaving:
            self._leave(work, order, status, sentence)
        return work.close()

    def swap(self, leaving: Iterable[Order], entering: Iterable[Order], now_ms: int) -> list[Event]:
        """Replace resting orders of one market by others as one transaction.

        The venue's clients cannot do this; the house stands for many makers and may.
        """
        leaving, entering = list(leaving), list(entering)
        if not leaving and not entering:
            return []
        work = _Transaction(self.markets[(leaving or entering)[0].condition_id], now_ms)
        for order in leaving:
            self._leave(work, order, Status.CANCELED, "")
        for order in entering:
            self._enter(work, order, rest=True)
        return work.close()

    def _enter(self, work: "_Transaction", order: Order, *, rest: bool) -> Executed:
        done = Executed(plan(work.market.book, order))
        for execution in done.plan.executions:
            work.touched.append(_touch_of(execution))
            trade = self._trade(work.market, order, execution, work.now_ms)
            done.trades.append(trade)
            work.events += self._tell(trade, work.now_ms)
            work.prints.append(_print_of(trade))
        if rest and order.status is Status.LIVE and order.remaining_e6:
            work.market.book.add(order)
            work.touched.append(Touch(order.book_side, order.book_price_e4, order.outcome))
        return done

    def _leave(self, work: "_Transaction", order: Order, status: Status, sentence: str) -> None:
        if order in work.market.book.orders(order.book_side, order.book_price_e4):
            work.market.book.shrink(order, order.remaining_e6)
            work.touched.append(Touch(order.book_side, order.book_price_e4, order.outcome))
        order.become(status)
        if not order.house:
            self.register.finish(order)
            tell_end(self.truth, order, sentence)
            work.events.append(order_frame(order, "CANCELLATION", work.now_ms, status=sentence))

    def _trade(self, market: Market, taker: Order, execution: Execution, now_ms: int) -> Trade:
        self._cover_house(market, [fill.maker for fill in execution.fills], execution)
        self._cover_house(market, [taker], execution)
        movement = _movement(market, taker, execution)
        trade_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.ledger.apply(movement, f"trade {trade_id}")
        for fill in execution.fills:
            market.book.shrink(fill.maker, fill.size_e6)
            self._fill(fill.maker, fill.size_e6)
        self._fill(taker, execution.size_e6)
        return Trade(
            trade_id=trade_id,
            condition_id=market.facts.condition_id,
            taker=taker,
            execution=execution,
            movement=movement,
            matched_ms=now_ms,
            updated_ms=now_ms,
            transaction_hash=f"0x{self.rng.getrandbits(256):064x}",
        )

    def _fill(self, order: Order, size_e6: int) -> None:
        order.fill(size_e6)
        if not order.house and order.side is Side.BUY:
            self.bought.append(Bought(order.wallet, order.token, size_e6))
        if order.remaining_e6 == 0:
            order.become(Status.MATCHED)
            if not order.house and self.register.get(order.order_id) is not None:
                self.register.finish(order)
                tell_end(self.truth, order, "")

    def _cover_house(self, market: Market, orders: list[Order], execution: Execution) -> None:
        # The house has an endless purse: it mints the sets that it sells out of, at full price.
        for order in orders:
            if order.house and order.side is Side.SELL:
                short_e6 = execution.size_e6 - self.ledger.position_e6(order.wallet, order.token)
                if short_e6 > 0:
                    self.ledger.mint(
                        order.wallet, market.facts.condition_id, market.facts.tokens, short_e6
                    )

    def _tell(self, trade: Trade, now_ms: int) -> list[Event]:
        if not trade.parties():
            return []
        tell_trade(self.truth, trade, self.markets[trade.condition_id].facts.fee_rate_e6)
        self.tape.add(trade, self._course(trade, now_ms))
        events: list[Event] = []
        for order in (trade.taker, *(fill.maker for fill in trade.execution.fills)):
            if not order.house:
                order.trade_ids.append(trade.trade_id)
                events.append(order_frame(order, "UPDATE", now_ms))
        return events + list(trade_frames(trade))

    def _course(self, trade: Trade, now_ms: int) -> Course:
        good = self.tape.good_course()
        if not self.faults.watches(TRADE):
            return good
        orders = [trade.taker, *(fill.maker for fill in trade.execution.fills)]
        subjects = [
            Subject(
                wallet=order.wallet,
                market=order.condition_id,
                token=order.token,
                side=str(order.side),
                order_type=order.order_type,
                order_id=order.order_id,
                status=str(trade.status),
            )
            for order in orders
            if not order.house
        ]
        strikes, _, later = self.faults.visit(TRADE, subjects, now_ms, put_off=True)
        self.put_off += later
        return course_of((strike.effect for strike in strikes), good)


@dataclass(slots=True)
class _Transaction:
    """What one request does to one market, until its frames are made."""

    market: Market
    now_ms: int
    touched: list[Touch] = field(default_factory=list)
    prints: list[TradePrint] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def close(self) -> list[Event]:
        """All events: those of the users first, then the frames of the market."""
        return [*self.events, *self.market.commit(self.touched, self.prints, self.now_ms)]


def _touch_of(execution: Execution) -> Touch:
    first = execution.fills[0].maker
    return Touch(first.book_side, first.book_price_e4, first.outcome)


def _print_of(trade: Trade) -> TradePrint:
    return TradePrint(
        trade.taker.outcome,
        trade.taker.side,
        trade.execution.price_e4,
        trade.execution.size_e6,
        trade.transaction_hash,
    )


def _movement(market: Market, taker: Order, execution: Execution) -> Movement:
    fee_usd_e6 = 0
    if not taker.house:
        fee_usd_e6 = taker_fee_usd_e6(
            execution.size_e6, execution.price_e4, market.facts.fee_rate_e6
        )
    cash: list[tuple[str, int]] = [(taker.wallet, -fee_usd_e6)] if fee_usd_e6 else []
    tokens: list[tuple[str, str, int]] = []
    collateral_usd_e6 = 0
    for fill in execution.fills:
        taker_usd_e6 = notional_usd_e6(fill.size_e6, execution.price_e4, taker.side)
        maker_usd_e6 = maker_notional_usd_e6(fill, taker, taker_usd_e6)
        for order, usd_e6 in ((taker, taker_usd_e6), (fill.maker, maker_usd_e6)):
            sign = 1 if order.side is Side.BUY else -1
            cash.append((order.wallet, -sign * usd_e6))
            tokens.append((order.wallet, order.token, sign * fill.size_e6))
        collateral_usd_e6 += _set_change_e6(fill, taker)
    return Movement(
        market.facts.condition_id,
        tuple(cash),
        tuple(tokens),
        collateral_usd_e6,
        fee_usd_e6,
        taker.wallet if fee_usd_e6 else "",
    )


def _set_change_e6(fill: Fill, taker: Order) -> int:
    """Sets minted (positive) or merged (negative) by one fill."""
    if fill.maker.outcome is taker.outcome:
        return 0
    return fill.size_e6 if taker.side is Side.BUY else -fill.size_e6
