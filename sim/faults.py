"""The rules in force: what passes a place is counted here, and what is to be done to it comes out.

Pure but for what acts do. Each rule draws from a generator of its own, seeded by the exchange's
seed and the rule's number, so that one seed and one stream of requests give one set of faults.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sim.acts import Act
from sim.events import Event
from sim.rules import CLOCK, Rule, places_of, word_of
from sim.truth import Truth


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule can ask about one thing that passes a place; "" and 0 where it has no such part.

    `leg` is the place in a batch, from 1. `socket` is the number of the connection.
    """

    wallet: str = ""
    market: str = ""
    token: str = ""
    side: str = ""
    leg: int = 0
    order_type: str = ""
    order_id: str = ""
    event: str = ""
    status: str = ""
    socket: int = 0
    other_tokens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strike:
    """One effect on what passes, for the subjects that the rule means."""

    effect: Any
    rule: str
    subjects: tuple[Subject, ...]
    rng: Random

    @property
    def legs(self) -> frozenset[int]:
        """Places in the batch that are meant, from 1."""
        return frozenset(subject.leg for subject in self.subjects)


Perform = Callable[[Act, Subject, int], list[Event]]
"""Carries out an act; the events are for the sockets. The server puts the stagehand here."""


@dataclass(slots=True)
class _Live:
    """A rule with what it has seen and done."""

    rule: Rule
    rng: Random
    since_ms: int
    seen: int = 0
    done: int = 0

    def strikes(self, subjects: Sequence[Subject], now_ms: int) -> tuple[Subject, ...]:
        """The subjects that are meant, if this is one of the times."""
        when = self.rule.when
        most = when.most()
        if most is not None and self.done >= most:
            return ()
        age_ms = now_ms - self.since_ms
        if age_ms < when.from_ms or (when.until_ms is not None and age_ms >= when.until_ms):
            return ()
        meant = tuple(subject for subject in subjects if self._means(subject))
        if not meant:
            return ()
        self.seen += 1
        if not self._is_time():
            return ()
        self.done += 1
        return meant

    def _means(self, subject: Subject) -> bool:
        when = self.rule.when
        return (
            when.wallet.lower() in ("", subject.wallet.lower())
            and when.market in ("", subject.market)
            and (when.token in ("", subject.token) or when.token in subject.other_tokens)
            and when.side in ("", subject.side)
            and when.leg in (None, subject.leg)
            and when.order_type in ("", subject.order_type)
            and when.event in ("", subject.event)
            and when.status in ("", subject.status)
            and when.socket in (None, subject.socket)
        )

    def _is_time(self) -> bool:
        when = self.rule.when
        nth = (when.nth,) if isinstance(when.nth, int) else when.nth
        if nth is not None and self.seen not in nth:
            return False
        if when.every is not None and self.seen % when.every:
            return False
        return when.chance is None or self.rng.random() < when.chance


def _nobody(_act: Act, _subject: Subject, _now_ms: int) -> list[Event]:
    raise ValueError("nobody carries out acts here: the exchange has no server")


@dataclass(slots=True)
class Faults:
    """All rules of one exchange, in the order in which they were added."""

    seed: int
    truth: Truth
    perform: Perform = _nobody
    _rules: dict[str, _Live] = field(default_factory=dict)
    _at: dict[str, list[_Live]] = field(default_factory=dict)
    _count: int = 0

    def add(self, rules: Iterable[Rule], now_ms: int) -> str:
        """Put rules in force; returns what is wrong with a name, or "" when all went in."""
        new = list(rules)
        names = [rule.name for rule in new if rule.name]
        for name in names:
            if name in self._rules or names.count(name) > 1:
                return f"there is a rule named {name!r} already"
        for rule in new:
            self._count += 1
            name = rule.name or f"rule {self._count}"
            rng = Random(f"fault {self._count} {self.seed}")
            self._rules[name] = _Live(rule, rng, now_ms)
            self.truth.record("rule", name=name, at=rule.at, do=word_of(rule.then))
        self._index()
        return ""

    def clear(self, names: Iterable[str] | None, now_ms: int) -> None:
        """Take rules out of force, all of them with None; unknown names are ignored."""
        for name in list(self._rules) if names is None else list(names):
            if self._rules.pop(name, None) is not None:
                self.truth.record("rule_cleared", name=name, ms=now_ms)
        self._index()

    def rows(self) -> list[dict[str, Any]]:
        """The rules in force, with what they have seen and done."""
        return [
            {
                "name": name,
                "at": live.rule.at,
                "when": live.rule.when,
                "then": live.rule.then,
                "since_ms": live.since_ms,
                "seen": live.seen,
                "done": live.done,
            }
            for name, live in self._rules.items()
        ]

    def watches(self, place: str) -> bool:
        """Whether any rule stands at a place; the question that keeps the usual path short."""
        return place in self._at

    def visit(
        self, place: str, subjects: Sequence[Subject], now_ms: int, *, put_off: bool = False
    ) -> tuple[list[Strike], list[Event], list["Later"]]:
        """Something passes a place: effects on it, events of acts, and acts for afterwards.

        With `put_off` all acts are for afterwards.
        """
        strikes: list[Strike] = []
        events: list[Event] = []
        later: list[Later] = []
        for live in self._at.get(place, ()):
            meant = live.strikes(subjects, now_ms)
            if not meant:
                continue
            name = self._name_of(live)
            self.truth.record(
                "fault", rule=name, place=place, do=word_of(live.rule.then), subject=_shown(meant)
            )
            if not isinstance(live.rule.then, Act):
                strikes.append(Strike(live.rule.then, name, meant, live.rng))
            elif put_off or live.rule.then.moment == "after":
                later.append(Later(live.rule.then, meant[0]))
            else:
                events += self.perform(live.rule.then, meant[0], now_ms)
        return strikes, events, later

    def finish(self, later: Iterable["Later"], now_ms: int) -> list[Event]:
        """Carry out what was put off until after the handling."""
        return [event for one in later for event in self.perform(one.act, one.subject, now_ms)]

    def tick(self, now_ms: int) -> list[Event]:
        """What is due by the clock; a rule there acts once unless `count` says more."""
        events: list[Event] = []
        for live in self._at.get(CLOCK, ()):
            due_ms = live.since_ms + live.rule.when.from_ms * (live.done + 1)
            if live.done >= (live.rule.when.most() or 1) or now_ms < due_ms:
                continue
            live.seen += 1
            live.done += 1
            do = word_of(live.rule.then)
            self.truth.record("fault", rule=self._name_of(live), place=CLOCK, do=do, subject={})
            if isinstance(live.rule.then, Act):
                events += self.perform(live.rule.then, Subject(), now_ms)
        return events

    def _name_of(self, live: _Live) -> str:
        return next(name for name, one in self._rules.items() if one is live)

    def _index(self) -> None:
        self._at = {}
        for live in self._rules.values():
            for place in places_of(live.rule.at):
                self._at.setdefault(place, []).append(live)


@dataclass(frozen=True, slots=True)
class Later:
    """An act that waits until the request has been handled."""

    act: Act
    subject: Subject


def _shown(meant: tuple[Subject, ...]) -> dict[str, Any]:
    first = meant[0]
    shown = {
        "wallet": first.wallet,
        "market": first.market,
        "order_id": first.order_id,
        "event": first.event,
        "socket": first.socket,
    }
    return {name: value for name, value in shown.items() if value}
