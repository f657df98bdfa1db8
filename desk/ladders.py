"""One market as two sources describe it -> the facts that are traded on, or a named refusal.

Pure. Whatever is said twice must agree: bounds and date in title, question, slug and heading;
tokens by outcome name, fee, neg-risk flag and version in Gamma's object and the CLOB's. What cannot
be read is refused with a reason and the words that led to it, never guessed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

import msgspec

from desk.calendar import COIN_NAMES, Expiry, Family, Horizon
from desk.gamma import (
    ClobMarket,
    GammaEvent,
    GammaMarket,
    ListedEvent,
    decode_market,
)
from desk.rules import Rule, Unread, fingerprint, read_rule
from desk.wording import (
    Bounds,
    bounds_in_title,
    in_event_slug,
    in_heading,
    in_question,
    in_slug,
    plain,
)
from shm.codes import Exchange, MarketKind, MarketState
from shm.errors import UNREADABLE
from shm.layout import Market
from shm.units import PRICE_ONE_E4, UnitError, parse_token_id

TAKER_DELAY_MS = 250
"""Length of the flagged delay, as documented: the interfaces only say that there is one."""
DELAY_MAX_MS = 3_600_000
SIZE_MAX = 10**6
_V2_ZERO_BITS = ((1 << 64) - 1) << 40
"""Token ids of protocol v2 have these bits clear, those of v1 practically never."""
_KINDS = {
    Family.ABOVE: {MarketKind.ABOVE},
    Family.PRICE: {MarketKind.RANGE, MarketKind.BELOW, MarketKind.TOP},
}


class Refusal(StrEnum):
    """Why a market is not traded."""

    NO_LADDER = "its event is no ladder of a known coin"
    NOT_TRADABLE = "not open for orders"
    UNKNOWN_TO_CLOB = "the CLOB does not know it (yet)"
    AUGMENTED = "outcomes may be added to its event while it trades"
    PLACEHOLDER = "a placeholder, not an outcome"
    BOUNDS = "bounds in title, question and slug cannot be read or differ"
    COIN = "about another coin than its event"
    FAMILY = "of another kind than its event"
    DATE = "about another date than its event ends on"
    END = "ends at another time than its event"
    RULE = "its resolution text is about another coin"
    TIES = "a price exactly on a bound counts otherwise than the payoff proofs assume"
    TOKENS = "no two tokens named Yes and No, the same in both sources"
    TICK = "unknown tick or minimum size"
    FEE = "fee unknown, or different in the two sources"
    NEG_RISK = "neg-risk flag unknown, or different in the two sources"
    CONTRACT = "unknown protocol version, or different in the two sources"
    IDENTITY = "malformed condition id"
    UNREADABLE = "its description is not of the known form"


@dataclass(frozen=True, slots=True)
class Refused:
    """A market that is left out, with the words that led to it."""

    condition: str
    slug: str
    question: str
    reason: Refusal
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """A market that may be traded, with row 0 still to be assigned, and the text it settles by."""

    market: Market
    rule: Rule | Unread
    text: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """Which ladder an event was found to belong to, by its name and end."""

    coin: str
    family: Family
    expiry: Expiry


@dataclass(frozen=True, slots=True)
class _No:
    """A refusal on its way up."""

    reason: Refusal
    detail: str = ""


def group_number(coin: str, expiry_ms: int, horizon: Horizon = Horizon.DAILY) -> int:
    """Group of all markets of one coin, expiry and horizon."""
    digest = blake2b(f"{coin}|{expiry_ms}|{horizon.value}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def ladder_of(event: GammaEvent | ListedEvent) -> Ladder | Refused:
    """Which ladder an event belongs to: title, slug and end must say the same.

    The resolution texts mean "the date specified in the title", so without a title that can be read
    there is no date. A slug of an unknown form says nothing.
    """
    heading, named = in_heading(event.title or ""), in_event_slug(event.slug)
    if heading is None:
        return _refused(event, Refusal.NO_LADDER)
    at = _instant(event.endDate)
    horizon = Horizon.DAILY if heading.when.hour is None else Horizon.HOURLY
    expiry = None if at is None else Expiry(at, horizon)
    if expiry is None or not expiry.is_regular:
        return _refused(event, Refusal.END, f"{event.endDate}")
    for said in (heading, named):
        if said is None:
            continue
        if (said.coin, said.family) != (heading.coin, heading.family):
            return _refused(event, Refusal.COIN, f"{event.title!r} is not {event.slug!r}")
        if not expiry.agrees_with(said.when):
            return _refused(event, Refusal.DATE, f"it ends {event.endDate}")
    return Ladder(heading.coin, heading.family, expiry)


def _refused(event: GammaEvent | ListedEvent, reason: Refusal, detail: str = "") -> Refused:
    return Refused("", event.slug, event.title or "", reason, detail)


def _instant(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if at.tzinfo is None else at.astimezone(UTC)


def decoded(raw: bytes, event: GammaEvent) -> GammaMarket | Refused:
    """A market of an event, or the refusal of what is none."""
    try:
        return decode_market(raw)
    except UNREADABLE as error:
        return _refused(event, Refusal.UNREADABLE, str(error))


def read_market(
    market: GammaMarket, clob: ClobMarket | None, event: GammaEvent, ladder: Ladder
) -> Facts | Refused:
    """One market of an event; `clob` is None if the CLOB does not know it."""
    facts = _read(market, clob, event, ladder)
    if isinstance(facts, _No):
        return Refused(market.conditionId, market.slug, market.question, facts.reason, facts.detail)
    return facts


def _read(
    market: GammaMarket, clob: ClobMarket | None, event: GammaEvent, ladder: Ladder
) -> Facts | _No:
    closed = _closed(market, clob, event)
    if closed:
        return closed
    assert clob is not None
    bounds = _bounds(market, event, ladder)
    if isinstance(bounds, _No):
        return bounds
    text = market.description or ""
    rule = read_rule(text, bounds.kind, ladder.expiry)
    if isinstance(rule, Rule):
        said = f"{rule.in_words()}; the text: {plain(text)}"
        if rule.pair.split("/")[0] != ladder.coin:
            return _No(Refusal.RULE, said)
        if not rule.usual:
            return _No(Refusal.TIES, said)
    condition = _condition(market.conditionId)
    if condition is None:
        return _No(Refusal.IDENTITY, market.conditionId)
    exchange = _exchange(market, clob, event)
    if isinstance(exchange, _No):
        return exchange
    tokens = _tokens(market, clob, exchange)
    if isinstance(tokens, _No):
        return tokens
    grid = _grid(market, clob)
    if grid is None:
        return _No(Refusal.TICK, f"tick {market.orderPriceMinTickSize}, size {market.orderMinSize}")
    fee_rate_e6 = _fee_rate_e6(market, clob)
    if isinstance(fee_rate_e6, _No):
        return fee_rate_e6
    key = int.from_bytes(condition[:8], "big")
    row = Market(
        key=key,
        lower_usd_e6=bounds.lower_usd_e6,
        upper_usd_e6=bounds.upper_usd_e6,
        expiry_ms=ladder.expiry.at_ms,
        min_size_e6=grid[1],
        # A rule that cannot be read equals no other: such a market pairs with nothing.
        fingerprint=fingerprint(rule, ladder.expiry) if isinstance(rule, Rule) else key,
        condition=condition,
        yes_token=tokens[0].to_bytes(32, "big"),
        no_token=tokens[1].to_bytes(32, "big"),
        row=0,
        group=group_number(ladder.coin, ladder.expiry.at_ms, ladder.expiry.horizon),
        kind=bounds.kind,
        state=MarketState.ACTIVE,
        exchange=exchange,
        tick_e4=grid[0],
        fee_rate_e6=fee_rate_e6,
        taker_delay_ms=_delay_ms(market, clob),
        coin=ladder.coin.encode(),
        slug=market.slug.encode()[:96],
    )
    return Facts(row, rule, text)


def _closed(market: GammaMarket, clob: ClobMarket | None, event: GammaEvent) -> _No | None:
    """Why it takes no orders, or never had an outcome."""
    if event.negRiskAugmented:
        return _No(Refusal.AUGMENTED)
    title = (market.groupItemTitle or "").strip()
    if market.negRiskOther or title.lower() == "other":
        return _No(Refusal.PLACEHOLDER, title)
    wanted = {
        "active": market.active is True,
        "enableOrderBook": market.enableOrderBook is True,
        "acceptingOrders": market.acceptingOrders is True,
        "not closed": market.closed is False,
        "not archived": market.archived is False,
    }
    missing = [name for name, given in wanted.items() if not given]
    if missing:
        return _No(Refusal.NOT_TRADABLE, f"not {', not '.join(missing)}".replace("not not ", ""))
    if clob is None:
        return _No(Refusal.UNKNOWN_TO_CLOB)
    return None if clob.ao else _No(Refusal.NOT_TRADABLE, "the CLOB takes no orders for it")


def _bounds(market: GammaMarket, event: GammaEvent, ladder: Ladder) -> Bounds | _No:
    """The bounds, if title, question and slug agree on them and on coin and date."""
    title = market.groupItemTitle or ""
    asked, named, bounds = (
        in_question(market.question),
        in_slug(market.slug),
        bounds_in_title(title),
    )
    if asked is None or bounds is None:
        return _No(Refusal.BOUNDS, f"{title!r}, {market.question!r}")
    for saying, text in ((asked, market.question), (named, market.slug)):
        if saying is None:  # only a slug may say nothing
            continue
        if saying.bounds != bounds:
            return _No(Refusal.BOUNDS, f"{title!r} is not {text!r}")
        if saying.coin != ladder.coin:
            return _No(Refusal.COIN, f"{text!r} is not about {COIN_NAMES[ladder.coin]}")
        if not ladder.expiry.agrees_with(saying.when):
            return _No(Refusal.DATE, f"{text!r} ends {event.endDate}")
    if bounds.kind not in _KINDS[ladder.family]:
        return _No(Refusal.FAMILY, f"{market.question!r} in {event.slug}")
    if bounds.lower_usd_e6 >= bounds.upper_usd_e6:
        return _No(Refusal.BOUNDS, f"{title!r} is empty")
    if _instant(market.endDate) != ladder.expiry.at:
        return _No(Refusal.END, f"{market.endDate}, the event {event.endDate}")
    return bounds


def _exchange(market: GammaMarket, clob: ClobMarket, event: GammaEvent) -> Exchange | _No:
    """The contract, by version and neg-risk flag; both must be known and said alike."""
    if market.version not in {"v1", "v2"} or clob.v not in {None, market.version}:
        return _No(Refusal.CONTRACT, f"version {market.version}, the CLOB says {clob.v}")
    flags = {market.negRisk, clob.nr, market.negRisk if event.negRisk is None else event.negRisk}
    if market.negRisk is None or len(flags) != 1:
        said = f"market {market.negRisk}, event {event.negRisk}, CLOB {clob.nr}"
        return _No(Refusal.NEG_RISK, said)
    if market.version == "v2":
        return Exchange.POSITION_IDS
    return Exchange.NEG_RISK if market.negRisk else Exchange.STANDARD


def _tokens(market: GammaMarket, clob: ClobMarket, exchange: Exchange) -> tuple[int, int] | _No:
    """(YES, NO) token ids, by the outcomes' names, alike in both sources."""
    second = exchange is Exchange.POSITION_IDS
    listed = market.positionIds if second else market.clobTokenIds
    try:
        names = [name.lower() for name in _strings(market.outcomes)]
        named = dict(zip(names, _strings(listed), strict=True))
        if named.keys() != {"yes", "no"}:
            return _No(Refusal.TOKENS, f"outcomes {market.outcomes}")
        tokens = parse_token_id(named["yes"]), parse_token_id(named["no"])
    except (msgspec.DecodeError, ValueError, UnitError) as error:
        return _No(Refusal.TOKENS, str(error))
    if clob.t is not None and {(one.o.lower(), one.t) for one in clob.t} != set(named.items()):
        return _No(Refusal.TOKENS, "the CLOB names others")
    if tokens[0] == tokens[1] or any((token & _V2_ZERO_BITS == 0) != second for token in tokens):
        return _No(Refusal.TOKENS, f"not the ids of version {market.version}")
    return tokens


def _strings(listed: str | list[str] | None) -> list[str]:
    if isinstance(listed, list):
        return listed
    return msgspec.json.decode(listed or "[]", type=list[str])


def _grid(market: GammaMarket, clob: ClobMarket) -> tuple[int, int] | None:
    """(tick_e4, min_size_e6). The CLOB's tick counts, as Gamma's is a cached one."""
    tick = market.orderPriceMinTickSize if clob.mts is None else clob.mts
    tick_e4 = _units(tick, 10_000, most=1)
    sizes = [size for size in (market.orderMinSize, clob.mos) if size is not None]
    sizes_e6 = [_units(size, 10**6, most=SIZE_MAX) for size in sizes]
    known_e6 = [size_e6 for size_e6 in sizes_e6 if size_e6]
    if not tick_e4 or tick_e4 >= PRICE_ONE_E4 or not known_e6 or len(known_e6) < len(sizes):
        return None
    return tick_e4, max(known_e6)


def _units(value: Decimal | None, scale: int, *, most: int) -> int | None:
    """`value` in units of 1/scale; None unless it is a number of them between 0 and `most`."""
    if value is None or not value.is_finite() or not 0 <= value <= most:
        return None
    scaled = value * scale
    return int(scaled) if scaled == scaled.to_integral_value() else None


def _fee_rate_e6(market: GammaMarket, clob: ClobMarket) -> int | _No:
    """Taker fee rate; the two sources must say the same, and makers pay nothing."""
    schedule, curve = market.feeSchedule, clob.fd
    said = f"Gamma {market.feesEnabled} {schedule}, the CLOB {curve}"
    if market.feesEnabled is None or (market.feesEnabled and schedule is None):
        return _No(Refusal.FEE, said)
    rate = schedule.rate if market.feesEnabled and schedule else Decimal(0)
    clob_rate = Decimal(0) if curve is None or curve.r is None else curve.r
    rate_e6 = _units(rate, 10**6, most=1)
    if rate_e6 is None or rate_e6 != _units(clob_rate, 10**6, most=1):
        return _No(Refusal.FEE, said)
    if rate_e6:
        assert schedule is not None
        assert curve is not None
        known = schedule.exponent == 1 and curve.e == 1
        if not known or not schedule.takerOnly or not curve.to:
            return _No(Refusal.FEE, said)
    return rate_e6


def _delay_ms(market: GammaMarket, clob: ClobMarket) -> int:
    """How long a taker's order is held: the longest that any source says."""
    fixed_ms = max(clob.sd, market.secondsDelay or 0) * 1000
    return min(max(fixed_ms, TAKER_DELAY_MS if clob.itode else 0), DELAY_MAX_MS)


def _condition(text: str) -> bytes | None:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        return None
    return bytes.fromhex(text[2:])
