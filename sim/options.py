"""The command line's options as checked values, and the venue that they describe."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from shm.errors import ConfigError, InputError
from shm.units import USD_E6, UnitError, parse_fixed
from sim.catalog import Catalog
from sim.coins import COINS, Coin
from sim.crawlplay import CrawlPlayback
from sim.crawls import ladders_of, read_crawls, read_markets
from sim.exchange import Exchange
from sim.generator import Generator, GeneratorSettings
from sim.mirror import Mirror
from sim.mirror_link import Addresses
from sim.playback import Playback
from sim.recording import RecordedFrame, read_recording
from sim.rules import Rule
from sim.source import Source
from sim.trades import Delays
from sim.truth import Truth, TruthFile
from sim.venue import Venue

DAYS_MAX = 7
FRAMES_PER_SECOND_MAX = 5_000.0
MISPRICINGS_PER_MINUTE_MAX = 600.0
DELAY_MS_MAX = 600_000
SPEED_MIN = 0.001
SPEED_MAX = 10_000.0
OPENING_CASH_MAX_USD_E6 = 1_000_000_000 * USD_E6


@dataclass(frozen=True, slots=True)
class Options:
    """All settings of one simulated exchange; see the command line for their meaning.

    `ConfigError` for a number out of its range.
    """

    seed: int
    coins: tuple[Coin, ...]
    days: int
    frames_per_second: float
    mispricings_per_minute: float
    opening_cash_usd_e6: int
    delays: Delays
    recordings: tuple[Path, ...]
    recording_markets: Path | None
    speed: float
    rules: tuple[Rule, ...] = ()
    truth: Path | None = None
    mirror: Addresses | None = None

    def __post_init__(self) -> None:
        check_range("--days", self.days, 1, DAYS_MAX)
        check_range("--frames-per-second", self.frames_per_second, 0, FRAMES_PER_SECOND_MAX)
        check_range(
            "--mispricings-per-minute", self.mispricings_per_minute, 0, MISPRICINGS_PER_MINUTE_MAX
        )
        check_range("--speed", self.speed, SPEED_MIN, SPEED_MAX)
        if self.mirror is not None and self.recordings:
            raise ConfigError("--mirror and --recording: the books come from one of them")


def new_seed() -> int:
    """A seed from the system's entropy."""
    return secrets.randbits(32)


def parse_coins(text: str) -> tuple[Coin, ...]:
    """A comma-separated list of coin symbols; `ConfigError` for unknown or repeated ones."""
    symbols = [part.strip().upper() for part in text.split(",")]
    unknown = [symbol for symbol in symbols if symbol not in COINS]
    if unknown:
        raise ConfigError(f"--coins {text}: unknown {unknown[0]!r}; known are {', '.join(COINS)}")
    if len(set(symbols)) != len(symbols):
        raise ConfigError(f"--coins {text}: a coin is named twice")
    return tuple(COINS[symbol] for symbol in symbols)


def parse_cash(text: str) -> int:
    """Dollars of at most six decimals as micro-dollars; `ConfigError` otherwise."""
    try:
        usd_e6 = parse_fixed(text, 6)
    except UnitError as error:
        raise ConfigError(f"--opening-cash-usd {text}: {error}") from error
    if usd_e6 > OPENING_CASH_MAX_USD_E6:
        raise ConfigError(f"--opening-cash-usd {text}: at most a thousand million dollars")
    return usd_e6


def parse_mirror(market_ws: str | None, gamma: str | None) -> Addresses | None:
    """The live venue to mirror, if there is one; `ConfigError` for half of it."""
    if market_ws is None and gamma is None:
        return None
    if market_ws is None or gamma is None:
        raise ConfigError("--mirror (books) and --mirror-gamma (ladders) belong together")
    return Addresses(market_ws, gamma)


def check_range(name: str, value: float, least: float, most: float) -> None:
    """`ConfigError` unless `least <= value <= most`; this also refuses NaN."""
    if not least <= value <= most:
        raise ConfigError(f"{name} {value:g}: allowed are {least:g} to {most:g}")


def check_delays(mined_ms: int, confirmed_ms: int) -> Delays:
    """`ConfigError` unless the trade is mined before it is confirmed."""
    check_range("--mined-after-ms", mined_ms, 0, DELAY_MS_MAX)
    check_range("--confirmed-after-ms", confirmed_ms, 0, DELAY_MS_MAX)
    if confirmed_ms < mined_ms:
        raise ConfigError(
            f"--confirmed-after-ms {confirmed_ms} is before --mined-after-ms {mined_ms}"
        )
    return Delays(mined_ms, confirmed_ms)


def build_venue(options: Options, now_ms: int) -> Venue:
    """A venue with its first markets; `ConfigError` or `InputError` when a file is not usable."""
    file = None if options.truth is None else TruthFile(options.truth)
    truth = Truth(file, ms=now_ms)
    truth.record("start", seed=options.seed, pid=os.getpid())
    exchange = Exchange(options.seed, options.opening_cash_usd_e6, options.delays, truth)
    trouble = exchange.faults.add(options.rules, now_ms)
    if trouble:
        raise ConfigError(f"--faults: {trouble}")
    catalog = Catalog()
    source = _source(options, exchange, catalog)
    mirror = source if isinstance(source, Mirror) else None
    venue = Venue(exchange, catalog, source, now_ms, mirror=mirror)
    source.start(now_ms)
    return venue


def _source(options: Options, exchange: Exchange, catalog: Catalog) -> Source:
    if options.mirror is not None:
        return Mirror(exchange, catalog, options.coins, options.days)
    if options.recording_markets is not None:
        return _crawls(options, options.recording_markets, exchange, catalog)
    if options.recordings:
        tables = [path for path in options.recordings if path.suffix == ".csv"]
        if tables:
            raise ConfigError(
                f"--recording {tables[0]}: a table of quotes needs --recording-markets"
            )
        return Playback(exchange, _merged(options.recordings), options.speed)
    settings = GeneratorSettings(
        seed=options.seed,
        coins=options.coins,
        days=options.days,
        frames_per_second=options.frames_per_second,
        mispricings_per_minute=options.mispricings_per_minute,
    )
    return Generator(settings, exchange, catalog)


def _merged(paths: tuple[Path, ...]) -> list[RecordedFrame]:
    """The frames of all files in the order of their times; untimed files one after the other."""
    frames = [frame for path in paths for frame in read_recording(path)]
    timed = [frame.at_ms is not None for frame in frames]
    if all(timed):
        return sorted(frames, key=lambda frame: frame.at_ms or 0)
    if any(timed):
        raise InputError("recordings with and without times cannot be played together")
    return frames


def _crawls(options: Options, markets: Path, exchange: Exchange, catalog: Catalog) -> Source:
    if len(options.recordings) != 1:
        raise ConfigError("--recording-markets needs exactly one --recording with the quotes")
    rows = read_markets(markets)
    crawls = read_crawls(options.recordings[0], {row.market_id for row in rows})
    ladders = ladders_of(options.seed, rows)
    return CrawlPlayback(exchange, catalog, ladders, crawls, options.speed)
