"""Whether an order is accepted: a table of named checks, in the order in which the venue refuses.

Each check looks at a `Candidate` and returns the text of refusal, or "" when it has nothing to
say. Nothing here changes anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shm.units import PRICE_ONE_E4, SHARE_E6, USD_E6, ceil_div, format_fixed, format_size
from sim import replies
from sim.auth import ApiKey
from sim.book import PRICE_TEXT
from sim.fees import taker_fee_usd_e6
from sim.floor import Floor
from sim.limits import GTD_SAFETY_MS, MAX_OPEN_ORDERS_PER_WALLET
from sim.market import Market
from sim.matching import is_marketable, notional_usd_e6, plan
from sim.order import Order, Outcome, Side
from sim.restraints import Standing
from sim.spenders import spender_of
from sim.verify import domain_of, is_signed_by, order_hash, order_message
from sim.wallets import SignatureType, wallet_of
from sim.wire import IMMEDIATE, SignedOrder, Submission

CENT_E6 = 10_000
FOUR_DECIMALS_E6 = 100
MARKETABLE_MIN_USD_E6 = USD_E6


@dataclass(slots=True)
class Candidate:
    """A submission on its way to the book.

    `order_id` is empty until the market, and with it the signing domain, is known; `price_e4` is 0
    until the amounts were understood.
    """

    submission: Submission
    key: ApiKey
    floor: Floor
    market: Market | None
    outcome: Outcome
    now_ms: int
    order_id: str = field(init=False, default="")
    price_e4: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.market is not None:
            message = order_message(self.signed, domain_of(self.market.facts))
            self.order_id = order_hash(message)
            tick_e4 = self.market.tick_e4
            self.price_e4 = price_of(self.signed, tick_e4, immediate=self.immediate) or 0

    @property
    def signed(self) -> SignedOrder:
        """The signed part."""
        return self.submission.order

    @property
    def immediate(self) -> bool:
        """Whether it is FOK or FAK."""
        return self.submission.order_type in IMMEDIATE

    @property
    def size_e6(self) -> int:
        """The share side of the amounts."""
        return shares_e6(self.signed)

    def venue(self) -> Market:
        """The market; only checks after `_book_exists` may ask."""
        if self.market is None:
            raise ValueError("the candidate has no market")
        return self.market

    def order(self) -> Order:
        """The order as it would go to the book."""
        facts = self.venue().facts
        return Order(
            order_id=self.order_id,
            owner=self.key.key,
            wallet=self.signed.maker,
            condition_id=facts.condition_id,
            token=facts.tokens[self.outcome],
            outcome=self.outcome,
            side=self.signed.side,
            price_e4=self.price_e4,
            original_e6=self.size_e6,
            order_type=self.submission.order_type,
            created_ms=self.now_ms,
            expiration_s=self.signed.expiration_s,
        )


def shares_e6(order: SignedOrder) -> int:
    """Shares of an order: what a BUY takes and a SELL makes."""
    return order.taker_amount if order.side is Side.BUY else order.maker_amount


def money_usd_e6(order: SignedOrder) -> int:
    """Money of an order: what a BUY makes and a SELL takes."""
    return order.maker_amount if order.side is Side.BUY else order.taker_amount


def price_of(order: SignedOrder, tick_e4: int, *, immediate: bool) -> int | None:
    """Limit price on the tick that the amounts mean, or None when they mean none.

    Resting orders have to state it exactly. The amounts of market orders are rounded by the
    clients (protocol.md D.5), shares of a BUY and money of a SELL down to at most four decimals:
    the price is the tick next to the ratio, and the difference may be no more than that rounding.
    """
    shares, money = shares_e6(order), money_usd_e6(order)
    exact_e4, fraction = divmod(money * PRICE_ONE_E4, shares)
    ticks, beside = divmod(exact_e4, tick_e4)
    on_tick = fraction == 0 and beside == 0
    if not on_tick and not immediate:
        return None
    up = order.side is Side.SELL and not on_tick
    price_e4 = (ticks + 1 if up else ticks) * tick_e4
    if not tick_e4 <= price_e4 <= PRICE_ONE_E4 - tick_e4:
        return None
    off_e10 = abs(money * PRICE_ONE_E4 - shares * price_e4)
    # One unit of rounding is 100 micro-shares at that price, or 100 micro-dollars.
    unit_e10 = FOUR_DECIMALS_E6 * (price_e4 if order.side is Side.BUY else PRICE_ONE_E4)
    return price_e4 if off_e10 < unit_e10 + PRICE_ONE_E4 or on_tick else None


def refusal(candidate: Candidate) -> str:
    """The first refusal of the table, or "" when the order may go to the book."""
    for check in CHECKS.values():
        text = check(candidate)
        if text:
            return text
    return ""


def _standing(candidate: Candidate) -> str:
    address = candidate.key.address
    standing = candidate.floor.restraints.standing(address)
    if standing is Standing.BANNED:
        return replies.BANNED.format(address=address)
    closing = candidate.signed.side is Side.SELL
    if standing is Standing.CLOSED_ONLY and not closing:
        return replies.CLOSED_ONLY.format(address=address)
    return ""


def _owner(candidate: Candidate) -> str:
    return "" if candidate.submission.owner == candidate.key.key else replies.WRONG_OWNER


def _signer(candidate: Candidate) -> str:
    signed = candidate.signed
    deposit = signed.signature_type is SignatureType.DEPOSIT
    # A deposit wallet signs for itself; the key behind it is checked with the signature.
    expected = signed.maker if deposit else candidate.key.address
    return "" if signed.signer == expected else replies.WRONG_SIGNER


def _maker(candidate: Candidate) -> str:
    signed = candidate.signed
    expected = wallet_of(candidate.key.address, signed.signature_type)
    return "" if signed.maker == expected else replies.WRONG_MAKER


def _book_exists(candidate: Candidate) -> str:
    if candidate.market is None:
        return replies.NO_SUCH_BOOK.format(token=candidate.signed.token_id)
    return "" if candidate.market.accepting else replies.NOT_READY


def _expiration(candidate: Candidate) -> str:
    expiration_s = candidate.signed.expiration_s
    if candidate.submission.order_type != "GTD":
        return "" if expiration_s == 0 else replies.BAD_EXPIRATION
    lives = expiration_s * 1000 > candidate.now_ms + GTD_SAFETY_MS
    return "" if lives else replies.BAD_EXPIRATION


def _amounts(candidate: Candidate) -> str:
    if not candidate.immediate:
        return ""
    signed = candidate.signed
    if signed.maker_amount % CENT_E6 == 0 and signed.taker_amount % FOUR_DECIMALS_E6 == 0:
        return ""
    kind = "market buy" if signed.side is Side.BUY else "sell"
    return replies.BAD_AMOUNTS.format(kind=kind)


def _tick(candidate: Candidate) -> str:
    if candidate.price_e4:
        return ""
    ratio_e6 = money_usd_e6(candidate.signed) * SHARE_E6 // candidate.size_e6
    return replies.BAD_TICK.format(
        id=candidate.order_id,
        price=format_fixed(ratio_e6, 6),
        tick=PRICE_TEXT[candidate.venue().tick_e4],
    )


def _size(candidate: Candidate) -> str:
    least_e6 = candidate.venue().facts.min_size_e6
    if candidate.size_e6 >= least_e6:
        return ""
    return replies.BAD_SIZE.format(
        id=candidate.order_id, size=format_size(candidate.size_e6), min=format_size(least_e6)
    )


def _signature(candidate: Candidate) -> str:
    domain = domain_of(candidate.venue().facts)
    signed = is_signed_by(candidate.signed, domain, candidate.key.address)
    return "" if signed else replies.BAD_SIGNATURE


def _duplicate(candidate: Candidate) -> str:
    if not candidate.floor.register.knows(candidate.order_id):
        return ""
    return replies.DUPLICATED.format(id=candidate.order_id)


def _open_orders(candidate: Candidate) -> str:
    open_now = candidate.floor.register.count_open(candidate.signed.maker)
    return "" if open_now < MAX_OPEN_ORDERS_PER_WALLET else replies.TOO_MANY_OPEN


def _post_only(candidate: Candidate) -> str:
    if not candidate.submission.post_only:
        return ""
    crossing = is_marketable(candidate.venue().book, candidate.order())
    return replies.POST_ONLY_CROSSES if crossing else ""


def _marketable_value(candidate: Candidate) -> str:
    usd_e6 = money_usd_e6(candidate.signed)
    if usd_e6 >= MARKETABLE_MIN_USD_E6:
        return ""
    if not candidate.immediate and not is_marketable(candidate.venue().book, candidate.order()):
        return ""
    return replies.BAD_VALUE.format(side=candidate.signed.side, usd=format_size(usd_e6))


def _funds(candidate: Candidate) -> str:
    order, floor = candidate.order(), candidate.floor
    spender = spender_of(candidate.venue().facts)
    if order.side is Side.SELL:
        if not floor.restraints.approved(order.wallet, spender):
            return replies.NO_FUNDS
        held_e6 = floor.ledger.position_e6(order.wallet, order.token)
        free_e6 = held_e6 - floor.register.reserved_e6(order.wallet, order.token)
        return "" if order.original_e6 <= free_e6 else replies.NO_FUNDS
    restraints = floor.restraints
    cash_usd_e6 = floor.ledger.cash_usd_e6(order.wallet)
    free_usd_e6 = restraints.usable_usd_e6(order.wallet, spender, cash_usd_e6)
    free_usd_e6 -= floor.register.reserved_usd_e6(order.wallet)
    needed = needed_usd_e6(candidate.venue(), order)
    if needed > free_usd_e6:
        return replies.NO_FUNDS
    locked_usd_e6 = restraints.locked_usd_e6(order.wallet)
    if needed > free_usd_e6 - locked_usd_e6:
        return replies.PHANTOM_LOCK.format(
            balance=cash_usd_e6, matched=locked_usd_e6, amount=needed
        )
    return ""


def needed_usd_e6(market: Market, order: Order) -> int:
    """Cash that a BUY may cost at most: at its limit, or as the book stands now, with fees.

    Each trade's fee is rounded by itself, so the present book can come out dearer by a hair.
    """
    rate_e6 = market.facts.fee_rate_e6
    cost = ceil_div(order.original_e6 * order.price_e4, PRICE_ONE_E4)
    at_limit = cost + taker_fee_usd_e6(order.original_e6, order.price_e4, rate_e6)
    match = plan(market.book, order)
    now = ceil_div(match.unfilled_e6 * order.price_e4, PRICE_ONE_E4)
    for execution in match.executions:
        now += taker_fee_usd_e6(execution.size_e6, execution.price_e4, rate_e6)
        for fill in execution.fills:
            now += notional_usd_e6(fill.size_e6, execution.price_e4, Side.BUY)
    return max(at_limit, now)


CHECKS: dict[str, Callable[[Candidate], str]] = {
    "standing": _standing,
    "owner": _owner,
    "signer": _signer,
    "maker": _maker,
    "book exists": _book_exists,
    "expiration": _expiration,
    "amounts": _amounts,
    "tick": _tick,
    "size": _size,
    "signature": _signature,
    "duplicate": _duplicate,
    "open orders": _open_orders,
    "post-only": _post_only,
    "marketable value": _marketable_value,
    "funds": _funds,
}
"""Order of refusal. Cheap questions first; nobody learns about funds without a signature."""
