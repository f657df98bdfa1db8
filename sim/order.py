"""One order's life: its terms, its place in the book in YES terms, and the table of its states.

The venue keeps one book per market. An order for NO at q stands on the other side at 1 - q, which
is what `book_side` and `book_price_e4` hold; `price_e4` and `side` stay as they were signed.
"""

import enum
from dataclasses import dataclass, field

from shm.units import PRICE_ONE_E4


class Side(enum.StrEnum):
    """What the order does with its own token."""

    BUY = "BUY"
    SELL = "SELL"


class Outcome(enum.IntEnum):
    """Which of the market's two tokens; the index is the one used in Gamma's arrays."""

    YES = 0
    NO = 1


class Status(enum.StrEnum):
    """Where an order is; the texts are the venue's."""

    LIVE = "LIVE"
    DELAYED = "DELAYED"
    MATCHED = "MATCHED"
    CANCELED = "CANCELED"
    CANCELED_EXPIRED = "CANCELED_EXPIRED_ORDER"
    CANCELED_RESOLVED = "CANCELED_MARKET_RESOLVED"
    INVALID = "INVALID"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.DELAYED: frozenset(Status) - {Status.DELAYED, Status.MATCHED},
    Status.LIVE: frozenset(Status) - {Status.LIVE, Status.DELAYED},
    Status.MATCHED: frozenset(),
    Status.CANCELED: frozenset(),
    Status.CANCELED_EXPIRED: frozenset(),
    Status.CANCELED_RESOLVED: frozenset(),
    Status.INVALID: frozenset(),
}
"""Everything ends once: an order leaves LIVE for exactly one final state.

A DELAYED one is accepted and not in the book yet; it can only match after it has become LIVE.
"""
OPEN = frozenset({Status.LIVE, Status.DELAYED})


OUTCOME_TEXT = {Outcome.YES: "Yes", Outcome.NO: "No"}
OTHER_SIDE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
OTHER_OUTCOME = {Outcome.YES: Outcome.NO, Outcome.NO: Outcome.YES}


def own_price_e4(outcome: Outcome, yes_price_e4: int) -> int:
    """A YES price in the terms of one token, and back: the mapping is its own inverse."""
    return yes_price_e4 if outcome is Outcome.YES else PRICE_ONE_E4 - yes_price_e4


def in_yes_terms(outcome: Outcome, side: Side, price_e4: int) -> tuple[Side, int]:
    """Side and price of an order in the book of the market, which is held in YES terms."""
    own_side = side if outcome is Outcome.YES else OTHER_SIDE[side]
    return own_side, own_price_e4(outcome, price_e4)


@dataclass(slots=True, eq=False)
class Order:
    """An order that the venue has accepted.

    `owner` is an API key (the house has keys of its own), `wallet` the maker address that pays,
    `token` the id of the token that `outcome` names in the market `condition_id`. `outcome`, `side`
    and `price_e4` are the signed terms. Sizes in micro-shares.
    """

    order_id: str
    owner: str
    wallet: str
    condition_id: str
    token: str
    outcome: Outcome
    side: Side
    price_e4: int
    original_e6: int
    order_type: str
    created_ms: int
    expiration_s: int = 0
    house: bool = False
    matched_e6: int = 0
    status: Status = Status.LIVE
    trade_ids: list[str] = field(default_factory=list)
    book_side: Side = field(init=False)
    book_price_e4: int = field(init=False)

    def __post_init__(self) -> None:
        self.book_side, self.book_price_e4 = in_yes_terms(self.outcome, self.side, self.price_e4)

    @property
    def remaining_e6(self) -> int:
        """Micro-shares not matched yet."""
        return self.original_e6 - self.matched_e6

    def fill(self, size_e6: int) -> None:
        """Count a match of `size_e6`; `ValueError` when more than the rest or not live."""
        if self.status is not Status.LIVE or not 0 < size_e6 <= self.remaining_e6:
            raise ValueError(f"order {self.order_id} cannot fill {size_e6} in {self.status}")
        self.matched_e6 += size_e6

    def become(self, status: Status) -> None:
        """Move to `status`; `ValueError` when the table does not allow it."""
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"order {self.order_id}: {self.status} cannot become {status}")
        self.status = status
