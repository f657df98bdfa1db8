"""The one table of records: every struct that two processes share is described here, only here.

A record is a `NamedTuple` class whose annotations are also its layout. From it come the packer that
Python uses, the C header (`shm/_layout.h`), the numpy dtype, the JSON schema stored inside every
segment and the hash that keeps two versions apart. Tests compare all of them.

Rules of a layout: little-endian, fields at their natural alignment without holes (checked below),
sizes in multiples of 64 bytes, no floats, unit as the last part of a name.

Start reading at the records; the machinery that derives things from them is at the end.
"""

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_type_hints

CACHE_LINE = 64
LINE_PAIR = 128
"""x86 prefetches lines in pairs and some ARM cores have 128-byte lines: words with different
writers stay this far apart."""

BOOK_LEVELS = 16
"""Levels a side that ingest publishes; the full depth stays in its own memory."""

MAX_LEGS = 12
"""A bracket set has 11 markets; the venue takes 15 orders in one batch."""


@dataclass(frozen=True)
class Scalar:
    """One integer: `code` is the struct module's, `size` its bytes."""

    code: str
    size: int
    c_type: str


@dataclass(frozen=True)
class Array:
    """`count` integers in a row."""

    item: Scalar
    count: int


@dataclass(frozen=True)
class Octets:
    """`count` bytes: text padded with NUL, or something opaque such as a big-endian uint256."""

    count: int
    text: bool = False


_U8 = Scalar("B", 1, "uint8_t")
_U32 = Scalar("I", 4, "uint32_t")
_I32 = Scalar("i", 4, "int32_t")
_U64 = Scalar("Q", 8, "uint64_t")
_I64 = Scalar("q", 8, "int64_t")

U32 = Annotated[int, _U32]
U64 = Annotated[int, _U64]
I64 = Annotated[int, _I64]
Word256 = Annotated[bytes, Octets(32)]
Text8 = Annotated[bytes, Octets(8, text=True)]
Text96 = Annotated[bytes, Octets(96, text=True)]
LevelPrices = Annotated[tuple[int, ...], Array(_I32, BOOK_LEVELS)]
LevelSizes = Annotated[tuple[int, ...], Array(_I64, BOOK_LEVELS)]
LegBytes = Annotated[tuple[int, ...], Array(_U8, MAX_LEGS)]
LegMarkets = Annotated[tuple[int, ...], Array(_U32, MAX_LEGS)]
LegPrices = Annotated[tuple[int, ...], Array(_I32, MAX_LEGS)]
LegSizes = Annotated[tuple[int, ...], Array(_I64, MAX_LEGS)]
LegVersions = Annotated[tuple[int, ...], Array(_U64, MAX_LEGS)]
LegHashes = Annotated[bytes, Octets(32 * MAX_LEGS)]

MARKETS_MAX = 1024
"""Rows of the markets, books and positions tables."""

DIRTY_WORDS = MARKETS_MAX // 64
SETTINGS_BYTES = 8192
ORIGIN_BYTES = 8136
OUTCOME_BYTES = 968
HISTOGRAM_BUCKETS = 1024


# --- every segment starts with this -------------------------------------------------------------


class Header(NamedTuple):
    """First bytes of every segment, followed by the JSON schema; see shm/segment.py."""

    magic: U64
    """Stored last: whoever reads the right value sees a whole header."""
    header_bytes: U64
    total_bytes: U64
    schema_offset: U64
    schema_bytes: U64
    data_offset: U64
    """Where the offsets of the schema's sections count from."""
    created_wall_ns: U64
    creator_pid: U64
    creator_start_ticks: U64
    endian_tag: U64
    checksum: U64
    """CRC-32 of header and schema with this field and the magic as zero."""
    layout_hash: Annotated[bytes, Octets(16)]
    boot_id: Annotated[bytes, Octets(16)]
    segment: Annotated[bytes, Octets(32, text=True)]
    instance: Annotated[bytes, Octets(32, text=True)]


# --- control ----------------------------------------------------------------------------------


class RoleRow(NamedTuple):
    """Who fills a role. Written by the holder of the role's kernel lock, by nobody else."""

    epoch: U64
    """Grows by one with every process that takes the role; a publisher compares it each time."""
    pid: U64
    start_ticks: U64
    """The process's start time from /proc: a pid alone can be a stranger's."""
    started_ns: U64
    heartbeat_ns: U64
    """CLOCK_MONOTONIC, stamped from inside the working loop: progress, not mere existence."""
    loops: U64
    state: U64
    adopted_generation: U64
    adopted_settings: U64
    """Version of the settings that it works with."""


class Switches(NamedTuple):
    """What the operator wants. Written by desk only; every stage reads it in its loop."""

    trading_enabled: U64
    """1 while new baskets may be sent."""
    engine_mode: U64
    """Which engine decides (`EngineMode`); 0: the one of the settings."""
    execution: U64
    """What becomes of a signal (`Execution`); 0: what the settings say."""
    choices: U64
    """How often `engine_mode` was set: a choice ends the fall-back that came before it."""
    socket_mode: U64
    """Which library carries the market channel (`SocketMode`); 0: the one of the settings."""
    socket_choices: U64
    """How often `socket_mode` was set: a choice ends a fall-back of ingest."""
    wish_seen: U64
    """Number of the last wish that was heard."""
    wish_answer: U64


class Wish(NamedTuple):
    """What somebody at a command line asks of desk or supervisor. Nobody else may write it."""

    number: U64
    """The operator's epoch: each wish has its own."""
    kind: U64
    engine_mode: U64
    """One more than the wanted `EngineMode`; 0: leave it."""
    execution: U64
    """One more than the wanted `Execution`; 0: leave it."""
    socket_mode: U64
    """One more than the wanted `SocketMode`; 0: leave it."""
    wished_ns: U64


class Supervision(NamedTuple):
    """What the supervisor has decided about the stages. Written by it only."""

    fallback: U64
    """Not 0: the engine runs in Python, as long as `Switches.choices` is one less than this."""
    fallbacks: U64
    fallback_deaths: U64
    """How often the engine had died within a minute."""
    fallback_wall_ns: U64
    ingest_fallback: U64
    """Not 0: ingest runs in Python, as long as `Switches.socket_choices` is one less than this."""
    ingest_fallbacks: U64
    ingest_fallback_deaths: U64
    ingest_fallback_wall_ns: U64


class KillLatch(NamedTuple):
    """Whether everything has to stop. Written by the killer only; looked at before every order."""

    latched: U64
    """0: trading is allowed as far as this latch goes; anything else stops it."""
    nonce: U64
    """Of this kill: who arms again has to name it."""
    seen_ns: U64
    """When the killer saw the request."""
    cancel_sent_ns: U64
    cancel_done_ns: U64
    """When the venue acknowledged that nothing of ours rests any more; 0 while it has not."""
    cancels: U64
    cancels_failed: U64


class SettingsBlob(NamedTuple):
    """The validated settings as JSON, replaced as a whole by the supervisor."""

    generation: U64
    """Version: grows by one with each publication."""
    published_wall_ns: U64
    asked: U64
    """Number of the wish that this answers; 0 if it was not asked for."""
    length: U64
    origin_length: U64
    checksum: U64
    """CRC-32 of both texts: a limit that changed by itself must not become a limit."""
    origin_checksum: U64
    text: Annotated[bytes, Octets(SETTINGS_BYTES, text=True)]
    origin: Annotated[bytes, Octets(ORIGIN_BYTES, text=True)]
    """Which file and which variables they are from, as JSON."""


class Reloading(NamedTuple):
    """What became of the last attempt to take over changed settings."""

    attempts: U64
    asked: U64
    """Number of the wish that this answers; 0 if the file itself was the reason."""
    result: U64
    generation: U64
    """Version of the settings in force afterwards."""
    tried_wall_ns: U64
    length: U64
    text: Annotated[bytes, Octets(OUTCOME_BYTES, text=True)]
    """The keys that changed, or why nothing was changed."""


# --- markets ----------------------------------------------------------------------------------


class Generation(NamedTuple):
    """Head of the markets table: which set of markets this is."""

    generation: U64
    rows_used: U64
    """Rows in use are 0..count-1; a row may be free or retired among them."""
    published_ns: U64
    checksum: U64
    """CRC-32 of this head with zero here, and of the rows in use: orders are made from them."""


class Market(NamedTuple):
    """Facts of one market. Row numbers are stable while a market lives: they index `books`."""

    key: U64
    """First 8 bytes of the condition id: lets a reader see that a row changed its tenant."""
    lower_usd_e6: I64
    upper_usd_e6: I64
    """Bounds of the settlement price; I64_MIN / I64_MAX where the side is open."""
    expiry_ms: I64
    min_size_e6: I64
    fingerprint: U64
    """Hash of the resolution rule; families pair only when equal."""
    condition: Word256
    yes_token: Word256
    no_token: Word256
    row: U32
    group: U32
    """Markets of one coin, expiry and horizon share a group number."""
    kind: U32
    state: U32
    exchange: U32
    tick_e4: U32
    fee_rate_e6: U32
    taker_delay_ms: U32
    coin: Text8
    slug: Text96


class FactsTimes(NamedTuple):
    """When the venue was last asked about the market in each row, and said what the row says.

    Monotonic, 0: never. Single words, apart from the generation: time passes for each market alone.
    """

    confirmed_ns: Annotated[tuple[int, ...], Array(_U64, MARKETS_MAX)]


# --- books ------------------------------------------------------------------------------------


class Book(NamedTuple):
    """One market's book in YES terms, best levels first. The NO side is its mirror."""

    market_key: U64
    epoch: U64
    """Epoch of the ingest process that wrote it; another epoch than the current one is stale."""
    exchange_ms: I64
    received_ns: U64
    """When the frame became readable here; ages are measured from this."""
    frames: U64
    state: U32
    tick_e4: U32
    bid_count: U32
    ask_count: U32
    last_trade_e4: U32
    hash_state: U32
    bid_price_e4: LevelPrices
    ask_price_e4: LevelPrices
    bid_size_e6: LevelSizes
    ask_size_e6: LevelSizes


class Update(NamedTuple):
    """ingest -> engine: look again at this market."""

    market: U32
    flags: U32
    book_version: U64
    exchange_ms: I64
    frame_ns: U64
    parsed_ns: U64
    published_ns: U64


class DirtyBits(NamedTuple):
    """One bit a market. A market is dirty while its bits in the two copies differ.

    ingest owns one copy and flips a bit to mark, engine owns the other and follows: so each word
    has one writer and no mark is lost when the updates ring is full.
    """

    word: Annotated[tuple[int, ...], Array(_U64, DIRTY_WORDS)]


# --- baskets and signals ----------------------------------------------------------------------


class BasketRow(NamedTuple):
    """One compiled basket and what it was worth when last looked at."""

    basket: U64
    """Stable id: hash of kind and legs; 0 means the row is free."""
    generation: U64
    settings_version: U64
    """Of the settings whose thresholds these are."""
    kind: U32
    group: U32
    leg_count: U32
    verdict: U32
    payout_e4: I64
    """Guaranteed payout of one unit outside the flagged cases."""
    tie_payout_e4: I64
    """Least payout when the settlement price equals a bound exactly."""
    void_payout_e4: I64
    """Payout when every market of the group resolves 50-50."""
    gross_e8: I64
    net_e8: I64
    hurdle_e8: I64
    """Net edge that a signal needs: least edge, allowances, cost of capital."""
    size_e6: I64
    evaluated_ns: U64
    cooling_until_ns: U64
    """When the pause after its last orders ends or ended; 0: none went out."""
    leg_market: LegMarkets
    leg_outcome: LegBytes
    leg_side: LegBytes


class Signal(NamedTuple):
    """engine -> executor: buy this basket at these prices, now."""

    signal: U64
    """Engine epoch in the upper 24 bits, a count in the lower 40: never repeated."""
    basket: U64
    generation: U64
    settings_version: U64
    """Of the settings by which it was decided."""
    kind: U32
    leg_count: U32
    payout_e4: I64
    size_e6: I64
    gross_e8: I64
    net_e8: I64
    """Edge of the first unit, at the top of the books."""
    limit_net_e8: I64
    """Edge of a unit that is bought at the limit prices."""
    profit_usd_e6: I64
    """Profit of all units at the levels that were seen."""
    frame_ns: U64
    parsed_ns: U64
    published_ns: U64
    seen_ns: U64
    created_ns: U64
    leg_market: LegMarkets
    leg_outcome: LegBytes
    leg_side: LegBytes
    leg_price_e4: LegPrices
    leg_size_e6: LegSizes
    leg_version: LegVersions


class ShadowRow(NamedTuple):
    """A basket on which the two engines did not agree: `native_*` was sent, `python_*` was not."""

    number: U64
    """1 for the first; 0 means the row is free."""
    basket: U64
    generation: U64
    kind: U32
    market: U32
    """Row of the market whose change was looked at."""
    differs: U64
    """Bits of `Differs`."""
    seen_wall_ns: U64
    native_signal: U64
    """0: it made none."""
    python_signal: U64
    native_legs: U32
    python_legs: U32
    native_size_e6: I64
    python_size_e6: I64
    native_net_e8: I64
    python_net_e8: I64
    native_profit_usd_e6: I64
    python_profit_usd_e6: I64
    native_leg_market: LegMarkets
    python_leg_market: LegMarkets
    native_leg_price_e4: LegPrices
    python_leg_price_e4: LegPrices
    native_leg_outcome: LegBytes
    python_leg_outcome: LegBytes


class Report(NamedTuple):
    """executor -> engine: what became of a signal. Never dropped."""

    signal: U64
    basket: U64
    kind: U32
    reason: U32
    leg_count: U32
    legs_filled: U32
    size_e6: I64
    cost_usd_e6: I64
    fee_usd_e6: I64
    profit_usd_e6: I64
    reported_ns: U64
    latency_ns: U64
    leg_market: LegMarkets
    leg_state: LegBytes
    leg_reason: LegBytes


# --- executor ---------------------------------------------------------------------------------


class Flight(NamedTuple):
    """One batch of orders, for people: the truth about it is in the executor's journal."""

    signal: U64
    basket: U64
    kind: U32
    state: U32
    reason: U32
    leg_count: U32
    purpose: U32
    repairs: U32
    """Batches sent so far to complete or unwind it."""
    parent: U64
    """The signal whose basket this repairs; 0 for a basket."""
    size_e6: I64
    payout_e4: I64
    reserved_usd_e6: I64
    created_ms: I64
    sent_ns: U64
    leg_market: LegMarkets
    leg_outcome: LegBytes
    leg_side: LegBytes
    leg_state: LegBytes
    leg_reason: LegBytes
    leg_price_e4: LegPrices
    leg_size_e6: LegSizes
    leg_filled_e6: LegSizes
    leg_cost_usd_e6: LegSizes
    leg_fee_usd_e6: LegSizes
    leg_hash: LegHashes


class Position(NamedTuple):
    """What we hold of one market, from fills."""

    market_key: U64
    yes_e6: I64
    no_e6: I64
    yes_cost_usd_e6: I64
    no_cost_usd_e6: I64
    fee_usd_e6: I64
    fills: U64
    yes_free_e6: I64
    """Part of it that the chain has confirmed and no order may still sell,"""
    no_free_e6: I64
    """so that a basket may."""
    updated_ns: U64


class Account(NamedTuple):
    """Cash and profit, from fills; every figure can be recomputed from the venue's trade list."""

    cash_usd_e6: I64
    opening_usd_e6: I64
    reserved_usd_e6: I64
    fee_usd_e6: I64
    locked_profit_usd_e6: I64
    """Guaranteed payout less cost and fees of the complete baskets."""
    orphan_cost_usd_e6: I64
    """Cost and fees of legs whose basket stayed partial."""
    realised_usd_e6: I64
    """Of everything that is closed, fees included."""
    day_usd_e6: I64
    """Realised and marked at the worst case, since the start of the UTC day."""
    worst_usd_e6: I64
    """Cash, and what the positions pay at least."""
    exposure_usd_e6: I64
    """What could be lost: cost of what is not hedged, in doubt, or on its way."""
    naked_usd_e6: I64
    """The part of it that is legs without their basket."""
    provisional_usd_e6: I64
    """Cost of fills that the chain has not confirmed."""
    in_doubt: U64
    mode: U64
    cause: U64
    mode_since_ms: I64
    orders_intended: U64
    """Orders in the journal; the socket has to have sent as many, or none."""
    orders_on_wire: U64
    journal_seq: U64
    durable_seq: U64
    """Highest journal record that survives a loss of power."""
    fills: U64
    updated_ns: U64
    wallet: Word256
    """The funder's address, left-padded as on chain."""


# --- statistics: one record a stage; its fields are the counters --------------------------------


class StageStats(NamedTuple):
    """What every stage counts about itself; first section of each `stats` segment."""

    rss_bytes: U64
    gc_collections: U64
    """Collections since warm-up ended; a hot stage keeps this at 0."""
    errors: U64
    last_error_ns: U64


class IngestStats(NamedTuple):
    """Counters of ingest; also the names that the inspector prints."""

    frames_in: U64
    bytes_in: U64
    events_book: U64
    events_price_change: U64
    events_last_trade: U64
    events_tick_size: U64
    events_other: U64
    frames_refused: U64
    events_refused: U64
    unknown_market: U64
    backward_time: U64
    mirror_mismatch: U64
    hash_checked: U64
    hash_mismatch: U64
    crossed_books: U64
    updates_pushed: U64
    updates_conflated: U64
    books_live: U64
    books_stale: U64
    subscriptions: U64
    connections: U64
    reconnects: U64
    pings_sent: U64
    pongs_received: U64
    socket_mode: U64
    """Which library carries the market channel now (`SocketMode`)."""
    native: U64
    """1 while the compiled keeper and listener are at work, 0 for the Python ones."""
    mode_changes: U64


class EngineStats(NamedTuple):
    """Counters of the engine."""

    updates_seen: U64
    updates_conflated: U64
    books_busy: U64
    evaluations: U64
    hits: U64
    held_stale: U64
    held_skew: U64
    held_cooldown: U64
    held_busy: U64
    held_small: U64
    held_disabled: U64
    signals: U64
    signals_full: U64
    reports_seen: U64
    retries: U64
    """Hits that were looked at again although none of their books had changed."""
    retries_signalled: U64
    baskets: U64
    baskets_unproven: U64
    generations: U64
    mode: U64
    """Which engine decides now (`EngineMode`)."""
    mode_changes: U64
    shadow_updates: U64
    """Updates and reports that both engines were given."""
    shadow_native: U64
    """Signals of the engine that decides, while both ran."""
    shadow_python: U64
    """Signals that the other one would have sent."""
    shadow_missing: U64
    """Of the native ones, without a counterpart."""
    shadow_extra: U64
    shadow_profit: U64
    """Pairs that differ in profit,"""
    shadow_size: U64
    shadow_legs: U64
    """in markets, outcomes, limits,"""
    shadow_edge: U64
    shadow_verdicts: U64
    """Decisions against a signal that differ in the reason."""
    shadow_profit_alerts: U64
    """Pairs whose profits are more than a tenth of a cent apart."""
    shadow_count_alerts: U64
    """How often the numbers of signals came to be more than 5 % apart."""
    shadow_worst_usd_e6: U64
    shadow_resets: U64
    """How often, after a difference, the other engine was given the state of the native one."""
    shadow_skipped: U64
    """Updates that were not compared because of that."""


class ExecutorStats(NamedTuple):
    """Counters of the executor. `refused_*` and `partial_*` are the counted reasons."""

    signals_seen: U64
    refused_disabled: U64
    refused_stale: U64
    refused_duplicate: U64
    refused_generation: U64
    refused_market: U64
    refused_size: U64
    refused_edge: U64
    refused_cash: U64
    refused_busy: U64
    refused_unarmed: U64
    refused_unsupported: U64
    refused_damaged: U64
    refused_killed: U64
    refused_mode: U64
    refused_notional: U64
    refused_shares: U64
    refused_collar: U64
    refused_too_good: U64
    refused_exposure_market: U64
    refused_exposure_group: U64
    refused_exposure_day: U64
    refused_exposure: U64
    refused_naked: U64
    refused_rate: U64
    refused_repeat: U64
    refused_in_doubt: U64
    refused_metadata: U64
    refused_clock: U64
    refused_fence: U64
    refused_self_cross: U64
    refused_off: U64
    orders_sent: U64
    orders_accepted: U64
    orders_refused: U64
    orders_killed: U64
    orders_filled: U64
    orders_doubt: U64
    legs_sold: U64
    """Legs of baskets that were sent as sales of what is held."""
    baskets_sent: U64
    baskets_complete: U64
    baskets_partial: U64
    baskets_missed: U64
    partial_killed: U64
    partial_refused: U64
    partial_doubt: U64
    partial_restart: U64
    partial_voided: U64
    repairs_sent: U64
    repairs_completed: U64
    repairs_unwound: U64
    repairs_held: U64
    nonces_missing: U64
    """Signatures that found no prepared nonce and took the slower way."""
    posts: U64
    post_errors: U64
    reconnects: U64
    fills_seen: U64
    fills_duplicate: U64
    trades_failed: U64
    recoveries: U64
    reports_waited: U64


class KillerStats(NamedTuple):
    """Counters of the killer."""

    requests_seen: U64
    cancels_sent: U64
    cancels_done: U64
    """Acknowledged by the venue, with nothing left standing."""
    cancels_declined: U64
    """Answered, and not cancelled."""
    cancels_unanswered: U64
    sweeps: U64
    """Cancels after a kill had been acknowledged, for orders that arrive late."""
    stand_stills: U64
    """How often the executor stood still, or died, with orders that might rest."""
    credentials_read: U64
    beats_sent: U64
    beats_accepted: U64


class DeskStats(NamedTuple):
    """Counters of desk."""

    discoveries: U64
    discovery_errors: U64
    events_read: U64
    markets_published: U64
    markets_refused: U64
    families_unpaired: U64


class Histogram(NamedTuple):
    """Log-linear buckets of nanoseconds, 32 a power of two (3 % wide); see shm/histogram.py."""

    name: Annotated[bytes, Octets(32, text=True)]
    max_ns: U64
    padding: Annotated[bytes, Octets(24)]
    bucket: Annotated[tuple[int, ...], Array(_U64, HISTOGRAM_BUCKETS)]


# --- machinery ----------------------------------------------------------------------------------

RowT = TypeVar("RowT", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Field:
    """Where one field lies: `kind` says how to read the bytes at `offset`."""

    name: str
    kind: Scalar | Array | Octets
    offset: int

    @property
    def size(self) -> int:
        """Bytes."""
        match self.kind:
            case Scalar(size=size):
                return size
            case Array(item=item, count=count):
                return item.size * count
            case Octets(count=count):
                return count

    @property
    def alignment(self) -> int:
        """Bytes; the natural alignment of one element."""
        match self.kind:
            case Scalar(size=size) | Array(item=Scalar(size=size)):
                return size
            case Octets():
                return 1

    @property
    def code(self) -> str:
        """Format for the struct module."""
        match self.kind:
            case Scalar(code=code):
                return code
            case Array(item=item, count=count):
                return f"{count}{item.code}"
            case Octets(count=count):
                return f"{count}s"

    @property
    def dtype(self) -> str:
        """Format for numpy, without the count."""
        match self.kind:
            case Scalar(code=code, size=size) | Array(item=Scalar(code=code, size=size)):
                return f"<{'u' if code.isupper() else 'i'}{size}"
            case Octets(count=count, text=text):
                return f"|{'S' if text else 'V'}{count}"

    @property
    def count(self) -> int:
        """Elements; 1 unless the field is an array."""
        return self.kind.count if isinstance(self.kind, Array) else 1


class Record(Generic[RowT]):
    """The layout of one `NamedTuple` class: size, fields, packing.

    `size` is the packed length rounded up to whole cache lines less `head` bytes, where `head`
    is 8 for records that follow a ring slot's commit word and 0 otherwise.
    """

    def __init__(self, row: type[RowT], *, head: int = 0) -> None:
        self.row = row
        self.name = _snake(row.__name__)
        self.head = head
        self.fields = tuple(_place_fields(row))
        end = self.fields[-1].offset + self.fields[-1].size
        self.size = _round_up(head + end, CACHE_LINE) - head
        padding = self.size - end
        codes = "".join(field.code for field in self.fields)
        self._struct = struct.Struct(f"<{codes}{padding}x")
        assert self._struct.size == self.size, f"{self.name}: {self._struct.size} != {self.size}"
        self._arrays = tuple(
            (i, field.kind.count)
            for i, field in enumerate(self.fields)
            if isinstance(field.kind, Array)
        )

    @cached_property
    def offset_of(self) -> dict[str, int]:
        """Field name -> byte offset inside the record."""
        return {field.name: field.offset for field in self.fields}

    def pack(self, row: RowT) -> bytes:
        """Row -> `size` bytes; struct.error if a value does not fit its field."""
        if not self._arrays:
            return self._struct.pack(*row)
        flat: list[Any] = []
        taken = 0
        for index, count in self._arrays:
            flat.extend(row[taken:index])
            items = row[index]
            assert len(items) == count, f"{self.name}.{self.fields[index].name}: {len(items)}"
            flat.extend(items)
            taken = index + 1
        flat.extend(row[taken:])
        return self._struct.pack(*flat)

    def unpack(self, data: bytes | bytearray | memoryview, offset: int = 0) -> RowT:
        """`size` bytes at `offset` -> row."""
        flat = self._struct.unpack_from(data, offset)
        if not self._arrays:
            return self.row(*flat)
        values: list[Any] = []
        at = 0
        for field in self.fields:
            if isinstance(field.kind, Array):
                values.append(flat[at : at + field.kind.count])
                at += field.kind.count
            else:
                values.append(flat[at])
                at += 1
        return self.row(*values)

    def blank(self) -> RowT:
        """A row of zeros."""
        return self._blank

    @cached_property
    def _blank(self) -> RowT:
        return self.unpack(bytes(self.size))

    def schema(self) -> dict[str, Any]:
        """What the inspector needs to read this record without our code."""
        return {
            "name": self.name,
            "size": self.size,
            "fields": [[f.name, f.dtype, f.offset, f.count] for f in self.fields],
        }


def _place_fields(row: type[Any]) -> list[Field]:
    fields: list[Field] = []
    offset = 0
    for name, hint in get_type_hints(row, include_extras=True).items():
        (kind,) = hint.__metadata__
        field = Field(name, kind, offset)
        if offset % field.alignment:
            raise AssertionError(f"{row.__name__}.{name} at {offset}: not naturally aligned")
        fields.append(field)
        offset += field.size
    return fields


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


COMMIT_BYTES = 8
"""A ring slot begins with its commit word."""

HEADER = Record(Header)
DIRTY_BITS = Record(DirtyBits)
ROLE_ROW = Record(RoleRow)
SWITCHES = Record(Switches)
KILL_LATCH = Record(KillLatch)
WISH = Record(Wish)
SUPERVISION = Record(Supervision)
SETTINGS_BLOB = Record(SettingsBlob)
RELOADING = Record(Reloading)
GENERATION = Record(Generation)
FACTS_TIMES = Record(FactsTimes)
MARKET = Record(Market)
BOOK = Record(Book)
UPDATE = Record(Update, head=COMMIT_BYTES)
BASKET_ROW = Record(BasketRow)
SIGNAL = Record(Signal, head=COMMIT_BYTES)
SHADOW_ROW = Record(ShadowRow)
REPORT = Record(Report, head=COMMIT_BYTES)
FLIGHT = Record(Flight)
POSITION = Record(Position)
ACCOUNT = Record(Account)
STAGE_STATS = Record(StageStats)
INGEST_STATS = Record(IngestStats)
ENGINE_STATS = Record(EngineStats)
EXECUTOR_STATS = Record(ExecutorStats)
KILLER_STATS = Record(KillerStats)
DESK_STATS = Record(DeskStats)
HISTOGRAM = Record(Histogram)

RECORDS: tuple[Record[Any], ...] = (
    HEADER,
    ROLE_ROW,
    SWITCHES,
    KILL_LATCH,
    WISH,
    SUPERVISION,
    SETTINGS_BLOB,
    RELOADING,
    GENERATION,
    FACTS_TIMES,
    MARKET,
    BOOK,
    UPDATE,
    DIRTY_BITS,
    BASKET_ROW,
    SIGNAL,
    SHADOW_ROW,
    REPORT,
    FLIGHT,
    POSITION,
    ACCOUNT,
    STAGE_STATS,
    INGEST_STATS,
    ENGINE_STATS,
    EXECUTOR_STATS,
    KILLER_STATS,
    DESK_STATS,
    HISTOGRAM,
)
