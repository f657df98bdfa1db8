"""Do the two families of a ladder settle on the same price? If not, both texts are shown.

Baskets pair an "above" family with the price ranges of the same coin and time only where the rules
read out of their texts are equal. When the venue words them differently there is something for a
person to read and decide, so the report carries both texts in full.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from desk.calendar import Family, Horizon, on_new_yorks_clock
from desk.ladders import Facts
from shm.codes import MarketKind


@dataclass(frozen=True, slots=True)
class Wording:
    """One rule that markets of a family settle by."""

    rule: str
    """In words; says why if the text could not be read."""
    text: str
    markets: int
    example: str
    """Slug of one of them."""


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A ladder whose families settle by different rules, or by rules that cannot be read."""

    coin: str
    expiry_ms: int
    horizon: Horizon
    above: tuple[Wording, ...]
    price: tuple[Wording, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All markets of one coin, expiry and horizon."""

    coin: str
    expiry_ms: int
    horizon: Horizon
    members: tuple[Facts, ...]

    def family(self, family: Family) -> list[Facts]:
        """The members that belong to one of the two events."""
        return [one for one in self.members if family_of(one.market.kind) is family]


def family_of(kind: int) -> Family:
    """Which event lists markets of this kind."""
    return Family.ABOVE if kind == MarketKind.ABOVE else Family.PRICE


def groups_of(markets: Iterable[tuple[Facts, Horizon]]) -> list[Group]:
    """Markets by coin, expiry and horizon, the next expiry first."""
    members: dict[tuple[int, str, Horizon], list[Facts]] = {}
    for facts, horizon in markets:
        coin = facts.market.coin.rstrip(b"\0").decode()
        members.setdefault((facts.market.expiry_ms, coin, horizon), []).append(facts)
    return [
        Group(coin, expiry_ms, horizon, tuple(ones))
        for (expiry_ms, coin, horizon), ones in sorted(members.items())
    ]


def unpaired(groups: Sequence[Group]) -> list[Unpaired]:
    """The groups that have both families and not one rule for all of their markets."""
    found = []
    for group in groups:
        families = [group.family(family) for family in Family]
        rules = {one.market.fingerprint for one in group.members}
        if all(families) and len(rules) > 1:
            above, price = map(_wordings, families)
            found.append(Unpaired(group.coin, group.expiry_ms, group.horizon, above, price))
    return found


def _wordings(members: Sequence[Facts]) -> tuple[Wording, ...]:
    """The different rules of a family, the commonest first."""
    by_words: dict[str, list[Facts]] = {}
    for one in members:
        by_words.setdefault(one.rule.in_words(), []).append(one)
    ordered = sorted(by_words.items(), key=lambda item: -len(item[1]))
    return tuple(Wording(words, ones[0].text, len(ones), _slug(ones[0])) for words, ones in ordered)


def _slug(facts: Facts) -> str:
    return facts.market.slug.rstrip(b"\0").decode(errors="replace")


def in_words(mismatch: Unpaired) -> str:
    """A mismatch for people, over several lines."""
    when = on_new_yorks_clock(mismatch.expiry_ms)
    ladder = f"{mismatch.coin} {mismatch.horizon.value} of {when}"
    lines = [f"{ladder}: the two families settle by different rules and are not paired."]
    for name, wordings in (("above", mismatch.above), ("price ranges", mismatch.price)):
        for wording in wordings:
            lines += [
                f"  {name} ({wording.markets} markets, such as {wording.example})",
                f"    rule: {wording.rule}",
                f"    text: {' '.join(wording.text.split()) or '(none)'}",
            ]
    return "\n".join(lines)
