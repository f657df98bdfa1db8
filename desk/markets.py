"""`polytrio markets`: which ladders are traded, which markets are not and why, which texts differ.

Two sources, one picture: the markets table and the last findings of a running system, or a fresh
look at the venue (`--discover`), which touches no running system.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from desk.calendar import Horizon, on_new_yorks_clock
from desk.crawler import Crawler, HttpVenue, Unreachable, open_session
from desk.families import family_of, groups_of, in_words
from desk.findings import Findings, read_findings
from desk.ladders import group_number
from shm.codes import MarketKind, MarketState
from shm.control import require_settings
from shm.errors import ConfigError, SegmentMissing, VenueRefused
from shm.fabric import Fabric
from shm.layout import Market
from shm.markets import MarketsReader
from shm.settings import LIVE_VENUE, Settings

REFUSALS_SHOWN = 20
_KIND_NAMES = {
    MarketKind.ABOVE: "above",
    MarketKind.RANGE: "range",
    MarketKind.BELOW: "below",
    MarketKind.TOP: "top",
}


class Ladder(msgspec.Struct, frozen=True):
    """One group: all markets of a coin, expiry and horizon."""

    coin: str
    expiry: str
    """ISO, UTC."""
    expiry_new_york: str
    horizon: str
    state: str
    """active, or retired: ended, and its rows not yet free."""
    markets: dict[str, int]
    """Count by kind: above, range, below, top."""
    paired: bool
    """Whether both families are there and all markets settle by one rule."""
    rules: list[str]
    fee_rates: list[float]
    ticks: list[float]
    delayed: int
    """Markets whose takers are delayed; they are not traded."""


class Picture(msgspec.Struct, frozen=True):
    """What the command shows."""

    source: str
    """"running" or "venue"."""
    generation: int
    at: str | None
    trouble: str | None
    ladders: list[Ladder]
    findings: Findings | None


# --- where it comes from ------------------------------------------------------------------------


def running(instance: str) -> Picture:
    """What a running system trades; `SegmentMissing` if there is none."""
    fabric = Fabric(instance)
    settings = require_settings(fabric)
    generation, rows = MarketsReader(fabric).read()
    findings = read_findings(settings.var_path)
    return _picture("running", generation, rows, findings)


def fresh(settings: Settings) -> Picture:
    """What the configured venue lists now; `VenueRefused` if it does not answer."""
    addressed = with_venue_addresses(settings)
    try:
        found = asyncio.run(_crawl(addressed))
    except Unreachable as error:
        raise VenueRefused(f"the venue cannot be asked: {error}") from None
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    trouble = found.troubles[0] if found.troubles else None
    findings = Findings.of(0, now_ms, trouble, found, groups_of(found.facts))
    return _picture("venue", 0, found.markets, findings)


async def _crawl(settings: Settings) -> Any:
    async with open_session() as session:
        return await Crawler(HttpVenue(session), settings).crawl(datetime.now(UTC))


def with_venue_addresses(settings: Settings) -> Settings:
    """The settings with an address to ask, as far as one is known without a running system."""
    venues = settings.venues
    if settings.venue == "polymarket":
        addresses = msgspec.structs.replace(
            venues,
            gamma_url=venues.gamma_url or LIVE_VENUE.gamma_url,
            clob_url=venues.clob_url or LIVE_VENUE.clob_url,
        )
        return msgspec.structs.replace(settings, venues=addresses)
    if venues.gamma_url and venues.clob_url:
        return settings
    if settings.sim.port:
        return settings.with_addresses(f"http://127.0.0.1:{settings.sim.port}")
    raise ConfigError(
        'venue = "sim" has no fixed address: name one by sim.port or by venues.gamma_url and '
        'venues.clob_url, or set venue = "polymarket"'
    )


def settings_of(instance: str) -> Settings | None:
    """The settings that a running system runs with, addresses included; None if it is not up."""
    try:
        return require_settings(Fabric(instance))
    except SegmentMissing:
        return None


# --- the picture --------------------------------------------------------------------------------


def _picture(
    source: str, generation: int, rows: Sequence[Market], findings: Findings | None
) -> Picture:
    groups: dict[tuple[int, bytes, int, int], list[Market]] = {}
    for row in rows:
        if row.state != MarketState.FREE:
            key = row.expiry_ms, row.coin.rstrip(b"\0"), row.group, row.state
            groups.setdefault(key, []).append(row)
    ladders = [_ladder(members, findings) for _, members in sorted(groups.items())]
    at = None if findings is None else _iso(findings.at_ms)
    trouble = None if findings is None else findings.trouble
    return Picture(source, generation, at, trouble, ladders, findings)


def _ladder(members: Sequence[Market], findings: Findings | None) -> Ladder:
    first = members[0]
    coin = first.coin.rstrip(b"\0").decode()
    daily = first.group == group_number(coin, first.expiry_ms, Horizon.DAILY)
    horizon = Horizon.DAILY if daily else Horizon.HOURLY
    kinds = Counter(_KIND_NAMES[MarketKind(market.kind)] for market in members)
    families = {family_of(market.kind) for market in members}
    rules = [
        rule
        for known in (findings.groups if findings else ())
        if (known.coin, known.expiry_ms, known.horizon) == (coin, first.expiry_ms, horizon)
        for rule in known.rules
    ]
    return Ladder(
        coin=coin,
        expiry=_iso(first.expiry_ms),
        expiry_new_york=on_new_yorks_clock(first.expiry_ms),
        horizon=horizon.value,
        state=MarketState(first.state).name.lower(),
        markets={name: kinds[name] for name in _KIND_NAMES.values()},
        paired=len(families) == 2 and len({market.fingerprint for market in members}) == 1,
        rules=rules,
        fee_rates=sorted({market.fee_rate_e6 / 10**6 for market in members}),
        ticks=sorted({market.tick_e4 / 10**4 for market in members}),
        delayed=sum(market.taker_delay_ms > 0 for market in members),
    )


def _iso(unix_ms: int) -> str:
    return f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


# --- for people ---------------------------------------------------------------------------------


def show(picture: Picture, console: Console) -> None:
    """Print it."""
    console.print(_rendered(picture))


def _rendered(picture: Picture) -> RenderableType:
    title = f"ladders, generation {picture.generation}"
    if picture.source == "venue":
        title = "ladders that the venue lists"
    table = Table(title=title, title_justify="left")
    for heading in (
        "coin",
        "settles, New York",
        "kind",
        "above",
        "range",
        "ends",
        "fee",
        "notes",
    ):
        table.add_column(heading, no_wrap=heading != "notes")
    for ladder in picture.ladders:
        counts = ladder.markets
        notes = [] if ladder.paired else ["NOT PAIRED"]
        notes += [ladder.state] if ladder.state != "active" else []
        notes += [f"{ladder.delayed} delayed"] if ladder.delayed else []
        table.add_row(
            ladder.coin,
            ladder.expiry_new_york.removesuffix(" New York"),
            ladder.horizon,
            str(counts["above"]),
            str(counts["range"]),
            str(counts["below"] + counts["top"]),
            ", ".join(f"{rate:g}" for rate in ladder.fee_rates),
            ", ".join(notes),
        )
    parts: list[RenderableType] = [table]
    if picture.trouble:
        parts.append(Text(f"last round: {picture.trouble}", style="bold yellow"))
    if picture.findings is not None:
        parts += _findings(picture.findings)
    return Group(*parts)


def _findings(findings: Findings) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(f"\n{in_words(one)}", style="bold red") for one in findings.unpaired
    ]
    if findings.reasons:
        table = Table("markets", "left out because", title_justify="left", title="\nleft out")
        for reason, count in findings.reasons.items():
            table.add_row(str(count), reason)
        parts.append(table)
    for one in findings.refused[:REFUSALS_SHOWN]:
        detail = f" ({one.detail})" if one.detail else ""
        parts.append(Text(f"  {one.slug}: {one.reason.value}{detail}"))
    more = len(findings.refused) - REFUSALS_SHOWN
    if more > 0:
        parts.append(Text(f"  and {more} more; --json has all of them"))
    return parts
