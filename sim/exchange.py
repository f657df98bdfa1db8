"""The venue as pure operations: values and a time in, replies and events out.

One method for each thing that a client can ask for. No sockets and no clocks, so that tests, the
server and a paper mode that mirrors live books drive the same object.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

import msgspec

from sim import replies
from sim.auth import ApiKey, KeyRing
from sim.buckets import RateLimits
from sim.events import Event
from sim.faults import Faults
from sim.floor import Floor
from sim.heartbeats import Heartbeats
from sim.intake import Counters, Intake, Verdict
from sim.ledger import Ledger, Movement
from sim.market import Market
from sim.modes import Engine
from sim.order import Order, Outcome, Side, Status
from sim.story import tell_movement, tell_status
from sim.trades import GOOD_PATH, TRANSITIONS, Delays, Trade, TradeBook, TradeStatus
from sim.truth import Truth
from sim.userframes import trade_frames
from sim.wallets import SignatureType, wallet_of
from sim.wire import parse_submission

Raw = bytes | msgspec.Raw
PAYOUTS: dict[Outcome | None, tuple[str, str]] = {
    Outcome.YES: ("1", "0"),
    Outcome.NO: ("0", "1"),
    None: ("0.5", "0.5"),
}
"""Dollars that a share of (YES, NO) is worth after each way in which a market can end."""


@dataclass(frozen=True, slots=True)
class Canceled:
    """Which orders were cancelled and why the others were not."""

    canceled: list[str] = field(default_factory=list)
    not_canceled: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Exchange:
    """The whole venue. `opening_usd_e6` is what each wallet of a new EOA starts with."""

    def __init__(
        self, seed: int, opening_usd_e6: int, delays: Delays, truth: Truth | None = None
    ) -> None:
        self.seed = seed
        self.opening_usd_e6 = opening_usd_e6
        self.truth = truth or Truth()
        self.faults = Faults(seed, self.truth)
        self.engine = Engine()
        self.rates = RateLimits()
        self.keys = KeyRing(seed)
        ledger = Ledger()
        rng = Random(f"floor {seed}")
        self.floor = Floor(rng, ledger, TradeBook(delays), self.truth, self.faults)
        self.heartbeats = Heartbeats(Random(f"heartbeats {seed}"))
        self.wallets: dict[str, tuple[str, int]] = {}
        """Wallets of users, with the EOA behind each and its signature type."""
        self.by_token: dict[str, tuple[Market, Outcome]] = {}
        self.intake = Intake(self.floor, self.faults, self.engine, self.by_token)
        ledger.watch = self._tell_movement
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

    def resolve(
        self, condition_id: str, winner: Outcome | None, now_ms: int, *, pay: bool = True
    ) -> list[Event]:
        """Close a market for good: cancel what rests, settle what is under way, pay the winners.

        Payment is at once; on the venue somebody has to redeem after the oracle has spoken. Without
        a winner both tokens pay half; without `pay` nothing is paid and tokens stay where they are.
        """
        self.truth.ms = now_ms
        market = self.floor.markets[condition_id]
        resting = self.floor.register.open_in(condition_id)
        events = self.floor.withdraw(resting, Status.CANCELED_RESOLVED, now_ms)
        market.accepting = False
        market.payout = PAYOUTS[winner]
        for trade in list(self.floor.tape.by_id.values()):
            if trade.condition_id == condition_id:
                events += self._finish_trade(trade, now_ms)
        self.truth.record(
            "resolved",
            market=condition_id,
            winner="SPLIT" if winner is None else winner.name,
            paid=pay,
        )
        if pay:
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

    @property
    def counters(self) -> Counters:
        """What was counted of orders."""
        return self.intake.counters

    def place(
        self, key: ApiKey, raw: Raw, now_ms: int, leg: int = 1
    ) -> tuple[Verdict, list[Event]]:
        """One order, unparsed, of the owner of `key`; place `leg` of its batch."""
        self.truth.ms = now_ms
        self.counters.orders_received += 1
        submission = parse_submission(raw)
        if isinstance(submission, str):
            self.truth.record("order", accepted=False, why=submission, leg=leg, order_id="")
            return Verdict(error=submission), []
        return self.intake.submit(key, submission, now_ms, leg)

    def place_many(
        self, key: ApiKey, raws: Iterable[Raw], now_ms: int
    ) -> tuple[list[Verdict], list[Event]]:
        """A batch: executed one by one in a random order, answered in the order of the request."""
        elements = list(enumerate(raws))
        self._batch_rng.shuffle(elements)
        verdicts: dict[int, Verdict] = {}
        events: list[Event] = []
        for index, raw in elements:
            verdicts[index], caused = self.place(key, raw, now_ms, index + 1)
            events += caused
        return [verdicts[index] for index in range(len(verdicts))], events

    # Cancelling.

    def cancel(self, key: ApiKey, order_ids: Iterable[str], now_ms: int) -> Canceled:
        """Cancel orders of this key by hash; strangers' orders are not found."""
        result = Canceled()
        orders: list[Order] = []
        for order_id in dict.fromkeys(order_ids):
            order = self.floor.register.get(order_id)
            mine = order is not None and order.owner == key.key
            delayed = mine and order is not None and order.status is Status.DELAYED
            if order is not None and mine and order.status is Status.LIVE:
                orders.append(order)
            elif delayed or self.intake.holds(order_id):
                result.not_canceled[order_id] = replies.IN_DELAY
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
        result = Canceled()
        for order in orders:
            if order.status is Status.DELAYED:
                result.not_canceled[order.order_id] = replies.IN_DELAY
        return self._cancel(_live(orders), now_ms, result)

    def _cancel(self, orders: list[Order], now_ms: int, result: Canceled) -> Canceled:
        self.truth.ms = now_ms
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
        self.truth.ms = now_ms
        events = self.intake.advance(now_ms)
        for trade, status in self.floor.tape.due(now_ms):
            events += self.settle(trade, status, now_ms)
        expired = self.floor.register.expired(now_ms)
        events += self._withdraw(expired, Status.CANCELED_EXPIRED, now_ms)
        for owner in self.heartbeats.silent(now_ms):
            orders = _live(self.floor.register.open_of(owner))
            if orders:
                self.truth.record("heartbeat_lost", orders=[order.order_id for order in orders])
            events += self._withdraw(orders, Status.CANCELED, now_ms)
        return events

    def settle(self, trade: Trade, status: TradeStatus, now_ms: int) -> list[Event]:
        """Move a trade along its table; FAILED gives everything back.

        Orders that the reversal leaves without funds are removed as INVALID.
        """
        self.truth.ms = now_ms
        trade.become(status, now_ms)
        tell_status(self.truth, trade)
        events: list[Event] = list(trade_frames(trade))
        if status is TradeStatus.FAILED:
            self.floor.ledger.apply(trade.movement.reversed(), f"failed {trade.trade_id}")
            orders = [trade.taker, *(fill.maker for fill in trade.execution.fills)]
            for wallet in dict.fromkeys(order.wallet for order in orders if not order.house):
                events += self.drop_uncovered(wallet, now_ms)
        return events

    def drop_uncovered(self, wallet: str, now_ms: int) -> list[Event]:
        """Remove orders for which the wallet has no money or tokens any more, as INVALID."""
        return self._withdraw(self._uncovered(wallet), Status.INVALID, now_ms)

    def _finish_trade(self, trade: Trade, now_ms: int) -> list[Event]:
        events: list[Event] = []
        for status in GOOD_PATH:
            if status in TRANSITIONS[trade.status]:
                events += self.settle(trade, status, now_ms)
        return events

    def _tell_movement(self, cause: str, movement: Movement) -> None:
        tell_movement(self.truth, self.floor.ledger, self.wallets.keys(), cause, movement)

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


def _live(orders: list[Order]) -> list[Order]:
    return [order for order in orders if order.status is Status.LIVE]
