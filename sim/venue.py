"""Everything one running exchange consists of, and the shape of the requests it answers.

A handler is a function of the venue and a call; it returns a reply. No handler knows aiohttp.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from sim.auth import ApiKey
from sim.catalog import Catalog
from sim.events import Event
from sim.exchange import Exchange
from sim.mirror import Mirror
from sim.replies import Reply
from sim.source import Source


@dataclass(slots=True, eq=False)
class Venue:
    """The exchange, its listing, what feeds it, and what the process counts.

    `skew_ms` is how far the venue's clock is off, as clients can see it. `mirror` is the source
    once more, where it mirrors a live venue.
    """

    exchange: Exchange
    catalog: Catalog
    source: Source
    started_ms: int
    frames_sent: int = 0
    skew_ms: int = 0
    mirror: Mirror | None = None

    def step(self, now_ms: int) -> list[Event]:
        """Let time pass for all parts."""
        self.exchange.truth.ms = now_ms
        events = self.exchange.faults.tick(now_ms)
        return [*events, *self.source.step(now_ms), *self.exchange.advance(now_ms)]


class Guard(Enum):
    """What a request has to prove before its handler runs."""

    OPEN = "nothing"
    L1 = "the EOA signed the statement"
    L2 = "the HMAC of an API key"


class Errand(Enum):
    """What a request is for; engine states and rate limits ask."""

    PLACING = "places orders"
    CANCELLING = "cancels orders"
    OTHER = "anything else"
    ADMIN = "looks behind the scenes; no rule and no log of the exchange sees it"


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, read and authenticated.

    `path` holds the variable parts of the path, `query` every value of each parameter. `key` is set
    under L2, `identity` (EOA and nonce) under L1.
    """

    body: bytes
    path: Mapping[str, str]
    query: Mapping[str, list[str]]
    now_ms: int
    key: ApiKey | None = None
    identity: tuple[str, int] | None = None

    def one(self, name: str) -> str:
        """First value of a query parameter, or ""."""
        values = self.query.get(name)
        return values[0] if values else ""

    def owner(self) -> ApiKey:
        """The API key; only handlers behind L2 may ask."""
        if self.key is None:
            raise ValueError("no API key: the route is not guarded by L2")
        return self.key

    def signer(self) -> tuple[str, int]:
        """EOA and nonce; only handlers behind L1 may ask."""
        if self.identity is None:
            raise ValueError("no identity: the route is not guarded by L1")
        return self.identity


Handler = Callable[[Venue, Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table of endpoints; `path` in aiohttp's notation."""

    method: str
    path: str
    handler: Handler
    guard: Guard = field(default=Guard.OPEN)
    errand: Errand = field(default=Errand.OTHER)

    @property
    def place(self) -> str:
        """The endpoint as rules name it."""
        return f"{self.method} {self.path}"
