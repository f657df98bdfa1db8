"""The numbers that state, kind and reason fields of the layout may hold, by name.

Zero always means "nothing yet". A number keeps its meaning for ever: new ones are appended.
"""

from enum import IntEnum


class Role(IntEnum):
    """Who may write what; also the row in the role table."""

    SUPERVISOR = 0
    DESK = 1
    INGEST = 2
    ENGINE = 3
    EXECUTOR = 4
    KILLER = 5
    """Sets the latch that stops all trading, and cancels; holds no key that could sign an order."""
    OPERATOR = 6
    """Somebody at a command line who asks desk or supervisor for something."""

    @property
    def label(self) -> str:
        """Lower-case name, as used in file and section names."""
        return self.name.lower()

    @property
    def module(self) -> str:
        """What `python -m` runs for it."""
        return "executor.killer" if self is Role.KILLER else self.label


STAGES = (Role.INGEST, Role.ENGINE, Role.EXECUTOR)
"""The way of an order, from frame to fill."""
SUPERVISED = (*STAGES, Role.KILLER)
"""Whom a supervisor starts, watches and brings back. The killer is stopped last."""
ROLE_ROWS = 8


class StageState(IntEnum):
    """What a role's holder is doing."""

    NONE = 0
    STARTING = 1
    WAITING = 2
    """For something that another process must provide: a market generation, the venue."""
    RECOVERING = 3
    RUNNING = 4
    STOPPED = 5


class MarketState(IntEnum):
    """Whether a market's row may be used."""

    FREE = 0
    ACTIVE = 1
    RETIRED = 2


class MarketKind(IntEnum):
    """When YES pays, for a settlement price S."""

    NONE = 0
    ABOVE = 1
    """S > lower."""
    RANGE = 2
    """lower <= S < upper."""
    BELOW = 3
    """S < upper: the lowest bracket."""
    TOP = 4
    """S >= lower: the highest bracket, although its label says "greater than"."""


class Exchange(IntEnum):
    """Which exchange contract settles a market: it fixes the signing domain."""

    NONE = 0
    STANDARD = 1
    NEG_RISK = 2
    POSITION_IDS = 3
    """The contract of protocol-v2 markets ("exchange V3")."""


class BookState(IntEnum):
    """Whether a book may be believed."""

    UNKNOWN = 0
    """No snapshot yet."""
    LIVE = 1
    STALE = 2
    """Was live; the connection or a check failed. Waits for a fresh snapshot."""


class HashState(IntEnum):
    """What the last comparison with the venue's book hash said."""

    UNCHECKED = 0
    MATCHED = 1
    DIFFERED = 2


class Outcome(IntEnum):
    """Which token of a market."""

    NONE = 0
    YES = 1
    NO = 2


class Side(IntEnum):
    """What we do with it."""

    NONE = 0
    BUY = 1
    SELL = 2


class BasketKind(IntEnum):
    """A label for people; the engine computes with legs and payouts only."""

    NONE = 0
    TRIANGLE_BUY = 1
    COMPLEMENT_BUY = 2
    LADDER_BUY = 3
    TOP_BRACKET = 4
    """The highest bracket against the strike at its bound."""
    BOTTOM_BRACKET = 5
    BRACKETS_YES = 6
    """YES of every bracket."""
    BRACKETS_NO = 7
    """NO of every bracket that is quoted; at least two."""
    WIDE_TRIANGLE = 8
    WIDE_COMPLEMENT = 9
    WIDE_LADDER = 10
    PROMOTED = 11
    """Found by a scan and promoted by a person."""


KIND_WORDS = {
    BasketKind.NONE: "?",
    BasketKind.TRIANGLE_BUY: "trio",
    BasketKind.COMPLEMENT_BUY: "complement",
    BasketKind.LADDER_BUY: "ladder",
    BasketKind.TOP_BRACKET: "top_bracket",
    BasketKind.BOTTOM_BRACKET: "bottom_bracket",
    BasketKind.BRACKETS_YES: "negrisk_yes",
    BasketKind.BRACKETS_NO: "negrisk_no",
    BasketKind.WIDE_TRIANGLE: "wide_trio",
    BasketKind.WIDE_COMPLEMENT: "wide_complement",
    BasketKind.WIDE_LADDER: "wide_ladder",
    BasketKind.PROMOTED: "promoted",
}
"""What people call the kinds, on every screen and in every file."""


class Verdict(IntEnum):
    """Why a basket was or was not signalled when last looked at."""

    NONE = 0
    UNQUOTED = 1
    NO_EDGE = 2
    STALE = 3
    SKEWED = 4
    COOLING = 5
    BUSY = 6
    TOO_SMALL = 7
    DISABLED = 8
    RING_FULL = 9
    SIGNALLED = 10


class ReportKind(IntEnum):
    """What a report says about a signal."""

    NONE = 0
    REFUSED = 1
    """Nothing was sent; `reason` is a `Refusal`."""
    SENT = 2
    COMPLETE = 3
    PARTIAL = 4
    """Some legs filled; `reason` is a `PartialReason`."""
    MISSED = 5
    """Sent, and no leg filled."""


class Refusal(IntEnum):
    """Why the executor sent nothing. Each has a counter `refused_<name>`."""

    NONE = 0
    DISABLED = 1
    STALE = 2
    DUPLICATE = 3
    GENERATION = 4
    MARKET = 5
    SIZE = 6
    EDGE = 7
    CASH = 8
    BUSY = 9
    UNARMED = 10
    UNSUPPORTED = 11
    DAMAGED = 12
    """It contradicts itself: not what the engine wrote."""
    KILLED = 13
    """The kill latch is set."""
    MODE = 14
    """The circuit breaker allows no new basket now."""
    NOTIONAL = 15
    """One order would cost more than an order may."""
    SHARES = 16
    COLLAR = 17
    """A limit price too far from what is quoted."""
    TOO_GOOD = 18
    """An edge that no market would leave lying about."""
    EXPOSURE_MARKET = 19
    EXPOSURE_GROUP = 20
    EXPOSURE_DAY = 21
    """All groups of one coin and expiry day."""
    EXPOSURE = 22
    """Everything together."""
    NAKED = 23
    """Legs without their basket are worth more than may stand alone."""
    RATE = 24
    """Orders a second, or a day."""
    REPEAT = 25
    """The same group again too soon, or too often this hour."""
    IN_DOUBT = 26
    """Orders whose fate is not known yet."""
    METADATA = 27
    """Market facts too old to trade on, or of another age than the signal."""
    CLOCK = 28
    """Our clock and the venue's differ."""
    FENCE = 29
    """Too close to the market's end, or to a restart of the venue."""
    SELF_CROSS = 30
    """It could match an order of our own. Nothing of ours rests: markets in use are BUSY."""
    OFF = 31
    """It would have been sent, if execution were not off."""


class PartialReason(IntEnum):
    """Why a basket stayed partial. Each has a counter `partial_<name>`."""

    NONE = 0
    KILLED = 1
    """A fill-or-kill leg found too little at its price."""
    REFUSED = 2
    """The venue refused a leg."""
    DOUBT = 3
    """A leg's outcome could not be proven in time."""
    RESTART = 4
    """The executor died while the basket was on its way."""
    VOIDED = 5
    """A fill was taken back: its trade failed on chain."""


class FlightState(IntEnum):
    """Life of a basket that was sent; transitions are a table in executor/flights.py."""

    NONE = 0
    INTENT = 1
    SENT = 2
    RESOLVING = 3
    COMPLETE = 4
    PARTIAL = 5
    """Some legs stand without the others, and are kept to the end."""
    MISSED = 6
    NAKED = 7
    """Some legs stand without the others: to be completed or unwound."""
    UNWOUND = 8
    """What had filled was sold again."""


class FillStatus(IntEnum):
    """How far a trade is on its way to the chain."""

    NONE = 0
    MATCHED = 1
    MINED = 2
    CONFIRMED = 3
    RETRYING = 4
    FAILED = 5


class Purpose(IntEnum):
    """What a batch of orders is for."""

    NONE = 0
    BASKET = 1
    """A signal's basket."""
    REPAIR = 2
    """Completes or unwinds a basket of which only some legs filled."""


class Mode(IntEnum):
    """The circuit breaker: what the executor may do. Transitions are a table in executor/modes.py.

    In the order of freedom lost: any mode may fall to a later one at once.
    """

    NONE = 0
    BOOT = 1
    RECONCILING = 2
    """Coming to a true ledger; nothing new is sent."""
    DISARMED = 3
    """The ledger is true; waits for the operator's word (paper arms itself)."""
    ARMED = 4
    THROTTLED = 5
    """The venue asked for a pause."""
    VENUE_RESTART = 6
    """The venue's matching engine restarts, or takes only resting orders after it."""
    REDUCE_ONLY = 7
    """Only orders that make a position smaller or whole."""
    CANCEL_ONLY = 8
    HALTED = 9
    """Latched: leaves only by the operator's word after a clean reconciliation."""


class Cause(IntEnum):
    """Why the mode is what it is. A number keeps its meaning in journals for ever."""

    NONE = 0
    START = 1
    CLEAN = 2
    """Everything was compared and agreed."""
    OPERATOR = 3
    KILL = 4
    DAY_LOSS = 5
    DRAWDOWN = 6
    REFUSALS = 7
    SETTLEMENT = 8
    """Trades failed on chain, or never got there."""
    DIFFERENCE = 9
    """Our ledger and the venue's do not agree."""
    DOUBT = 10
    RUNAWAY = 11
    """More orders on the wire than intended, or far too many at once."""
    JOURNAL = 12
    """The journal is damaged, gone, older than it was, or cannot be written."""
    CLOCK = 13
    UNAUTHORIZED = 14
    BANNED = 15
    VENUE_RESTARTING = 16
    VENUE_THROTTLED = 17
    STRANGER = 18
    """Orders of this wallet that are not ours."""
    IDENTITY = 19
    """The venue called an order by another hash than its own."""
    CALM = 20
    """The reason for a pause is over."""
    BALANCE = 21
    """The venue says that cash or allowance is missing."""
    STOOD_STILL = 22
    """The process was stopped, or the machine slept."""


class LegState(IntEnum):
    """Life of one order; transitions are a table in executor/flights.py."""

    NONE = 0
    INTENT = 1
    SENT = 2
    FILLED = 3
    KILLED = 4
    REFUSED = 5
    DOUBT = 6
    LANDED = 7
    """Accepted by the venue, fill not seen yet."""
    NEVER_LANDED = 8


class LegReason(IntEnum):
    """The venue's words for a leg that did not fill, as a closed list."""

    NONE = 0
    KILLED = 1
    BALANCE = 2
    TICK = 3
    MIN_SIZE = 4
    AMOUNTS = 5
    CLOSED = 6
    RESTARTING = 7
    THROTTLED = 8
    UNAUTHORIZED = 9
    BANNED = 10
    POST_ONLY_MODE = 11
    OTHER = 12
    TIMEOUT = 13
    TRANSPORT = 14
    DUPLICATED = 15
    UNREADABLE = 16
