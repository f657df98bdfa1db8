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

    conditionId: str  # noqa: N815
    slug: str
    question: str
    description: str = ""
    endDate: str = ""  # noqa: N815
    clobTokenIds: str = "[]"  # noqa: N815
    """JSON text of an array, in the order of `outcomes`."""
    outcomes: str = "[]"
    groupItemTitle: str = ""  # noqa: N815
    negRisk: bool | None = None  # noqa: N815
    enableOrderBook: bool = False  # noqa: N815
    acceptingOrders: bool = False  # noqa: N815
    active: bool = False
    closed: bool = True
    archived: bool = True
    orderPriceMinTickSize: Decimal | None = None  # noqa: N815
    orderMinSize: Decimal | None = None  # noqa: N815
    feesEnabled: bool | None = None  # noqa: N815
    feeSchedule: FeeSchedule | None = None  # noqa: N815
    version: str = "v1"


class GammaEvent(Struct):
    """A ladder: one coin, one expiry, one family of markets."""

    slug: str
    title: str = ""
    endDate: str = ""  # noqa: N815
    markets: list[GammaMarket] = []


class ClobFee(Struct):
    """`fd` of `/clob-markets`."""

    r: Decimal
    e: Decimal = Decimal(1)


class ClobMarket(Struct):
    """`/clob-markets/{condition}`: what matters for trading and Gamma does not say."""

    c: str
    ao: bool = False
    itode: bool = False
    """Immediate taker orders are delayed."""
    fd: ClobFee | None = None


decode_events = msgspec.json.Decoder(list[GammaEvent]).decode
decode_clob_market = msgspec.json.Decoder(ClobMarket).decode
