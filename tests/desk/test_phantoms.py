"""No phantoms: edges that exist only while half of a time stamp has been applied are never seen.

The recording has full books of both tokens of 12 markets. To see what evaluation in the middle of
a time stamp would do, the two tokens are played as two markets that exclude each other (the price
ends up, or it does not), so that our own compiler makes the basket "both" of them. (With one market
and its mirrored NO there is no such basket at all: see the last test.)
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import pytest

from desk.recording import Levels, Moment, Quote
from desk.replay import EPOCH, Outcome, Player, replay
from desk.scan import offers_of, scan_ladder
from desk.scanning import Measure
from desk.windows import DELAYS_MS, Fate
from engine.baskets import compile_baskets
from shm.codes import BasketKind, MarketKind
from shm.layout import Market
from tests.engine.factory import market


class Snapshot(NamedTuple):
    """One token's book."""

    market: str
    at_ms: int
    up: bool
    bids: Levels
    asks: Levels


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    from pyarrow import parquet

    from tests.conftest import SHARED

    path = SHARED / "data/l2_books/books_dev.parquet"
    if not path.exists():
        pytest.skip("needs the recordings in ../shared/data")
    return [
        Snapshot(
            row["market_id"], row["ts"], row["side"] == "UP",
            levels(row["bid_px"], row["bid_sz"]), levels(row["ask_px"], row["ask_sz"]),
        )
        for row in parquet.read_table(path).to_pylist()
    ]  # fmt: skip


def levels(prices: Sequence[float], sizes: Sequence[float]) -> Levels:
    return tuple(
        (f"{price:.4f}", f"{size:.6f}")
        for price, size in zip(prices, sizes, strict=True)
        if 0 < price < 1
    )


def as_two_markets(snapshots: Sequence[Snapshot]) -> tuple[list[Market], dict[str, int]]:
    """For each market two rows, UP and DOWN, that share out the line between them."""
    ids = list(dict.fromkeys(one.market for one in snapshots))
    markets = []
    for number, _ in enumerate(ids):
        for kind, bounds in ((MarketKind.TOP, (5, None)), (MarketKind.BELOW, (None, 5))):
            row = len(markets)
            markets.append(
                market(row, kind, *bounds, group=number + 1)._replace(
                    condition=row.to_bytes(32, "big"), expiry_ms=2_000_000_000_000
                )
            )
    return markets, {name: 2 * number for number, name in enumerate(ids)}


def moments(
    snapshots: Sequence[Snapshot], row_of: dict[str, int], *, per_token: bool, bids: bool
) -> Iterator[Moment]:
    """The recording as moments: whole time stamps of a market, or each token for itself."""
    for (name, at_ms), group in groupby(snapshots, lambda one: (one.market, one.at_ms)):
        quotes = [
            Quote(row_of[name] + (not one.up), one.bids if bids else (), one.asks)
            for one in group
        ]  # fmt: skip
        for some in ([quote] for quote in quotes) if per_token else [quotes]:
            yield Moment(str(at_ms), at_ms, some)


def played(snapshots: Sequence[Snapshot], *, per_token: bool, bids: bool = False) -> Outcome:
    """The two asks only, unless `bids`: a book that crosses itself is used for nothing."""
    markets, row_of = as_two_markets(snapshots)
    player = Player(markets, keep=per_token)
    ids = [str(row) for row in range(len(markets))]
    return replay(player, ids, moments(snapshots, row_of, per_token=per_token, bids=bids), None)


def true_crossings(snapshots: Sequence[Snapshot]) -> set[int]:
    """Time stamps at which the asks of both tokens, both of that stamp, sum to less than one."""
    found = set()
    for (_, at_ms), group in groupby(snapshots, lambda one: (one.market, one.at_ms)):
        asks = [one.asks[0][0] for one in group if one.asks]
        if len(asks) == 2 and sum(round(float(ask) * 10_000) for ask in asks) < 10_000:
            found.add(at_ms)
    return found


def test_after_whole_time_stamps_only_the_true_crossings_are_seen(snapshots):
    found = played(snapshots, per_token=False)
    true = true_crossings(snapshots)
    assert len(true) == 2
    assert found.frames_refused == 0
    assert found.kinds["negrisk_yes"].evaluations > 11_000
    assert found.kinds["negrisk_yes"].gross_positive == len(true)
    assert {window.first_ms for window in found.log.windows()} <= true


def test_evaluated_per_token_the_same_recording_shows_phantoms(snapshots):
    """The switch with which the test above can fail."""
    found = played(snapshots, per_token=True)
    phantoms = found.kinds["negrisk_yes"].gross_positive - len(true_crossings(snapshots))
    assert phantoms > 500
    assert found.kinds["negrisk_yes"].net_positive > 50
    assert {window.first_ms for window in found.log.windows()} - true_crossings(snapshots)


def test_with_both_sides_not_even_the_true_crossings_are_used(snapshots):
    """Each of them is a book whose own bid is above its own ask: something is wrong with it."""
    found = played(snapshots, per_token=False, bids=True)
    assert found.kinds["negrisk_yes"].evaluations > 11_000
    assert found.kinds["negrisk_yes"].gross_positive == 0


def test_on_a_recording_in_milliseconds_the_delays_are_told_apart(snapshots):
    log = played(snapshots, per_token=True).log
    assert log.resolution_ms is not None
    windows = log.windows()
    fates = [Counter(one.fate(delay) for one in windows) for delay in DELAYS_MS]
    # The other token follows within milliseconds: nobody would have filled a single phantom.
    assert len(windows) > 100
    assert all(not fate[Fate.FILLED] and not fate[Fate.AGAIN] for fate in fates)
    assert fates[0][Fate.UNKNOWN] > fates[-1][Fate.UNKNOWN] == 0
    assert fates[0][Fate.GONE] < fates[-1][Fate.GONE] == len(windows)


def test_a_scan_of_the_recorded_books_finds_nothing_and_misses_nothing(snapshots):
    """After fees not even the true crossings are worth anything: each bound says so exactly."""
    markets, row_of = as_two_markets(snapshots)
    player = Player(markets)
    measure, true = Measure(), true_crossings(snapshots)
    for number, moment in enumerate(moments(snapshots, row_of, per_token=False, bids=False)):
        player.show(moment)
        if number % 50 == 0 or moment.at_ms in true:
            for offers in offers_of(markets, player.shown, EPOCH):
                ladder = scan_ladder(offers, player.baskets)
                assert ladder.answer.bound.profit_usd_e6 <= 1
                measure.add(ladder)
    assert measure.scans > 200
    assert (measure.with_profit, measure.with_more, measure.unproven) == (0, 0, 0)


def test_yes_and_no_of_one_market_are_no_basket():
    assert compile_baskets([market(0, MarketKind.ABOVE, 5)]).baskets == ()
    both = compile_baskets([market(0, MarketKind.ABOVE, 5), market(1, MarketKind.TOP, 5)]).baskets
    assert {basket.kind for basket in both} == {BasketKind.TOP_BRACKET}
    for basket in both:
        assert len({leg.market.row for leg in basket.legs}) == len(basket.legs)
