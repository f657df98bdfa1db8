"""What a rule can do to a request, an order, a trade or a frame: one struct for each effect.

The structs are the words of the rule language (docs/simulator.md); msgspec checks every number.
What is done to the venue itself, rather than to something that passes, is in `acts`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shm.units import UnitError, parse_size_e6
from sim.canned import ANSWERS

Millis = Annotated[int, Meta(ge=0, le=3_600_000)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Moment = Literal["before", "after"]
"""Before the exchange has seen the request, or after it has done what was asked."""


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Base of all effects; `do` names the effect in a file of rules."""


# What passes anywhere: requests, replies, frames.


class Late(Effect, frozen=True, tag="late"):
    """A reply, frame, snapshot or PONG waits for `ms`."""

    ms: Millis


class Lose(Effect, frozen=True, tag="lose"):
    """A reply is never sent although the request was carried out; a frame is never sent."""


class Close(Effect, frozen=True, tag="close"):
    """The connection ends with FIN; of a reply the first `bytes` bytes still leave."""

    moment: Moment = "after"
    bytes: Annotated[int, Meta(ge=0)] = 0
    code: Annotated[int, Meta(ge=0, le=4999)] = 0
    """WebSocket close code to send first; 0 sends none."""


class Reset(Effect, frozen=True, tag="reset"):
    """The connection ends with RST."""

    moment: Moment = "after"


class Edit(Effect, frozen=True, tag="edit"):
    """Members of a JSON reply or frame are set or removed, in each object of an array."""

    set: dict[str, Any] = {}
    remove: tuple[str, ...] = ()


# Requests.


class Hold(Effect, frozen=True, tag="hold"):
    """The request waits for `ms` before the exchange sees it, and is carried out all the same."""

    ms: Millis


class Drop(Effect, frozen=True, tag="drop"):
    """The exchange never sees the request and nobody answers it."""


class Queue(Effect, frozen=True, tag="queue"):
    """Like Cloudflare: beyond `requests` in `window_ms` requests wait, at most `longest_ms`.

    Who would have to wait longer gets 429.
    """

    requests: Count
    window_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 10_000
    longest_ms: Millis = 5_000


class Answer(Effect, frozen=True, tag="answer"):
    """Another answer than the exchange's: one of `canned.ANSWERS`, or status, text and headers."""

    kind: str = ""
    status: Annotated[int, Meta(ge=200, le=599)] = 500
    text: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    retry_after_s: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    moment: Moment = "before"

    def __post_init__(self) -> None:
        if self.kind and self.kind not in ANSWERS:
            raise ValueError(f"unknown kind {self.kind!r}; known are {', '.join(ANSWERS)}")


Garbling = Literal[
    "truncated",
    "html",
    "empty",
    "string",
    "null",
    "charset",
    "utf8",
    "gzip",
    "error_dict",
    "deep",
    "huge",
    "length",
]


class Garble(Effect, frozen=True, tag="garble"):
    """The reply's status stays 200, its body is no reply (see `garbling`)."""

    how: Garbling


Mixing = Literal["permuted", "missing", "doubled", "other_id", "blank", "extra"]


class Batch(Effect, frozen=True, tag="batch"):
    """The array that answers POST /orders is mixed up; the orders are what they are."""

    how: Mixing
    text: str = ""


class Word(Effect, frozen=True, tag="word"):
    """The `status` word of a reply to an order is another one."""

    status: str


class Decline(Effect, frozen=True, tag="decline"):
    """A cancel is answered with 200 and `not_canceled`; nothing is cancelled."""

    reason: str = "order is being processed"


# Orders.


class Refuse(Effect, frozen=True, tag="refuse"):
    """The exchange refuses the order; with `indexed` its hash is a duplicate from then on."""

    text: str = "not enough balance / allowance"
    indexed: bool = False


class Delay(Effect, frozen=True, tag="delay"):
    """The order is accepted as `delayed` and comes to the book after `ms`.

    `never` leaves it delayed until its market ends, `kill` cancels it at its time.
    """

    ms: Millis = 3_000
    ending: Literal["match", "kill", "never"] = "match"


class Kill(Effect, frozen=True, tag="kill"):
    """A FOK or FAK order finds nothing, whatever the book says, and is killed with its id."""


class Thin(Effect, frozen=True, tag="thin"):
    """Of what the house offers within the order's limit only `shares` are left when it comes.

    A text may have decimals: "0.01" leaves dust.
    """

    shares: Annotated[int, Meta(ge=0, le=1_000_000)] | str

    def __post_init__(self) -> None:
        try:
            parse_size_e6(str(self.shares))
        except UnitError as error:
            raise ValueError(f'a number of shares like 4 or "0.01" is wanted: {error}') from error


class Improve(Effect, frozen=True, tag="improve"):
    """The house offers the order's whole size at `ticks` better than its own best price."""

    ticks: Annotated[int, Meta(ge=1, le=100)] = 1


# Trades.


class Fail(Effect, frozen=True, tag="fail"):
    """The trade is FAILED after `ms` and everything is given back; until then MATCHED."""

    ms: Millis = 5_000
    retrying: bool = False
    """RETRYING comes first, half-way."""


class Retry(Effect, frozen=True, tag="retry"):
    """MINED, then RETRYING after `ms` with another transaction hash, then the ending."""

    ms: Millis = 1_000
    again_ms: Millis = 1_000
    times: Annotated[int, Meta(ge=1, le=20)] = 1
    ending: Literal["CONFIRMED", "FAILED"] = "CONFIRMED"


class Stuck(Effect, frozen=True, tag="stuck"):
    """The trade stays MATCHED for ever."""


# Frames of the two channels.


class Repeat(Effect, frozen=True, tag="repeat"):
    """The frame is sent `times` more times."""

    times: Annotated[int, Meta(ge=1, le=100)] = 1


class Swap(Effect, frozen=True, tag="swap"):
    """The frame is sent after the next `behind` frames of its socket, at the latest after `ms`."""

    behind: Annotated[int, Meta(ge=1, le=1_000)] = 1
    ms: Millis = 1_000


class Restamp(Effect, frozen=True, tag="restamp"):
    """The frame's timestamp is moved by `ms`, back or forth."""

    ms: Annotated[int, Meta(ge=-(10**12), le=10**12)]


class Cross(Effect, frozen=True, tag="cross"):
    """A bid at the best ask appears on this socket and goes again after `ms`."""

    ms: Millis = 50
    locked: bool = False
    """The bid is at the best ask instead of one tick above it."""


class Foreign(Effect, frozen=True, tag="foreign"):
    """The frame names another market under our token, or another token under our market."""

    what: Literal["market", "token"] = "market"


class Number(Effect, frozen=True, tag="number"):
    """Prices or sizes of the frame's levels are this text, as a JSON string or bare."""

    field: Literal["price", "size"] = "price"
    text: str = "NaN"
    bare: bool = False


Rubbish = Literal[
    "text",
    "array",
    "unknown_event",
    "bad_element",
    "deep",
    "huge",
    "binary",
    "utf8",
    "rsv1",
    "opcode",
    "fragment",
    "masked",
    "close_code",
]


class Garbage(Effect, frozen=True, tag="garbage"):
    """Something that is no frame of the channel comes before the frame, or instead of it."""

    kind: Rubbish = "text"
    instead: bool = False


class Strangers(Effect, frozen=True, tag="strangers"):
    """A trade event lists `count` more maker orders, of other people."""

    count: Annotated[int, Meta(ge=1, le=50)] = 2


class Slow(Effect, frozen=True, tag="slow"):
    """From here on the socket's bytes trickle out at `bytes_per_s`; 0 ends it."""

    bytes_per_s: Annotated[int, Meta(ge=0, le=100_000_000)]


class NoSnapshot(Effect, frozen=True, tag="no_snapshot"):
    """The subscription counts, but no book is sent for it."""


OF_REQUESTS = (Hold, Drop, Queue, Answer, Garble, Edit, Late, Lose, Close, Reset)
OF_PLACING = (Batch, Word)
OF_CANCELLING = (Decline,)
OF_UPGRADES = (Hold, Drop, Queue, Answer, Close, Reset)
OF_ORDERS = (Refuse, Delay, Kill, Thin, Improve)
OF_TRADES = (Fail, Retry, Stuck)
OF_FRAMES = (Lose, Late, Repeat, Swap, Edit, Garbage, Slow, Close, Reset)
OF_MARKET_FRAMES = (Restamp, Cross, Foreign, Number)
OF_USER_FRAMES = (Restamp, Strangers)
OF_SUBSCRIPTIONS = (NoSnapshot, Lose, Late)
OF_PINGS = (Lose, Late)

AnyEffect = (
    Late
    | Lose
    | Close
    | Reset
    | Edit
    | Hold
    | Drop
    | Queue
    | Answer
    | Garble
    | Batch
    | Word
    | Decline
    | Refuse
    | Delay
    | Kill
    | Thin
    | Improve
    | Fail
    | Retry
    | Stuck
    | Repeat
    | Swap
    | Restamp
    | Cross
    | Foreign
    | Number
    | Garbage
    | Strangers
    | Slow
    | NoSnapshot
)
