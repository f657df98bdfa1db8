"""When ladders settle, and under which names: hours of New York, whatever UTC says then.

A daily ladder settles at noon, an hourly one at the end of an hour. Both are instants of New York's
clock: the days on which it is changed have 23 and 25 hours, one hour name is missing in spring, and
one comes twice in autumn. Names of events carry that clock's date, with the year or (older ones)
without, so a name alone never says which year it is about; the end date does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
NOON_HOUR = 12
HOURS_AHEAD = 2
"""Hourly ladders open for orders a little more than an hour before they settle."""

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
MONTH_NUMBERS = {
    **{month.lower(): number for number, month in enumerate(MONTHS, 1)},
    **{month[:3].lower(): number for number, month in enumerate(MONTHS, 1)},
    "sept": 9,
}
"""Full names and the usual short ones, in lower case."""

COIN_NAMES = {
    "BTC": "bitcoin",
    "ETH": "ethereum",
    "SOL": "solana",
    "XRP": "xrp",
    "DOGE": "dogecoin",
}
"""Coins with ladders, and how the venue spells them in slugs (and, capitalised, in titles)."""
COINS_BY_NAME = {name: coin for coin, name in COIN_NAMES.items()}


class Horizon(StrEnum):
    """How often a ladder comes: it decides name, resolution rule and group."""

    DAILY = "daily"
    HOURLY = "hourly"


class Family(StrEnum):
    """The two kinds of event of one ladder."""

    ABOVE = "above"
    PRICE = "price"


@dataclass(frozen=True, slots=True)
class When:
    """A date of New York as texts say it; what they leave out is None."""

    month: int
    day: int
    year: int | None = None
    hour: int | None = None


@dataclass(frozen=True, slots=True)
class Expiry:
    """One settlement."""

    at: datetime
    """UTC."""
    horizon: Horizon = Horizon.DAILY

    @property
    def at_ms(self) -> int:
        """Unix milliseconds."""
        return int(self.at.timestamp() * 1000)

    @property
    def local(self) -> datetime:
        """The same instant on New York's clock."""
        return self.at.astimezone(NEW_YORK)

    @property
    def is_regular(self) -> bool:
        """Whether ladders of this horizon settle at such an instant: at noon, at a full hour."""
        local = self.local
        full = (local.minute, local.second, local.microsecond) == (0, 0, 0)
        return full and (self.horizon is Horizon.HOURLY or local.hour == NOON_HOUR)

    def agrees_with(self, when: When) -> bool:
        """Whether a text that says this date can mean this settlement."""
        local = self.local
        return (
            (when.month, when.day) == (local.month, local.day)
            and when.year in {None, local.year}
            and when.hour == (local.hour if self.horizon is Horizon.HOURLY else None)
        )


def coming_expiries(now: datetime, days: int) -> list[Expiry]:
    """The next `days` noons in New York that lie after `now` (any zone)."""
    date = now.astimezone(NEW_YORK).date()
    expiries: list[Expiry] = []
    while len(expiries) < days:
        noon = datetime(date.year, date.month, date.day, NOON_HOUR, tzinfo=NEW_YORK)
        if noon > now:
            expiries.append(Expiry(noon.astimezone(UTC)))
        date += timedelta(days=1)
    return expiries


def coming_hours(now: datetime, hours: int) -> list[Expiry]:
    """The next `hours` ends of an hour after `now`; New York's hours end when UTC's do."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return [Expiry(hour + timedelta(hours=n), Horizon.HOURLY) for n in range(1, hours + 1)]


def on_new_yorks_clock(unix_ms: int) -> str:
    """`Tue Nov 24 2026, 12:00 New York`."""
    local = datetime.fromtimestamp(unix_ms / 1000, NEW_YORK)
    return f"{local:%a %b} {local.day} {local:%Y, %H:%M} New York"


def event_slugs(coin: str, expiry: Expiry) -> tuple[str, ...]:
    """Every name under which a ladder's events may be listed, the usual ones first.

    Names without the year are older; hourly price events also exist without "on".
    """
    name, local = COIN_NAMES[coin], expiry.local
    day = f"{MONTHS[local.month - 1].lower()}-{local.day}"
    hour = ""
    if expiry.horizon is Horizon.HOURLY:
        hour = f"-{local.hour % 12 or 12}{'am' if local.hour < NOON_HOUR else 'pm'}-et"
    slugs = [
        f"{name}-{family}-on-{date}{hour}"
        for date in (f"{day}-{local.year}", day)
        for family in Family
    ]
    if hour:
        slugs += [f"{name}-price-{date}{hour}" for date in (f"{day}-{local.year}", day)]
    return tuple(slugs)
