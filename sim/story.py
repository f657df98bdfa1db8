"""Orders, trades and movements as lines of the truth log: one function for each kind of line."""

from collections.abc import Set as AbstractSet
from typing import Any

from sim.ledger import Ledger, Movement
from sim.order import Order
from sim.trades import Trade
from sim.truth import Truth


def tell_movement(
    truth: Truth, ledger: Ledger, users: AbstractSet[str], cause: str, by: Movement
) -> None:
    """A change of balances, if it touches a user's wallet; with what users have afterwards."""
    touched = {wallet for wallet, _ in by.cash} | {wallet for wallet, _, _ in by.tokens}
    mine = sorted(touched & users)
    if not mine:
        return
    tokens = sorted({(wallet, token) for wallet, token, _ in by.tokens if wallet in users})
    truth.record(
        "balance",
        cause=cause,
        market=by.condition_id,
        cash=by.cash,
        tokens=by.tokens,
        collateral_usd_e6=by.collateral_usd_e6,
        fee_usd_e6=by.fee_usd_e6,
        cash_after={wallet: ledger.cash_usd_e6(wallet) for wallet in mine},
        tokens_after=[
            [wallet, token, ledger.position_e6(wallet, token)] for wallet, token in tokens
        ],
    )


def terms_of(order: Order) -> dict[str, Any]:
    """What an order asks for."""
    return {
        "order_id": order.order_id,
        "wallet": order.wallet,
        "market": order.condition_id,
        "token": order.token,
        "side": str(order.side),
        "price_e4": order.price_e4,
        "size_e6": order.original_e6,
        "order_type": order.order_type,
    }


def tell_end(truth: Truth, order: Order, sentence: str) -> None:
    """A user's order has reached a final state."""
    truth.record(
        "order_end",
        order_id=order.order_id,
        wallet=order.wallet,
        status=sentence or str(order.status),
        matched_e6=order.matched_e6,
        original_e6=order.original_e6,
    )


def tell_trade(truth: Truth, trade: Trade, fee_rate_e6: int) -> None:
    """A match with a user in it, with every party's part."""
    parties = [_part(trade.taker, trade.execution.size_e6, "TAKER")]
    parties += [_part(fill.maker, fill.size_e6, "MAKER") for fill in trade.execution.fills]
    truth.record(
        "trade",
        trade_id=trade.trade_id,
        market=trade.condition_id,
        token=trade.taker.token,
        side=str(trade.taker.side),
        price_e4=trade.execution.price_e4,
        size_e6=trade.execution.size_e6,
        fee_usd_e6=trade.movement.fee_usd_e6,
        fee_rate_e6=fee_rate_e6,
        parties=parties,
    )


def tell_status(truth: Truth, trade: Trade) -> None:
    """A trade has moved on."""
    truth.record(
        "trade_status",
        trade_id=trade.trade_id,
        status=str(trade.status),
        transaction_hash=trade.transaction_hash,
    )


def _part(order: Order, size_e6: int, role: str) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "wallet": order.wallet,
        "house": order.house,
        "token": order.token,
        "side": str(order.side),
        "price_e4": order.price_e4,
        "size_e6": size_e6,
        "role": role,
    }
