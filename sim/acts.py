"""What a rule can do to the venue itself: one struct for each act. `stagehand` carries them out.

`market` may be a condition id, a token id or a slug. An empty `market` or `wallet` means the one of
whatever passes by where the rule stands; by the clock an empty `wallet` means every user's wallet.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shm.units import UnitError, parse_fixed, parse_price_e4
from sim.effects import Millis, Moment

Place = Literal["market", "user"]
ALL = "all"


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Base of all acts. `moment` matters for requests only: before or after they are handled."""

    moment: Moment = "before"


def _usd(text: str) -> str:
    """The text, if it is an amount in dollars or "all"; else `ValueError`."""
    try:
        if text != ALL:
            parse_fixed(text, 6)
    except UnitError as error:
        raise ValueError(f'an amount like "12.5" or "all" is wanted: {error}') from error
    return text


class RestartEngine(Act, frozen=True, tag="restart_engine"):
    """425 on the order endpoints for `down_ms`, then post-only mode for `post_only_ms`.

    In post-only mode a batch is answered element by element, with `batch` "503" as a whole.
    """

    down_ms: Millis = 90_000
    post_only_ms: Millis = 120_000
    batch: Literal["elements", "503"] = "elements"


class SetMode(Act, frozen=True, tag="mode"):
    """The engine is in a mode, for `ms` or until further notice."""

    mode: Literal["normal", "restarting", "post_only", "cancel_only", "disabled"]
    ms: Millis | None = None
    batch: Literal["elements", "503"] = "elements"


class SetStanding(Act, frozen=True, tag="standing"):
    """The account of `wallet`'s signer is in closed-only mode, banned, or normal again."""

    standing: Literal["normal", "closed_only", "banned"]
    wallet: str = ""


class Geoblock(Act, frozen=True, tag="geoblock"):
    """Orders are refused with 403, as from a forbidden region."""

    on: bool = True


class LimitRates(Act, frozen=True, tag="limit_rates"):
    """Token buckets for each signer; without `enforce` there are warnings in headers only."""

    on: bool = True
    enforce: bool = True
    tier: str = "Standard"
    orders_per_s: Annotated[int, Meta(ge=1, le=100_000)] = 40
    orders_burst: Annotated[int, Meta(ge=1, le=100_000)] = 60
    cancels_per_s: Annotated[int, Meta(ge=1, le=100_000)] = 80
    cancels_burst: Annotated[int, Meta(ge=1, le=100_000)] = 120


class SetTick(Act, frozen=True, tag="tick"):
    """The market's tick changes; it is told on the market channel."""

    tick: Literal["0.1", "0.01", "0.001", "0.0001"]
    market: str = ""


class SetFee(Act, frozen=True, tag="fee"):
    """The market's fee rate changes; only REST tells it."""

    rate: str
    market: str = ""

    def __post_init__(self) -> None:
        try:
            parse_price_e4(self.rate)
        except UnitError as error:
            raise ValueError(f'a rate like "0.07" is wanted: {error}') from error


class SetAccepting(Act, frozen=True, tag="accepting"):
    """The market stops or starts to take orders; what rests, rests."""

    on: bool
    market: str = ""


class Resolve(Act, frozen=True, tag="resolve"):
    """The market ends, is told as resolved, and pays unless `pay` is false. SPLIT is 50-50."""

    winner: Literal["YES", "NO", "SPLIT"]
    market: str = ""
    pay: bool = True


class TakerDelay(Act, frozen=True, tag="taker_delay"):
    """The market holds each taker's POST for `ms` and checks again then (`itode`); 0 ends it."""

    ms: Annotated[int, Meta(ge=0, le=60_000)]
    market: str = ""


class Withdraw(Act, frozen=True, tag="withdraw"):
    """Somebody takes cash, or shares of a token, out of the wallet by hand."""

    usd: str = "0"
    wallet: str = ""
    token: str = ""
    shares: str = "0"

    def __post_init__(self) -> None:
        _usd(self.usd)
        _usd(self.shares)


class Deposit(Act, frozen=True, tag="deposit"):
    """Somebody pays cash into the wallet, or splits it into a set of `shares` of the market."""

    usd: str = "0"
    wallet: str = ""
    market: str = ""
    shares: str = "0"

    def __post_init__(self) -> None:
        if ALL in (_usd(self.usd), _usd(self.shares)):
            raise ValueError("a deposit needs an amount")


Spender = Literal["all", "standard", "neg_risk", "position_ids", "adapter", "neg_risk_adapter"]
"""A contract that takes cash or shares, or every one of them (`spenders`)."""


class SetAllowance(Act, frozen=True, tag="allowance"):
    """The contract may take this much of the wallet's cash ("all" is the usual endless one)."""

    usd: str
    wallet: str = ""
    spender: Spender = "all"

    def __post_init__(self) -> None:
        _usd(self.usd)


class SetApproval(Act, frozen=True, tag="approval"):
    """The contract may take the wallet's shares, or may not: then nothing can be sold."""

    on: bool
    wallet: str = ""
    spender: Spender = "all"


class PhantomLock(Act, frozen=True, tag="phantom_lock"):
    """The venue counts this much cash as spoken for by "matched orders"; "0" ends it."""

    usd: str
    wallet: str = ""

    def __post_init__(self) -> None:
        if _usd(self.usd) == ALL:
            raise ValueError("a lock needs an amount")


class ManualOrder(Act, frozen=True, tag="manual_order"):
    """Somebody else places an order from the wallet, on the venue's web page.

    It takes what it can up to `price` (best price if empty); with `rest` the remainder stays.
    With `other_key` the wallet's API key hears nothing of it.
    """

    token: str
    side: Literal["BUY", "SELL"] = "BUY"
    shares: str = "10"
    price: str = ""
    rest: bool = False
    wallet: str = ""
    other_key: bool = False

    def __post_init__(self) -> None:
        if _usd(self.shares) == ALL:
            raise ValueError("an order needs a number of shares")
        if self.price:
            try:
                parse_price_e4(self.price)
            except UnitError as error:
                raise ValueError(str(error)) from error


class IndexRefused(Act, frozen=True, tag="index_refused"):
    """From here on a refused order's hash is a duplicate, too, once its signature was good."""

    on: bool = True


class SkewClock(Act, frozen=True, tag="skew_clock"):
    """The venue's clock, as GET /time and the check of request timestamps have it, is `ms` off."""

    ms: Annotated[int, Meta(ge=-86_400_000, le=86_400_000)]


class RevokeKeys(Act, frozen=True, tag="revoke_keys"):
    """All API keys of `wallet`'s signer are gone; its requests get 401."""

    wallet: str = ""


class HangUp(Act, frozen=True, tag="hang_up"):
    """All sockets of a channel are closed, by RST, FIN, or with a close code."""

    channel: Place
    how: Literal["fin", "rst"] = "rst"
    code: Annotated[int, Meta(ge=0, le=4999)] = 0


class Send(Act, frozen=True, tag="send"):
    """A text goes out on all sockets of a channel."""

    channel: Place
    text: str


AnyAct = (
    RestartEngine
    | SetMode
    | SetStanding
    | Geoblock
    | LimitRates
    | SetTick
    | SetFee
    | SetAccepting
    | Resolve
    | TakerDelay
    | Withdraw
    | Deposit
    | SetAllowance
    | SetApproval
    | PhantomLock
    | ManualOrder
    | IndexRefused
    | SkewClock
    | RevokeKeys
    | HangUp
    | Send
)
