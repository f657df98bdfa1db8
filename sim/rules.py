"""The language of faults: a rule is a place, a condition and an effect; files and bodies of them.

    [[rules]]
    name = "the second batch is accepted, and nobody hears of it"
    at = "POST /orders"
    when = { nth = 2 }
    then = { do = "lose" }

Unknown keys, numbers out of range and effects that make no sense at their place are refused with
the place in the file. docs/simulator.md has an example of every effect.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shm.errors import ConfigError
from sim import effects
from sim.acts import Act, AnyAct, Deposit, Resolve, SetAccepting, SetFee, SetTick, TakerDelay
from sim.effects import AnyEffect, Millis

PLACING = ("POST /order", "POST /orders")
CANCELLING = (
    "DELETE /order",
    "DELETE /orders",
    "DELETE /cancel-all",
    "DELETE /cancel-market-orders",
)
ACCOUNT = (
    "POST /auth/api-key",
    "GET /auth/derive-api-key",
    "GET /auth/api-keys",
    "DELETE /auth/api-key",
    "GET /auth/ban-status/closed-only",
    "GET /balance-allowance",
    "GET /balance-allowance/update",
    "GET /data/orders",
    "GET /data/order/{id}",
    "GET /data/trades",
    "POST /v1/heartbeats",
)
PUBLIC = (
    "GET /book",
    "POST /books",
    "GET /price",
    "GET /midpoint",
    "GET /spread",
    "GET /tick-size",
    "GET /neg-risk",
    "GET /fee-rate",
    "GET /last-trade-price",
    "GET /markets-by-token/{token_id}",
    "GET /clob-markets/{condition_id}",
    "GET /time",
    "GET /ok",
    "GET /version",
)
GAMMA = (
    "GET /events",
    "GET /events/keyset",
    "GET /events/slug/{slug}",
    "GET /events/{id}",
    "GET /markets",
    "GET /markets/keyset",
    "GET /markets/slug/{slug}",
    "GET /markets/{id}",
)
UPGRADES = ("GET /ws/market", "GET /ws/user")
GROUPS = {
    "placing": PLACING,
    "cancelling": CANCELLING,
    "account": ACCOUNT,
    "public": PUBLIC,
    "gamma": GAMMA,
    "rest": PLACING + CANCELLING + ACCOUNT + PUBLIC + GAMMA,
    "upgrade": UPGRADES,
}
"""Names for several endpoints at once; a test compares them with the routes of the server."""

ORDER, TRADE, USER, MARKET, SUBSCRIBE, PING, CLOCK = (
    "order",
    "trade",
    "user",
    "market",
    "subscribe",
    "ping",
    "clock",
)
_ELSEWHERE: dict[str, tuple[type, ...]] = {
    ORDER: (*effects.OF_ORDERS, Act),
    TRADE: (*effects.OF_TRADES, Act),
    USER: (*effects.OF_FRAMES, *effects.OF_USER_FRAMES, Act),
    MARKET: (*effects.OF_FRAMES, *effects.OF_MARKET_FRAMES, Act),
    SUBSCRIBE: (*effects.OF_SUBSCRIPTIONS, Act),
    PING: (*effects.OF_PINGS, Act),
    CLOCK: (Act,),
}
_NEED_A_MARKET = (SetTick, SetFee, SetAccepting, Resolve, TakerDelay)

Number = Annotated[int, Meta(ge=1, le=10**9)]


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the things that pass a place are meant; everything that is given must hold.

    Filters first (a request is meant if one of its orders is); what passes them is counted, and
    `nth`, `every` and `chance` choose by that count. Times are since the rule was added.
    """

    wallet: str = ""
    market: str = ""
    token: str = ""
    side: Literal["", "BUY", "SELL"] = ""
    leg: Number | None = None
    order_type: Literal["", "GTC", "GTD", "FOK", "FAK"] = ""
    event: str = ""
    status: str = ""
    socket: Number | None = None

    nth: Number | tuple[Number, ...] | None = None
    every: Number | None = None
    chance: Annotated[float, Meta(gt=0, le=1)] | None = None

    once: bool = False
    count: Number | None = None
    from_ms: Millis = 0
    until_ms: Millis | None = None

    def __post_init__(self) -> None:
        if self.once and self.count is not None:
            raise ValueError("`once` and `count` exclude each other")
        if self.until_ms is not None and self.until_ms <= self.from_ms:
            raise ValueError("`until_ms` must be after `from_ms`")

    def most(self) -> int | None:
        """How often the rule may act; None for any number of times."""
        return 1 if self.once else self.count


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the script."""

    at: str
    then: AnyEffect | AnyAct
    when: When = When()
    name: str = ""

    def __post_init__(self) -> None:
        allowed = allowed_at(self.at)
        if not allowed:
            raise ValueError(f"unknown place {self.at!r}; see docs/simulator.md")
        possible = isinstance(self.then, allowed)
        if not possible:
            raise ValueError(f"{word_of(self.then)!r} is not possible at {self.at!r}")
        if self.at == CLOCK and _lacks_market(self.then):
            raise ValueError(f"{word_of(self.then)!r} by the clock has to name its market")


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of rules."""

    rules: tuple[Rule, ...] = ()


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /sim/faults: remove rules by name (or "all"), then add others."""

    clear: tuple[str, ...] | Literal["all"] = ()
    add: tuple[Rule, ...] = ()


def word_of(then: Any) -> str:
    """The word that stands for an effect or act in a file."""
    return str(then.__struct_config__.tag)


def places_of(at: str) -> tuple[str, ...]:
    """The single places that a rule's place means; empty when it means none."""
    if at in GROUPS:
        return GROUPS[at]
    known = at in _ELSEWHERE or at in GROUPS["rest"] or at in UPGRADES
    return (at,) if known else ()


def allowed_at(at: str) -> tuple[type, ...]:
    """What may be done at a place; empty when there is no such place."""
    if at in _ELSEWHERE:
        return _ELSEWHERE[at]
    places = places_of(at)
    if not places:
        return ()
    if set(places) <= set(UPGRADES):
        return (*effects.OF_UPGRADES, Act)
    allowed: tuple[type, ...] = (*effects.OF_REQUESTS, Act)
    if set(places) <= set(PLACING):
        allowed += effects.OF_PLACING
    if set(places) <= set(CANCELLING):
        allowed += effects.OF_CANCELLING
    return allowed


def _lacks_market(then: Any) -> bool:
    if isinstance(then, Deposit):
        return then.shares != "0" and not then.market
    return isinstance(then, _NEED_A_MARKET) and not then.market


def read_script(path: Path) -> tuple[Rule, ...]:
    """The rules of a JSON or TOML file; `ConfigError` that names the file and the place in it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--faults {path}: {error.strerror}") from error
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
    try:
        return decode(raw, type=Script).rules
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"--faults {path}: {error}") from error


def read_order(body: bytes) -> Order | str:
    """The body of POST /sim/faults, or what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
