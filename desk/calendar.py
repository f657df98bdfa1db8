"""When daily ladders settle, and under which names: noon in New York, whatever UTC says then."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
NOON_HOUR = 12
COIN_NAMES = {
    "BTC": "bitcoin",
    "ETH": "ethereum",
    "SOL": "solana",
    "XRP": "xrp",
    "DOGE": "dogecoin",
}
"""Coins with daily ladders, and how the venue spells them in slugs."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """One daily settlement."""

    at: datetime
    """UTC."""
    year: int
    month: str
    day: int
    """The New York date, as the slugs say it."""

    @property
    def at_ms(self) -> int:
        """Unix milliseconds."""
        return int(self.at.timestamp() * 1000)


def coming_expiries(now: datetime, days: int) -> list[Expiry]:
    """The next `days` noons in New York that lie after `now` (any zone)."""
    date = now.astimezone(NEW_YORK).date()
    expiries: list[Expiry] = []
    while len(expiries) < days:
        noon = datetime(date.year, date.month, date.day, NOON_HOUR, tzinfo=NEW_YORK)
        if noon > now:
            month = noon.strftime("%B").lower()
            expiries.append(Expiry(noon.astimezone(UTC), date.year, month, date.day))
        date += timedelta(days=1)
    return expiries


def event_slugs(coin: str, expiry: Expiry) -> tuple[str, str]:
    """Slugs of a day's two events: (above, price)."""
    name = COIN_NAMES[coin]
    day = f"{expiry.month}-{expiry.day}-{expiry.year}"
    return f"{name}-above-on-{day}", f"{name}-price-on-{day}"
