"""Our ledger beside the venue's: what agrees, what was paid out, what nobody can explain. Pure.

A market that has ended pays its winners and takes all its tokens away. That is the one way in which
cash and positions may change without a trade of ours: it is believed when the market is over, the
whole position is gone, and the cash that came is what some settlement price of its ladder pays.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from executor.exposure import Token
from executor.ledger import Ledger
from shm.codes import Outcome
from shm.layout import Market
from shm.payoff import VOID_E4, bounds_of, pays_yes
from shm.units import PRICE_ONE_E4

COMBINATIONS_MAX = 100_000
"""Of settlements of ladders that ended together: more are not tried."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """What the venue says, read while nothing of ours moved."""

    cash_usd_e6: int
    positions_e6: Mapping[str, int]
    """By token; those that were asked for."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What is dust."""

    usd_e6: int
    size_e6: int


@dataclass(frozen=True, slots=True)
class Paid:
    """Tokens of a market that ended, and what they brought."""

    token: str
    size_e6: int
    paid_usd_e6: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a comparison came out."""

    paid: tuple[Paid, ...]
    """Payouts that explain what differs."""
    cash_usd_e6: int
    """Theirs less ours, beyond what the payouts explain."""
    positions: tuple[str, ...]
    """Tokens that differ, and are not explained,"""
    sizes_e6: tuple[int, ...] = ()
    """and theirs less ours, of each."""

    @property
    def clean(self) -> bool:
        """Whether everything agrees or is explained."""
        return not self.positions and self.cash_usd_e6 == 0


def compare(
    ledger: Ledger,
    theirs: Theirs,
    tokens: Mapping[str, Token],
    tolerance: Tolerance,
    now_ms: int,
) -> Comparison:
    """Compare, and explain what can be explained."""
    gone, differing = [], []
    for token, size_e6 in theirs.positions_e6.items():
        ours_e6 = ledger.size_e6(token)
        if abs(ours_e6 - size_e6) <= tolerance.size_e6:
            continue
        over = token in tokens and tokens[token][0].expiry_ms <= now_ms
        if over and size_e6 == 0 and ours_e6 > 0:
            gone.append((token, ours_e6))
        else:
            differing.append(token)
    cash_usd_e6 = theirs.cash_usd_e6 - ledger.cash_usd_e6
    paid = _payouts(gone, tokens, cash_usd_e6, tolerance)
    if paid is None:
        differing += [token for token, _ in gone]
        paid = ()
    rest = cash_usd_e6 - sum(one.paid_usd_e6 for one in paid)
    unexplained = 0 if abs(rest) <= tolerance.usd_e6 else rest
    sizes_e6 = tuple(theirs.positions_e6[token] - ledger.size_e6(token) for token in differing)
    return Comparison(paid, unexplained, tuple(differing), sizes_e6)


def _payouts(
    gone: Iterable[tuple[str, int]],
    tokens: Mapping[str, Token],
    cash_usd_e6: int,
    tolerance: Tolerance,
) -> tuple[Paid, ...] | None:
    """The settlements of all ladders that ended which pay what came in; None if none do."""
    ladders: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    for token, size_e6 in gone:
        market = tokens[token][0]
        ladders[market.group, market.fingerprint].append((token, size_e6))
    reached: dict[int, tuple[Paid, ...]] = {0: ()}
    for held in ladders.values():
        ways = _settlements(held, tokens)
        if len(reached) * len(ways) > COMBINATIONS_MAX:
            return None
        reached = {
            total + sum(one.paid_usd_e6 for one in way): (*so_far, *way)
            for total, so_far in reached.items()
            for way in ways
        }
    best = min(reached, key=lambda total: abs(total - cash_usd_e6))
    return reached[best] if abs(best - cash_usd_e6) <= tolerance.usd_e6 else None


def _settlements(
    held: list[tuple[str, int]], tokens: Mapping[str, Token]
) -> list[tuple[Paid, ...]]:
    """What one ladder's tokens pay, for every price that it could settle on, and for void."""
    markets: list[Market] = [tokens[token][0] for token, _ in held]
    bounds = sorted({bound for market in markets for bound in bounds_of(market)})
    ways = {_way(held, [VOID_E4] * len(held))}
    for position in range(2 * len(bounds) + 1):
        pays = []
        for (token, _), market in zip(held, markets, strict=True):
            wins = pays_yes(market, bounds, position) is (tokens[token][1] is Outcome.YES)
            pays.append(PRICE_ONE_E4 if wins else 0)
        ways.add(_way(held, pays))
    return sorted(ways, key=lambda way: [one.paid_usd_e6 for one in way])


def _way(held: Sequence[tuple[str, int]], pays_e4: Sequence[int]) -> tuple[Paid, ...]:
    return tuple(
        Paid(token, size_e6, size_e6 * pay_e4 // PRICE_ONE_E4)
        for (token, size_e6), pay_e4 in zip(held, pays_e4, strict=True)
    )
