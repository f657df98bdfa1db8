"""How the venue words its daily ladders: slugs, titles, questions, resolution texts (F.3, F.4).

Bounds are in units of $0.0001. Dates are those of New York; the year is part of every slug.
"""

import datetime as dt

from sim.coins import USD_E4, Coin

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
_THOUSAND_E4 = 1_000 * USD_E4


def day_text(day: dt.date) -> str:
    """Month and day without a leading zero, as in "November 22"."""
    return f"{MONTHS[day.month - 1]} {day.day}"


def day_slug(day: dt.date) -> str:
    """The date part of a slug, as in "november-22-2026"."""
    return f"{MONTHS[day.month - 1].lower()}-{day.day}-{day.year}"


def money(usd_e4: int) -> str:
    """Dollars with thousands separators and no trailing zeros: "78,000", "0.6"."""
    whole, fraction = divmod(usd_e4, USD_E4)
    digits = f".{fraction:04d}".rstrip("0").rstrip(".")
    return f"{whole:,}{digits}"


def bound_slug(usd_e4: int, *, thousands: bool) -> str:
    """A bound inside a slug: "78k" or "78000", and "pt" for the decimal point."""
    if thousands and usd_e4 >= 10 * _THOUSAND_E4 and usd_e4 % _THOUSAND_E4 == 0:
        return f"{usd_e4 // _THOUSAND_E4}k"
    return money(usd_e4).replace(",", "").replace(".", "pt")


def above_event_slug(coin: Coin, day: dt.date) -> str:
    """Slug of the threshold event."""
    return f"{coin.slug}-above-on-{day_slug(day)}"


def price_event_slug(coin: Coin, day: dt.date) -> str:
    """Slug of the range event."""
    return f"{coin.slug}-price-on-{day_slug(day)}"


FAMILIES = (above_event_slug, price_event_slug)
"""Names of the two events that make a ladder."""


def above_event_title(coin: Coin, day: dt.date) -> str:
    """Title of the threshold event."""
    return f"{coin.name} above ___ on {day_text(day)}?"


def price_event_title(coin: Coin, day: dt.date) -> str:
    """Title of the range event."""
    return f"{coin.name} price on {day_text(day)}?"


def above_texts(coin: Coin, day: dt.date, strike_e4: int) -> tuple[str, str, str]:
    """(slug, question, group item title) of one threshold market."""
    slug = f"{coin.slug}-above-{bound_slug(strike_e4, thousands=True)}-on-{day_slug(day)}"
    question = f"Will the price of {coin.name} be above ${money(strike_e4)} on {day_text(day)}?"
    return slug, question, money(strike_e4)


def range_texts(
    coin: Coin, day: dt.date, bounds_e4: tuple[int | None, int | None]
) -> tuple[str, str, str]:
    """(slug, question, group item title) of one bracket; an open end is None."""
    lower, upper = bounds_e4
    if lower is not None and upper is not None:
        within = f"between ${money(lower)} and ${money(upper)}"
        path = f"between-{_plain(lower)}-{_plain(upper)}"
        title = f"{money(lower)}-{money(upper)}"
    elif upper is not None:
        within, path = f"less than ${money(upper)}", f"less-than-{_plain(upper)}"
        title = f"<{money(upper)}"
    elif lower is not None:
        within, path = f"greater than ${money(lower)}", f"greater-than-{_plain(lower)}"
        title = f">{money(lower)}"
    else:
        raise ValueError("a bracket needs at least one bound")
    slug = f"will-the-price-of-{coin.slug}-be-{path}-on-{day_slug(day)}"
    return slug, f"Will the price of {coin.name} be {within} on {day_text(day)}?", title


def _plain(usd_e4: int) -> str:
    return bound_slug(usd_e4, thousands=False)


def above_description(coin: Coin) -> str:
    """Resolution text of threshold markets: strictly higher."""
    return (
        f'This market will resolve to "Yes" if the Binance 1 minute candle for {coin.symbol}/USDT '
        "12:00 in the ET timezone (noon) on the date specified in the title has a final "
        '"Close" price higher than the price specified in the title. Otherwise, this market will '
        f'resolve to "No".\n\n{_source(coin)}'
    )


def price_description(coin: Coin) -> str:
    """Resolution text of brackets: an exact bound belongs to the higher bracket."""
    return (
        'This market will resolve according to the final "Close" price of the Binance 1 minute '
        f"candle for {coin.symbol}/USDT 12:00 in the ET timezone (noon) on the date specified in "
        "the title.\n\nIf the reported value falls exactly between two brackets, then this market "
        f"will resolve to the higher range bracket.\n\n{_source(coin)}"
    )


def _source(coin: Coin) -> str:
    pair = f"{coin.symbol}/USDT"
    return (
        f'The resolution source for this market is Binance, specifically the {pair} "Close" prices '
        f"currently available at https://www.binance.com/en/trade/{coin.symbol}_USDT with "
        '"1m" and "Candles" selected on the top bar.\n\nPlease note that this market is about the '
        f"price according to Binance {pair}, not according to other sources or spot markets.\n\n"
        "Price precision is determined by the number of decimal places in the source."
    )
