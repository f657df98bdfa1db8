"""Settings: one frozen tree, read from TOML and environment, validated once, unknown keys refused.

Whoever starts the system (`polytrio run`, `supervisor.py up`) reads and validates them and
publishes the result in shared memory; the stages take it from there, so that all run with the same.
Secrets are never settings: `wallet.key_file` is a path.

`POLYTRIO__ENGINE__COOLDOWN_MS=500` in the environment overrides `cooldown_ms` in `[engine]`.
Every key is listed with its default in deploy/polytrio.toml (a test compares). How they are read
stands in shm/sources.py, which of them may change while the system runs in shm/reloadable.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from shm.errors import ConfigError, LiveRefused
from shm.limits import JournalSettings, RiskSettings
from shm.ranges import Coin, Count, Millis, Name, Port, Seconds, Section, UsdE6


class VenueSettings(Section, frozen=True):
    """Addresses of the venue. Empty ones follow from `venue`.

    With `venue = "polymarket"` on paper, Gamma and the market channel are the live venue's, which
    the simulated exchange mirrors; orders go to the latter. With real money all four are the live
    venue's, or all four are others: half of each would trade on another venue's books.
    """

    clob_url: str = ""
    gamma_url: str = ""
    market_ws_url: str = ""
    user_ws_url: str = ""


LIVE_VENUE = VenueSettings(
    clob_url="https://clob.polymarket.com",
    gamma_url="https://gamma-api.polymarket.com",
    market_ws_url="wss://ws-subscriptions-clob.polymarket.com/ws/market",
    user_ws_url="wss://ws-subscriptions-clob.polymarket.com/ws/user",
)
"""Where the live venue is (docs/venue.md)."""
_ADDRESSES = VenueSettings.__struct_fields__


class SimSettings(Section, frozen=True):
    """The simulated exchange; where it mirrors a live venue the two rates mean nothing."""

    port: Port = 0
    """0: any free port (`polytrio run` only; under supervisord name one)."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """0: a new one each time."""
    frames_per_second: Annotated[int, Meta(ge=1, le=20_000)] = 300
    mispricings_per_minute: Annotated[int, Meta(ge=0, le=6_000)] = 90
    opening_cash_usd: Annotated[int, Meta(ge=1, le=10**9)] = 100_000


class DeskSettings(Section, frozen=True):
    """Discovery and everything that people see."""

    coins: Annotated[tuple[Coin, ...], Meta(min_length=1, max_length=16)] = ("BTC", "ETH", "SOL")
    days: Annotated[int, Meta(ge=1, le=7)] = 2
    """How many coming daily expiries to trade: 1 is today, 2 tomorrow, too, 7 the week."""
    hourly: bool = False
    """Also the hourly ladders, which settle by a rule of their own."""
    discover_every_s: Seconds = 20
    """See `risk.max_metadata_age_s`, which must be longer."""
    list_every_s: Seconds = 600
    """How often the venue's whole listing is searched for ladders under other names."""
    listing_tag: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 21
    """The venue's number of the listing that has the ladders (21: crypto)."""
    row_grace_s: Seconds = 21_600
    """How long a market that has ended keeps its row, so that late fills find it."""
    var_dir: str = "var"
    """Logs and the paper wallet's key go below this folder, in one named after the instance."""


class IngestSettings(Section, frozen=True):
    """The market feed."""

    socket: Literal["picows", "websockets"] = "picows"
    """Which library carries the market channel: the fast one, or the well-known one."""
    tokens_per_socket: Annotated[int, Meta(ge=1, le=500)] = 200
    ping_every_s: Seconds = 10
    silence_limit_s: Seconds = 30
    """A socket without any inbound frame for this long is replaced, and one without any live book
    that carries no market data for so long."""
    data_silence_ms: Millis = 2_000
    """A socket with live books is replaced, and they are live no longer, when it has carried no
    market data for this long and does not answer, or answers with changes that it never sent.
    PONG is no market data. After a quarter of it some books are asked for again."""
    confirm_after_s: Seconds = 20
    """A book of which no frame has spoken for this long is asked for again. Where
    `engine.max_book_age_ms` or `risk.max_quote_age_ms` is shorter, quiet books are not traded."""
    reconnect_base_ms: Millis = 250
    reconnect_cap_s: Seconds = 30
    snapshot_wait_ms: Millis = 2_000
    """A book without a snapshot after this is asked for again."""
    max_frame_bytes: Annotated[int, Meta(ge=65_536, le=2**28)] = 16 * 2**20
    hash_check_every: Count = 64
    """Each snapshot's hash is compared with the venue's, and every n-th change."""


class EngineSettings(Section, frozen=True):
    """What is worth a signal."""

    mode: Literal["auto", "native", "python", "shadow"] = "auto"
    """Which engine decides. auto: the native one where it is built. shadow: the native one, and the
    Python one is given the same and compared."""
    min_net_edge_e8: Annotated[int, Meta(ge=1, le=10**8)] = 100_000
    """Least edge of one unit after fees, in units of $0.00000001 (100000 is a tenth of a cent)."""
    min_profit_usd_e6: UsdE6 = 20_000
    """Least profit of one basket after fees, in micro-dollars."""
    max_book_age_ms: Millis = 30_000
    """A leg of whose book no frame has spoken for longer is not traded."""
    max_leg_skew_ms: Millis = 30_000
    """Longest time between the last frames of two legs."""
    max_ingest_silence_ms: Millis = 1_000
    """No signal while ingest's heartbeat is older."""
    cooldown_ms: Millis = 250
    """Pause of a basket after its orders went out."""
    signal_wait_ms: Millis = 2_000
    """A basket whose signal was never reported on is free again after this."""
    max_basket_shares: Annotated[int, Meta(ge=1, le=1_000_000)] = 500
    max_leg_loss_usd_e6: UsdE6 = 25_000_000
    """Most that selling one leg again may lose, if the others do not fill: bounds the size."""
    slippage_ticks: Annotated[int, Meta(ge=0, le=100)] = 0
    """Ticks that each leg's limit may stand above the dearest level it needs."""
    min_edge_bps: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """Least net edge in hundredths of a percent of what a unit pays."""
    min_return_per_year_e6: Annotated[int, Meta(ge=0, le=10**9)] = 0
    """Least net edge as a yearly return on the capital, in millionths (100000 is 10 %)."""
    capital_cost_per_year_e6: Annotated[int, Meta(ge=0, le=10**7)] = 50_000
    """What the capital of a unit costs until it pays, in millionths a year (50000 is 5 %)."""
    tie_probability_e9: Annotated[int, Meta(ge=0, le=10**9)] = 10_000
    """Assumed probability of a settlement exactly on one bound, in billionths (10000 is 1e-5)."""
    wide: bool = True
    """Also baskets over strikes that are no neighbours, and over whole sets of brackets."""


class ExecutorSettings(Section, frozen=True):
    """What may be sent."""

    max_signal_age_ms: Millis = 100
    max_basket_usd_e6: UsdE6 = 1_000_000_000
    cash_reserve_usd_e6: Annotated[int, Meta(ge=0, le=10**15)] = 10_000_000
    """Cash that is never spent."""
    max_flights: Annotated[int, Meta(ge=1, le=64)] = 8
    """Baskets on their way at one time."""
    reply_timeout_ms: Millis = 3_000
    doubt_settle_ms: Millis = 120_000
    """How long an order without a reply is looked for before it counts as never landed: the venue
    has been seen to take one up long after the caller had given up."""
    fill_wait_ms: Millis = 1_000
    """A fill that the user channel does not show within this is asked for by REST."""
    inventory: bool = True
    """Sell what is held instead of buying its opposite, where all of a leg is there."""


class WalletSettings(Section, frozen=True):
    """Whose orders they are. The key itself is in a file that only its owner can read."""

    key_file: str = ""
    """Empty: the instance's own paper wallet, made at first start."""
    signature_type: Annotated[int, Meta(ge=0, le=3)] = 0
    """0 EOA, 1 proxy wallet, 2 Safe, 3 deposit wallet."""
    funder: Annotated[str, Meta(pattern=r"^(0x[0-9a-fA-F]{40})?$")] = ""
    """The wallet that holds the money; empty for type 0, where it is the key's own address."""


class SigningSettings(Section, frozen=True):
    """How orders are signed."""

    nonces: Literal["rfc6979", "prepared"] = "rfc6979"
    """rfc6979: deterministic. prepared: made off the hot path, used once; three times faster."""
    pool: Annotated[int, Meta(ge=1, le=512)] = 64
    """Prepared nonces that are kept ready."""


class KillerSettings(Section, frozen=True):
    """The process behind the kill switch."""

    venue_heartbeat: bool = False
    """Let the venue cancel by itself what rests, when it hears nothing of us for 10 to 15 s. Every
    order of the same API key goes then, a person's own, too; and baskets are fill-or-kill, so that
    nothing of ours ever rests."""


class StageSettings(Section, frozen=True):
    """How the processes run."""

    wait: Literal["auto", "spin", "block"] = "auto"
    """auto: spin when there is a core for each hot stage and one to spare."""
    cores: Annotated[tuple[Annotated[int, Meta(ge=0, le=4095)], ...], Meta(max_length=3)] = ()
    """Cores of ingest, engine, executor; empty: chosen when there is one for each and a spare."""
    loop: Literal["auto", "asyncio", "uvloop"] = "auto"
    """Event loop of ingest and executor; auto: uvloop where it is installed."""
    restarts_per_minute: Annotated[int, Meta(ge=1, le=600)] = 20
    """A stage that crashes more often is left down."""
    fallback_after: Annotated[int, Meta(ge=1, le=600)] = 5
    """A native engine that crashes more often within a minute is started in Python."""


class Settings(Section, frozen=True):
    """The whole tree; top-level keys first, then one table per folder."""

    instance: Name = "main"
    execution: Literal["paper", "live", "off"] = "paper"
    """off: everything runs, on paper, and no order is sent."""
    venue: Literal["sim", "polymarket"] = "sim"
    venues: VenueSettings = VenueSettings()
    sim: SimSettings = SimSettings()
    desk: DeskSettings = DeskSettings()
    ingest: IngestSettings = IngestSettings()
    engine: EngineSettings = EngineSettings()
    executor: ExecutorSettings = ExecutorSettings()
    wallet: WalletSettings = WalletSettings()
    signing: SigningSettings = SigningSettings()
    risk: RiskSettings = RiskSettings()
    journal: JournalSettings = JournalSettings()
    killer: KillerSettings = KillerSettings()
    stages: StageSettings = StageSettings()

    @property
    def mode(self) -> Literal["paper", "live"]:
        """Whose money it is about: without execution it is nobody's, and the paper wallet's."""
        return "live" if self.execution == "live" else "paper"

    @property
    def mirrors(self) -> bool:
        """Whether the simulated exchange mirrors the live venue's books."""
        return self.venue == "polymarket" and self.mode == "paper"

    @property
    def money_in_words(self) -> str:
        """What is real and what is not, for titles."""
        if self.mode == "live":
            return "REAL MONEY"
        return "live data, simulated money" if self.mirrors else "paper money"

    def require_supported(self) -> None:
        """Refuse what cannot be done safely; `LiveRefused` or `ConfigError` says what to change."""
        if self.mode == "live":
            self._require_live()
        else:
            self._require_paper()

    def _require_live(self) -> None:
        """Real money: a wallet of the operator's own, one venue for everything, and TLS to it."""
        if self.venue != "polymarket":
            raise LiveRefused(
                f'execution = "live" trades real money, and venue = "{self.venue}" is simulated: '
                'set venue = "polymarket", or execution = "paper"'
            )
        if not self.wallet.key_file:
            raise LiveRefused(
                'execution = "live" needs a wallet of your own: set wallet.key_file to a key file '
                "(`polytrio wallet new` makes one)"
            )
        named = {key: url for key in _ADDRESSES if (url := getattr(self.venues, key))}
        if not named:
            return
        missing = [f"venues.{key}" for key in _ADDRESSES if key not in named]
        if missing:
            raise LiveRefused(
                'execution = "live": some of venues.* are named and others are not '
                f"({', '.join(missing)}), which would mix two venues: name all four, or none"
            )
        if len({on_this_machine(url) for url in named.values()}) > 1:
            raise LiveRefused(
                'execution = "live": some of venues.* name this machine and some do not, which '
                "would mix two venues: name one venue in all four, or none"
            )
        for key, url in named.items():
            if not on_this_machine(url) and not url.startswith(("https://", "wss://")):
                raise LiveRefused(
                    f'execution = "live": venues.{key} = {url} is not encrypted: use https or wss'
                )

    def _require_paper(self) -> None:
        """Simulated money: orders stay on this machine."""
        if self.mirrors and self.desk.hourly:
            raise ConfigError(
                "desk.hourly = true: only the daily ladders of the live venue are mirrored; "
                "set it to false"
            )
        # Where orders go, and what acts on them. Reading the live venue's public data is no harm.
        for key in ("clob_url", "user_ws_url"):
            url = getattr(self.venues, key)
            if url and not on_this_machine(url):
                raise LiveRefused(
                    f'mode = "paper" trades on this machine only, and venues.{key} names {url}: '
                    "remove it"
                )

    def with_live_addresses(self) -> "Settings":
        """Fill in the live venue's addresses, unless another venue is named."""
        if any(getattr(self.venues, key) for key in _ADDRESSES):
            return self
        return msgspec.structs.replace(self, venues=LIVE_VENUE)

    def with_addresses(self, url: str) -> "Settings":
        """Fill in the venue addresses that are left open, from the simulated exchange's own.

        A mirroring exchange stands in for all of the venue, also for what it mirrors itself.
        """
        ws = url.replace("http://", "ws://", 1)
        given = VenueSettings() if self.mirrors else self.venues
        venues = VenueSettings(
            clob_url=self.venues.clob_url or url,
            gamma_url=given.gamma_url or url,
            market_ws_url=given.market_ws_url or f"{ws}/ws/market",
            user_ws_url=self.venues.user_ws_url or f"{ws}/ws/user",
        )
        return msgspec.structs.replace(self, venues=venues)

    def anchored(self) -> "Settings":
        """The same with absolute paths: who reads them may run in another folder."""
        desk = msgspec.structs.replace(self.desk, var_dir=str(Path(self.desk.var_dir).absolute()))
        key_file = self.wallet.key_file and str(Path(self.wallet.key_file).absolute())
        wallet = msgspec.structs.replace(self.wallet, key_file=key_file)
        return msgspec.structs.replace(self, desk=desk, wallet=wallet)

    def sim_options(self) -> list[str]:
        """Command-line options that start the simulated exchange as these settings want it."""
        options: dict[str, object] = {
            "--port": self.sim.port,
            "--coins": ",".join(self.desk.coins),
            "--days": self.desk.days,
            "--frames-per-second": self.sim.frames_per_second,
            "--mispricings-per-minute": self.sim.mispricings_per_minute,
            "--opening-cash-usd": self.sim.opening_cash_usd,
        }
        if self.sim.seed:
            options["--seed"] = self.sim.seed
        if self.mirrors:
            options["--mirror"] = self.venues.market_ws_url or LIVE_VENUE.market_ws_url
            options["--mirror-gamma"] = self.venues.gamma_url or LIVE_VENUE.gamma_url
        return [word for name, value in options.items() for word in (name, str(value))]

    @property
    def var_path(self) -> Path:
        """Folder of this instance's files."""
        return Path(self.desk.var_dir) / self.instance

    @property
    def key_path(self) -> Path:
        """File of the signing key."""
        return Path(self.wallet.key_file) if self.wallet.key_file else self.var_path / "paper.key"


def on_this_machine(url: str) -> bool:
    """Whether an address names this machine in one of the three usual ways."""
    try:
        return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
    except ValueError:
        return False


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file (or polytrio.toml here, or none) and the environment.

    `ConfigError` if they are bad; see shm/sources.py.
    """
    from shm.sources import read  # noqa: PLC0415  # which makes what is described here

    return read(path, environment).settings
