"""What a setting may be: the ranges of numbers and names, and the base of every table of them."""

from typing import Annotated

import msgspec
from msgspec import Meta

Millis = Annotated[int, Meta(ge=1, le=3_600_000)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
UsdE6 = Annotated[int, Meta(ge=1, le=10**15)]
Bps = Annotated[int, Meta(ge=1, le=10_000)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,24}$")]
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE")
"""Coins with ladders; desk/calendar.py knows how the venue spells them."""
Coin = Annotated[str, Meta(pattern=rf"^({'|'.join(COINS)})$")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table in the settings file."""
