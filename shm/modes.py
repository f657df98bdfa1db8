"""The numbers of the control and shadow segments: which engine, what becomes of signals, wishes.

Zero always means "nothing", or "as the settings say". A number keeps its meaning for ever.
"""

from enum import IntEnum, IntFlag


class EngineMode(IntEnum):
    """Which engine decides."""

    NONE = 0
    NATIVE = 1
    PYTHON = 2
    SHADOW = 3
    """The native one decides; the Python one is given the same and compared."""


class Execution(IntEnum):
    """What becomes of a signal that may be sent."""

    NONE = 0
    PAPER = 1
    LIVE = 2
    OFF = 3
    """Nothing: everything else goes on."""


class SocketMode(IntEnum):
    """Which library carries the market channel."""

    NONE = 0
    PICOWS = 1
    WEBSOCKETS = 2


class WishKind(IntEnum):
    """What an operator asks for."""

    NONE = 0
    RELOAD = 1
    """Of the supervisor: read the settings again."""
    MODES = 2
    """Of desk: other modes."""


class Answer(IntEnum):
    """What desk says of a wish."""

    NONE = 0
    DONE = 1
    REFUSED = 2


class Reloaded(IntEnum):
    """What became of an attempt to take over changed settings."""

    NONE = 0
    PUBLISHED = 1
    UNCHANGED = 2
    """The file says what holds already."""
    REFUSED = 3


class Differs(IntFlag):
    """In what two engines differ about a basket."""

    MISSING = 1
    """Only the native one made a signal."""
    EXTRA = 2
    """Only the Python one did."""
    PROFIT = 4
    SIZE = 8
    LEGS = 16
    EDGE = 32
    VERDICT = 64
    """Neither did, for different reasons."""
