"""The venue as pure operations: values and a time in, replies and events out.

One method for each thing that a client can ask for. No sockets and no clocks, so that tests, the
server and a paper mode that mirrors live books drive the same object.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from shm.units import format_size
from sim import replies
from sim.auth import ApiKey, KeyRing
from sim.checks import Candidate, refusal
from sim.events import Event
from sim.floor import Executed, Floor
from sim.heartbeats import Heartbeats
from sim.ledger import Ledger
from sim.limits import GTD_SAFETY_MS
from sim.market import Market
from sim.matching import notional_usd_e6
from sim.order import Order, Outcome, Side, Status
from sim.trades import GOOD_PATH, TRANSITIONS, Delays, Trade, TradeBook, TradeStatus
from sim.userframes import trade_frames
from sim.wallets import SignatureType, wallet_of
from sim.wire import Submission, parse_submission

Raw = bytes | msgspec.Raw


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one submission.

    An order is accepted only with an id and without an error; a killed one has both. `making` and
    `taking` are what was given and got in this match, in base units.
    """

    error: str = ""
    order_id: str = ""
    status: str = ""
    making_e6: int = 0
    taking_e6: int = 0
    trade_ids: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """The reply object; an element of POST /orders says success even when it failed."""
        return {
            "errorMsg": self.error,
            "orderID": self.order_id,
            "takingAmount": format_size(self.taking_e6) if self.trade_ids else "",
            "makingAmount": format_size(self.making_e6) if self.trade_ids else "",
            "status": self.status,
            "transactionsHashes": [],
            "tradeIDs": list(self.trade_ids),
            "success": True,
        }


@dataclass(frozen=True, slots=True)
class Canceled:
    """Which orders were cancelled and why the others were not."""

    canceled: list[str] = field(default_factory=list)
    not_canceled: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Counters:
    """What the admin page counts."""

    orders_received: int = 0
    orders_matched: int = 0


class Exchange:
    """The whole venue. `opening_usd_e6` is what each wallet of a new EOA starts with."""

    def __init__(self, seed: int, opening_usd_e6: int, delays: Delays) -> None:
        self.seed = seed
        self.opening_usd_e6 = opening_usd_e6
        self.keys = KeyRing(seed)
        self.floor = Floor(Random(f"floor {seed}"), Ledger(), TradeBook(delays))
        self.heartbeats = Heartbeats(Random(f"heartbeats {seed}"))
        self.counters = Counters()
        self.wallets: dict[str, tuple[str, int]] = {}
        """Wallets of users, with the EOA behind each and its signature type."""
        self.by_token: dict[str, tuple[Market, Outcome]] = {}
        self._batch_rng = Random(f"batches {seed}")

    # Markets.

    def list_market(self, market: Market) -> None:
        """Open a market for trading; `ValueError` when it is known."""
        condition_id = market.facts.condition_id
        if condition_id in self.floor.markets:
            raise ValueError(f"market {condition_id} is listed")
        self.floor.markets[condition_id] = market
        for outcome in Outcome:
            self.by_token[market.facts.tokens[outcome]] = (market, outcome)

    def open_market(self, token: str) -> tuple[Market, Outcome] | None:
        """Market and outcome of a token id that can be traded."""
        found = self.by_token.get(token)
        return found if found is not None and found[0].accepting else None

    def resolve(self, condition_id: str, winner: Outcome, now_ms: int) -> list[Event]:
        """Close a market for good: cancel what rests, settle what is under way, pay the winners.

        Payment is at once; on the venue somebody has to redeem after the oracle has spoken.
        """
        market = self.floor.markets[condition_id]
        resting = self.floor.register.open_in(condition_id)
        events = self.floor.withdraw(resting, Status.CANCELED_RESOLVED, now_ms)
        market.accepting = False
        for trade in list(self.floor.tape.by_id.values()):
            if trade.condition_id == condition_id:
                events += self._finish_trade(trade, now_ms)
        self.floor.ledger.redeem(condition_id, market.facts.tokens, winner)
        return events

    # Accounts.

    def create_key(self, address: str, nonce: int) -> ApiKey | None:
        """A new API key; the first one of an EOA opens and funds its four wallets."""
        known = bool(self.keys.of_address(address))
        key = self.keys.create(address, nonce)
        if key is not None and not known:
            for signature_type in SignatureType:
                wallet = wallet_of(address, signature_type)
                if wallet not in self.wallets:
                    self.wallets[wallet] = (address, int(signature_type))
                    self.floor.ledger.open_account(wallet, self.opening_usd_e6)
        return key

    # Orders.

    def place(self, key: ApiKey, raw: Raw, now_ms: int) -> tuple[Verdict, list[Event]]:
        """One order, unparsed, of the owner of `key`."""
        self.counters.orders_received += 1
        submission = parse_submission(raw)
        if isinstance(submission, str):
            return Verdict(error=submission), []
        return self.submit(key, submission, now_ms)

    def place_many(
        self, key: ApiKey, raws: Iterable[Raw], now_ms: int
    ) -> tuple[list[Verdict], list[Event]]:
        """A batch: executed one by one in a random order, answered in the order of the request."""
        elements = list(enumerate(raws))
        self._batch_rng.shuffle(elements)
        verdicts: dict[int, Verdict] = {}
        events: list[Event] = []
        for index, raw in elements:
            verdicts[index], caused = self.place(key, raw, now_ms)
            events += caused
        return [verdicts[index] for index in range(len(verdicts))], events

    def submit(
        self, key: ApiKey, submission: Submission, now_ms: int
    ) -> tuple[Verdict, list[Event]]:
        """A parsed order: the checks, then the book."""
        found = self.by_token.get(str(submission.order.token_id))
        market, outcome = found if found is not None else (None, Outcome.YES)
        candidate = Candidate(submission, key, self.floor, market, outcome, now_ms)
        error = refusal(candidate)
        if error:
            return Verdict(error=error), []
        order = candidate.order()
        drop_ms = order.expiration_s * 1000 - GTD_SAFETY_MS if order.expiration_s else None
        self.floor.register.add(order, drop_ms)
        if candidate.immediate:
            return self._execute_immediate(order, now_ms)
        done = self.floor.submit(order, now_ms, rest=True)
        return self._accepted(order, done), done.events

    def _execute_immediate(self, order: Order, now_ms: int) -> tuple[Verdict, list[Event]]:
        killed = self._killed(order)
        if killed:
            sentence = f"CANCELED_{killed}"
            events = self.floor.withdraw([order], Status.CANCELED, now_ms, sentence=sentence)
            return Verdict(error=killed, order_id=order.order_id), events
        done = self.floor.submit(order, now_ms, rest=False)
        events = done.events
        verdict = self._accepted(order, done)
        if order.status is Status.LIVE:
            events += self.floor.withdraw([order], Status.CANCELED, now_ms)
        return verdict, events

    def _killed(self, order: Order) -> str:
        match = self.floor.preview(order)
        if order.order_type == "FOK":
            return replies.FOK_KILLED if match.unfilled_e6 else ""
        return "" if match.filled_e6 else replies.FAK_KILLED

    def _accepted(self, order: Order, done: Executed) -> Verdict:
        if not done.trades:
            return Verdict(order_id=order.order_id, status="live")
        self.counters.orders_matched += 1
        shares = done.plan.filled_e6
        usd = sum(
            notional_usd_e6(fill.size_e6, execution.price_e4, order.side)
            for execution in done.plan.executions
            for fill in execution.fills
        )
        making, taking = (usd, shares) if order.side is Side.BUY else (shares, usd)
        ids = tuple(trade.trade_id for trade in done.trades)
        return Verdict("", order.order_id, "matched", making, taking, ids)

    # Cancelling.

    def cancel(self, key: ApiKey, order_ids: Iterable[str], now_ms: int) -> Canceled:
        """Cancel orders of this key by hash; strangers' orders are not found."""
        result = Canceled()
        orders: list[Order] = []
        for order_id in dict.fromkeys(order_ids):
            order = self.floor.register.get(order_id)
            mine = order is not None and order.owner == key.key
            if order is not None and mine and order.status is Status.LIVE:
                orders.append(order)
            else:
                result.not_canceled[order_id] = replies.NOT_CANCELED
        return self._cancel(orders, now_ms, result)

    def cancel_where(
        self, key: ApiKey, now_ms: int, *, market: str = "", asset_id: str = ""
    ) -> Canceled:
        """Cancel the open orders of this key in a market or a token; an empty filter passes all."""
        orders = [
            order
            for order in self.floor.register.open_of(key.key)
            if market in ("", order.condition_id) and asset_id in ("", order.token)
        ]
        return self._cancel(orders, now_ms, Canceled())

    def _cancel(self, orders: list[Order], now_ms: int, result: Canceled) -> Canceled:
        result.canceled.extend(order.order_id for order in orders)
        result.events.extend(self._withdraw(orders, Status.CANCELED, now_ms))
        return result

    def _withdraw(self, orders: list[Order], status: Status, now_ms: int) -> list[Event]:
        events: list[Event] = []
        for condition_id in dict.fromkeys(order.condition_id for order in orders):
            group = [order for order in orders if order.condition_id == condition_id]
            events += self.floor.withdraw(group, status, now_ms)
        return events

    # Time.

    def advance(self, now_ms: int) -> list[Event]:
        """What happens by itself: trades settle, GTD orders end, silent keys lose their orders."""
        events: list[Event] = []
        for trade, status in self.floor.tape.due(now_ms):
            events += self.settle(trade, status, now_ms)
        expired = self.floor.register.expired(now_ms)
        events += self._withdraw(expired, Status.CANCELED_EXPIRED, now_ms)
        for owner in self.heartbeats.silent(now_ms):
            orders = self.floor.register.open_of(owner)
            events += self._withdraw(orders, Status.CANCELED, now_ms)
        return events

    def settle(self, trade: Trade, status: TradeStatus, now_ms: int) -> list[Event]:
        """Move a trade along its table; FAILED gives everything back.

        Orders that the reversal leaves without funds are removed as INVALID.
        """
        trade.become(status, now_ms)
        events: list[Event] = list(trade_frames(trade))
        if status is TradeStatus.FAILED:
            self.floor.ledger.apply(trade.movement.reversed())
            orders = [trade.taker, *(fill.maker for fill in trade.execution.fills)]
            for wallet in dict.fromkeys(order.wallet for order in orders if not order.house):
                events += self._withdraw(self._uncovered(wallet), Status.INVALID, now_ms)
        return events

    def _finish_trade(self, trade: Trade, now_ms: int) -> list[Event]:
        events: list[Event] = []
        for status in GOOD_PATH:
            if status in TRANSITIONS[trade.status]:
                events += self.settle(trade, status, now_ms)
        return events

    def _uncovered(self, wallet: str) -> list[Order]:
        ledger, register = self.floor.ledger, self.floor.register
        short_of_cash = register.reserved_usd_e6(wallet) > ledger.cash_usd_e6(wallet)
        return [
            order
            for order in register.open_of_wallet(wallet)
            if (order.side is Side.BUY and short_of_cash)
            or (
                order.side is Side.SELL
                and register.reserved_e6(wallet, order.token)
                > ledger.position_e6(wallet, order.token)
            )
        ]
