"""Who receives which event: the subscriptions of both channels, without any socket.

Recipients are any hashable objects. The market channel knows tokens and, through them, markets; the
user channel knows API keys and an optional set of markets.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sim.events import Audience, Frame, UserFrame
from sim.limits import MAX_SOCKET_MARKETS, MAX_SOCKET_TOKENS, SNAPSHOT_TOKENS

Who = TypeVar("Who", bound=Hashable)


@dataclass(slots=True)
class MarketSubscriptions(Generic[Who]):
    """Subscriptions of the market channel. `market_of` gives the condition id of a token."""

    market_of: dict[str, str] = field(default_factory=dict)
    _tokens: dict[Who, dict[str, None]] = field(default_factory=dict)
    _by_token: defaultdict[str, dict[Who, None]] = field(default_factory=lambda: defaultdict(dict))
    _by_market: defaultdict[str, dict[Who, int]] = field(default_factory=lambda: defaultdict(dict))
    _custom: dict[Who, None] = field(default_factory=dict)

    def set_custom(self, who: Who, *, wanted: bool) -> None:
        """Turn the custom events of a recipient on or off."""
        if wanted:
            self._custom[who] = None
        else:
            self._custom.pop(who, None)

    def add(self, who: Who, tokens: Iterable[tuple[str, str]]) -> list[str]:
        """Subscribe to (token, condition id) pairs; returns the tokens to send a snapshot of.

        Repeated tokens are refused silently. Beyond `SNAPSHOT_TOKENS` on one socket there are
        updates but no snapshots, beyond `MAX_SOCKET_TOKENS` nothing, as on the venue.
        """
        mine = self._tokens.setdefault(who, {})
        snapshots: list[str] = []
        for token, market in tokens:
            if token in mine or len(mine) >= MAX_SOCKET_TOKENS:
                continue
            mine[token] = None
            self.market_of[token] = market
            self._by_token[token][who] = None
            holders = self._by_market[market]
            holders[who] = holders.get(who, 0) + 1
            if len(mine) <= SNAPSHOT_TOKENS:
                snapshots.append(token)
        return snapshots

    def remove(self, who: Who, tokens: Iterable[str]) -> None:
        """Unsubscribe; unknown tokens are ignored."""
        mine = self._tokens.get(who, {})
        for token in tokens:
            if token not in mine:
                continue
            del mine[token], self._by_token[token][who]
            holders = self._by_market[self.market_of[token]]
            holders[who] -= 1
            if holders[who] == 0:
                del holders[who]

    def forget(self, who: Who) -> None:
        """A recipient has gone."""
        self.remove(who, list(self._tokens.get(who, ())))
        self._tokens.pop(who, None)
        self._custom.pop(who, None)

    def recipients(self, frame: Frame) -> Collection[Who]:
        """Who receives a frame of the market channel."""
        match frame.audience:
            case Audience.MARKET:
                return self._by_market[frame.key].keys() if frame.key in self._by_market else ()
            case Audience.TOKEN:
                return self._by_token[frame.key].keys() if frame.key in self._by_token else ()
            case Audience.TOKEN_CUSTOM:
                holders = self._by_token.get(frame.key, {})
                return [who for who in holders if who in self._custom]
            case Audience.EVERY_CUSTOM:
                return self._custom.keys()


@dataclass(slots=True)
class UserSubscriptions(Generic[Who]):
    """Subscriptions of the user channel; None instead of markets means all of them."""

    _by_owner: defaultdict[str, dict[Who, set[str] | None]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def add(self, who: Who, owner: str, markets: list[str] | None) -> None:
        """An authenticated recipient; an empty list stands for all markets."""
        chosen = set(markets[:MAX_SOCKET_MARKETS]) if markets else None
        self._by_owner[owner][who] = chosen

    def change(self, who: Who, owner: str, markets: list[str], *, wanted: bool) -> None:
        """Add or remove markets; who listens to all of them keeps listening to all."""
        chosen = self._by_owner[owner].get(who)
        if chosen is None:
            return
        if not wanted:
            chosen.difference_update(markets)
        elif len(chosen) + len(markets) <= MAX_SOCKET_MARKETS:
            chosen.update(markets)

    def forget(self, who: Who, owner: str) -> None:
        """A recipient has gone."""
        self._by_owner[owner].pop(who, None)

    def recipients(self, frame: UserFrame) -> list[Who]:
        """Who receives a frame of the user channel."""
        if frame.owner not in self._by_owner:
            return []
        return [
            who
            for who, chosen in self._by_owner[frame.owner].items()
            if chosen is None or frame.condition_id in chosen
        ]
