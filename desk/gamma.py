"""The venue's public descriptions of events and markets, as msgspec structs (Gamma and CLOB).

Unknown keys are ignored; what we need and do not get has a default that makes the market refused.
"""

from decimal import Decimal

import msgspec
from msgspec import Struct


class FeeSchedule(Struct):
    """Fee curve of a market: rate * (p * (1-p)) ** exponent, charged to takers."""

    rate: Decimal
    exponent: Decimal = Decimal(1)
    takerOnly: bool = True  # noqa: N815  # the venue's spelling


class GammaMarket(Struct):
    """One market of an event."""

    conditionId: str = ""  # noqa: N815
    slug: str = ""
    question: str = ""
    description: str | None = None
    endDate: str | None = None  # noqa: N815
    clobTokenIds: str | list[str] | None = None  # noqa: N815
    """An array in the order of `outcomes`, as JSON text (now and then as an array)."""
    positionIds: str | list[str] | None = None  # noqa: N815
    """The ids that are traded when `version` is "v2"."""
    outcomes: str | list[str] | None = None
    groupItemTitle: str | None = None  # noqa: N815
    negRisk: bool | None = None  # noqa: N815
    negRiskOther: bool | None = None  # noqa: N815
    enableOrderBook: bool | None = None  # noqa: N815
    acceptingOrders: bool | None = None  # noqa: N815
    active: bool | None = None
    closed: bool | None = None
    archived: bool | None = None
    orderPriceMinTickSize: Decimal | None = None  # noqa: N815
    orderMinSize: Decimal | None = None  # noqa: N815
    feesEnabled: bool | None = None  # noqa: N815
    feeSchedule: FeeSchedule | None = None  # noqa: N815
    secondsDelay: int | None = None  # noqa: N815
    version: str | None = "v1"
    """Older objects do not say it; then it is the first."""


class GammaEvent(Struct):
    """A ladder's family: one coin, one expiry, one kind of market."""

    slug: str
    title: str | None = ""
    endDate: str | None = None  # noqa: N815
    negRisk: bool | None = None  # noqa: N815
    negRiskAugmented: bool | None = None  # noqa: N815
    """Outcomes may be added while it trades: no set of them is complete."""
    markets: list[msgspec.Raw] = []
    """Each is decoded for itself: one that is odd does not take the others with it."""


class ListedEvent(Struct):
    """What a listing is read for: which events there are."""

    slug: str
    title: str | None = ""
    endDate: str | None = None  # noqa: N815


class EventPage(Struct):
    """A page of `/events/keyset`; without `next_cursor` it is the last."""

    events: list[ListedEvent]
    next_cursor: str | None = None


class ClobFee(Struct):
    """`fd` of `/clob-markets`; all null where there is no fee."""

    r: Decimal | None = None
    e: Decimal | None = None
    to: bool | None = None


class ClobToken(Struct):
    """One of `t` of `/clob-markets`."""

    t: str
    o: str


class ClobMarket(Struct):
    """`/clob-markets/{condition}`: what counts for trading. False flags are left out."""

    c: str
    ao: bool = False
    """Accepts orders."""
    nr: bool = False
    itode: bool = False
    """Immediate taker orders are delayed."""
    sd: int = 0
    """Seconds of delay, where there is a fixed one."""
    fd: ClobFee | None = None
    t: list[ClobToken] | None = None
    mts: Decimal | None = None
    mos: Decimal | None = None
    v: str | None = None


decode_market = msgspec.json.Decoder(GammaMarket).decode
decode_events = msgspec.json.Decoder(list[GammaEvent]).decode
decode_page = msgspec.json.Decoder(EventPage).decode
decode_clob_market = msgspec.json.Decoder(ClobMarket).decode
