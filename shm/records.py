"""What the journal says: every kind of record and its payload, described here, only here.

A payload is a `NamedTuple` whose annotations are its layout, like the records of shm/layout.py. How
it becomes bytes is said in shm/payloads.py, how it is framed and sealed in 256 of them in
shm/journal_record.py. Integers only, text as octets,
unit last in a name. Leg, flight and the times are in the frame, not repeated here.

A kind and a field keep their meaning for ever: kinds are appended, a changed payload is a new kind
or a new version of the frame. A reader that meets a kind it does not know refuses to go on.
"""

from enum import IntEnum, IntFlag
from typing import Annotated, NamedTuple

from shm.layout import I64, U32, U64, Octets, Scalar, Text8, Word256

U8 = Annotated[int, Scalar("B", 1, "uint8_t")]
I32 = Annotated[int, Scalar("i", 4, "int32_t")]
Digest16 = Annotated[bytes, Octets(16)]
Signature = Annotated[bytes, Octets(65)]
Text32 = Annotated[bytes, Octets(32, text=True)]
Text96 = Annotated[bytes, Octets(96, text=True)]
TradeId = Annotated[bytes, Octets(40, text=True)]


class Kind(IntEnum):
    """What a record is about."""

    OPENED = 1
    """A run of the executor: it has a true ledger and may be armed from here on."""
    BASKET = 2
    """A batch of orders was decided on; its INTENT records follow in the same group."""
    INTENT = 3
    """One order, with everything that was signed and the signature."""
    SENT = 4
    """The bytes of a batch left, for the n-th time."""
    REPLY = 5
    """What the venue answered about one order."""
    FILL = 6
    """A trade of ours, at each status that it came with."""
    VERDICT = 7
    """The resolver proved what became of an order."""
    ENDED = 8
    """A batch is over."""
    CANCEL = 9
    MODE = 10
    LIMITS = 11
    COMPARED = 12
    """Our ledger beside the venue's."""
    STRANGER = 13
    """An order of our wallet that is not ours."""
    HOLDING = 14
    COUNTED = 15
    FIGURES = 16
    CHECKPOINT = 17
    """End of the snapshot that each segment begins with: what follows happened after it."""
    LOSS = 18
    """The operator accepted that the journal before this one is lost."""
    MARKET = 19
    """The facts of a market: what a token is has to be known as long as a fill may come."""
    REDEEMED = 20
    """Tokens of a market that has ended were paid out."""
    MARK = 21
    """What everything was worth, once an hour and at the start of a day."""
    PACE = 22
    """Snapshot: how many baskets of a ladder were sent in a minute."""
    STANDS = 23
    """Snapshot: how a batch of orders stands; BASKET and INTENT before it say what it is."""
    ADOPTED = 24
    """A difference to the venue that the operator accepted: cash, or shares of one token."""


class CancelStep(IntEnum):
    """Which half of a cancellation."""

    ASKED = 1
    ANSWERED = 2


class OrderKind(IntEnum):
    """How long an order stays, as the venue calls it."""

    GTC = 1
    GTD = 2
    FOK = 3
    FAK = 4


class Evidence(IntFlag):
    """What a verdict rests on."""

    REPLY = 1
    """The venue's own answer to the batch."""
    OPEN_ORDERS = 2
    ORDER = 4
    """The order asked for by its hash."""
    TRADES = 8
    """The trades of the market, as taker and as maker."""
    USER_CHANNEL = 16
    WINDOW = 32
    """The time in which a late order may still appear is over."""
    OPERATOR = 64
    BALANCE = 128
    """As many of its token as the ledger says."""
    WITHHELD = 256
    """Its bytes were given to no socket: we thought better of it."""


# --- payloads ---------------------------------------------------------------------------------


class Opened(NamedTuple):
    """See Kind.OPENED."""

    system: U64
    """When the shared memory of the system was made (created_wall_ns of control)."""
    opening_cash_usd_e6: I64
    run: U32
    settings_crc: U32
    mode_live: U8
    boot_id: Digest16
    wallet: Word256
    build: Text32


class Basket(NamedTuple):
    """See Kind.BASKET."""

    signal: U64
    """The engine's number; 0 for a repair."""
    basket: U64
    parent: U64
    """The flight that this one repairs; 0 for a basket."""
    payout_e4: I64
    size_e6: I64
    reserved_usd_e6: I64
    limit_net_e8: I64
    created_ms: I64
    group: U32
    kind: U8
    purpose: U8
    leg_count: U8


class Intent(NamedTuple):
    """See Kind.INTENT: enough to send the very same bytes again, or to look for them."""

    salt: U64
    maker_amount: U64
    taker_amount: U64
    timestamp_ms: U64
    size_e6: I64
    row: U32
    """Of the markets table, at that generation."""
    price_e4: I32
    outcome: U8
    side: U8
    exchange: U8
    order_type: U8
    """An OrderKind."""
    signature_type: U8
    order_hash: Word256
    token: Word256
    signature: Signature


class Sent(NamedTuple):
    """See Kind.SENT."""

    at_ms: I64
    attempt: U32
    body_bytes: U32
    body_digest: Digest16


class Reply(NamedTuple):
    """See Kind.REPLY; the frame's leg says which order."""

    at_ms: I64
    status: U32
    """Of HTTP; 0 if there was none."""
    state: U8
    reason: U8
    order_hash: Word256
    digest: Digest16
    """Of the whole answer, which can be too long for here."""
    text: Text96


class Fill(NamedTuple):
    """See Kind.FILL."""

    at_ms: I64
    size_e6: I64
    fee_usd_e6: I64
    price_e4: I32
    side: U8
    status: U8
    """A FillStatus (shm/codes.py)."""
    maker: U8
    """1 if ours was the resting order."""
    trade: TradeId
    order_hash: Word256
    token: Word256


class Verdict(NamedTuple):
    """See Kind.VERDICT; the frame's leg says which order."""

    at_ms: I64
    evidence: U32
    state: U8
    reason: U8


class Ended(NamedTuple):
    """See Kind.ENDED."""

    at_ms: I64
    cost_usd_e6: I64
    fee_usd_e6: I64
    payout_usd_e6: I64
    profit_usd_e6: I64
    state: U8
    reason: U8


class Cancel(NamedTuple):
    """Orders were to be cancelled: asked for, or answered."""

    orders: U32
    not_canceled: U32
    step: U8
    """A CancelStep."""


class ModeChange(NamedTuple):
    """The circuit breaker moved."""

    nonce: U64
    """Of the arming or the kill; 0 without."""
    mode: U8
    cause: U8
    actor: Text32
    text: Text96


class Limits(NamedTuple):
    """The settings that limit risk changed."""

    old_crc: U32
    new_crc: U32
    actor: Text32


class Compared(NamedTuple):
    """See Kind.COMPARED."""

    our_cash_usd_e6: I64
    their_cash_usd_e6: I64
    adopted_usd_e6: I64
    """Of journals before ADOPTED: the part of the difference that the operator accepted."""
    positions: U32
    differences: U32


class Stranger(NamedTuple):
    """See Kind.STRANGER."""

    size_e6: I64
    price_e4: I32
    side: U8
    order_hash: Word256
    token: Word256


class Market(NamedTuple):
    """See Kind.MARKET; the fields are those of shm/layout.py's Market."""

    key: U64
    lower_usd_e6: I64
    upper_usd_e6: I64
    expiry_ms: I64
    min_size_e6: I64
    fingerprint: U64
    row: U32
    group: U32
    kind: U32
    exchange: U32
    tick_e4: U32
    fee_rate_e6: U32
    condition: Word256
    yes_token: Word256
    no_token: Word256
    coin: Text8


class Redeemed(NamedTuple):
    """See Kind.REDEEMED."""

    size_e6: I64
    paid_usd_e6: I64
    token: Word256


class Mark(NamedTuple):
    """See Kind.MARK."""

    at_ms: I64
    worth_usd_e6: I64


class Loss(NamedTuple):
    """See Kind.LOSS: the first record of the journal that is begun instead."""

    lost_journal: U64
    lost_durable_seq: U64
    """What of the lost one had been on disk, as far as known."""
    lost_segment: U32
    actor: Text32
    text: Text96


class Adopted(NamedTuple):
    """See Kind.ADOPTED: theirs less ours. It moves the opening, and is neither profit nor loss."""

    usd_e6: I64
    size_e6: I64
    token: Word256
    """Zeros for cash."""
    actor: Text32
    text: Text96
