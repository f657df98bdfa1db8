"""From a decision to signed bytes and the records that have to be written before they leave.

Everything about an order follows from what is ordered and from the number of its flight, which is
never used twice: the same intent can only ever be the same order.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from executor.amounts import limit_amounts
from executor.batch import Account, Batch, make_batch
from executor.flights import Flight
from executor.gate import Admitted, Shape, Situation, shape_of
from executor.legging import Plan, Standing
from executor.signing import SALT_BITS
from shm.codes import BasketKind, Exchange, Outcome, Purpose, Side
from shm.inventory import opposite
from shm.layout import Market, Signal
from shm.records import Basket, Intent, OrderKind
from shm.units import PRICE_ONE_E4

SALT_BYTES = SALT_BITS // 8
ORDER_TYPE = OrderKind.FOK
"""Baskets and repairs alike: an order that fills whole or not at all leaves no third outcome."""


class Wish(NamedTuple):
    """One order that is wanted."""

    market: Market
    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int
    tick_e4: int
    """As the book shows it: amounts are rounded by it."""


class Ready(NamedTuple):
    """A batch that is signed: what is written first, and what is sent then."""

    basket: Basket
    intents: list[Intent]
    request: bytes | memoryview
    """Valid until the next batch is built."""


class Launcher:
    """Builds batches for one wallet and one journal."""

    def __init__(self, account: Account, journal_id: int) -> None:
        wallet = account.signer.wallet
        self._batch: Batch = make_batch(account)
        self._seed = bytes.fromhex(wallet.maker[2:]) + journal_id.to_bytes(8, "big")
        self._signature_type = wallet.signature_type

    def salt(self, flight: int, leg: int) -> int:
        """The salt of an order: of its intent, and of nothing else."""
        intent = self._seed + flight.to_bytes(8, "big") + bytes([leg])
        return int.from_bytes(sha256(intent).digest()[:SALT_BYTES], "big")

    def build(self, flight: int, basket: Basket, wishes: Sequence[Wish]) -> Ready:
        """Sign the orders of a flight. `basket.created_ms` is their time."""
        timestamp_ms = basket.created_ms
        self._batch.start(timestamp_ms)
        intents = []
        for leg, wish in enumerate(wishes):
            market = wish.market
            token = market.yes_token if wish.outcome is Outcome.YES else market.no_token
            amounts = limit_amounts(wish.side, wish.price_e4, wish.size_e6, wish.tick_e4)
            salt = self.salt(flight, leg)
            order_hash, signature = self._batch.add(
                Exchange(market.exchange), wish.side, token, amounts, salt
            )
            intents.append(
                Intent(
                    salt=salt,
                    maker_amount=amounts[0],
                    taker_amount=amounts[1],
                    timestamp_ms=timestamp_ms,
                    size_e6=wish.size_e6,
                    row=market.row,
                    price_e4=wish.price_e4,
                    outcome=wish.outcome,
                    side=wish.side,
                    exchange=market.exchange,
                    order_type=ORDER_TYPE,
                    signature_type=self._signature_type,
                    order_hash=order_hash,
                    token=token,
                    signature=signature,
                )
            )
        return Ready(basket, intents, self._batch.finish(timestamp_ms // 1_000))


def made_ready(
    launcher: Launcher, number: int, signal: Signal, admitted: Admitted, situation: Situation,
    *, now_ms: int,
) -> Ready:  # fmt: skip
    """A signal that was admitted, signed as flight `number`; sent, or only rehearsed."""
    shape = shape_of(signal, situation)
    wishes = wishes_of(signal, admitted, shape, situation.ticks_e4)
    basket = basket_of(signal, admitted, shape.markets[0].group, now_ms)
    return launcher.build(number, basket, wishes)


def basket_of(signal: Signal, admitted: Admitted, group: int, now_ms: int) -> Basket:
    """A signal that was admitted, as a flight."""
    return Basket(
        signal=signal.signal,
        basket=signal.basket,
        parent=0,
        payout_e4=signal.payout_e4,
        size_e6=admitted.size_e6,
        reserved_usd_e6=admitted.reserve_usd_e6,
        limit_net_e8=signal.limit_net_e8,
        created_ms=now_ms,
        group=group,
        kind=signal.kind,
        purpose=Purpose.BASKET,
        leg_count=signal.leg_count,
    )


def wishes_of(
    signal: Signal, admitted: Admitted, shape: Shape, ticks_e4: Mapping[int, int]
) -> list[Wish]:
    """The orders of a signal, each in the form that was chosen for it."""
    wishes = [
        Wish(market, outcome, Side.BUY, price_e4, admitted.size_e6, ticks_e4[market.row])
        for market, outcome, price_e4 in zip(
            shape.markets, shape.outcomes, signal.leg_price_e4, strict=False
        )
    ]
    if not admitted.sold:
        return wishes
    return [mirrored(wish) if leg in admitted.sold else wish for leg, wish in enumerate(wishes)]


def mirrored(wish: Wish) -> Wish:
    """The other form of the same trade: the opposite token, the other side, one less the price."""
    return wish._replace(
        outcome=opposite(wish.outcome),
        side=Side.SELL if wish.side is Side.BUY else Side.BUY,
        price_e4=PRICE_ONE_E4 - wish.price_e4,
    )


def repair_of(parent: Flight, plan: Plan, now_ms: int) -> Basket:
    """What completes or unwinds a basket, as a flight."""
    return Basket(
        signal=0,
        basket=parent.basket,
        parent=parent.id,
        payout_e4=parent.payout_e4,
        size_e6=max((order.size_e6 for order in plan.orders), default=0),
        reserved_usd_e6=plan.cost_usd_e6,
        limit_net_e8=0,
        created_ms=now_ms,
        group=parent.group,
        kind=BasketKind(parent.kind),
        purpose=Purpose.REPAIR,
        leg_count=len(plan.orders),
    )


def repair_wishes(plan: Plan, legs: Sequence[Standing]) -> list[Wish]:
    """The orders of a plan for a basket whose legs stand like this."""
    wishes = [
        Wish(
            market=legs[order.leg].market,
            outcome=legs[order.leg].outcome,
            side=order.side,
            price_e4=order.limit_e4,
            size_e6=order.size_e6,
            tick_e4=legs[order.leg].tick_e4,
        )
        for order in plan.orders
    ]
    pairs = zip(plan.orders, wishes, strict=True)
    return [mirrored(wish) if order.mirrored else wish for order, wish in pairs]
