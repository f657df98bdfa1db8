"""Forgetting: strangers and tokens go when nothing needs them, and a snapshot says the same."""

import itertools

from executor.exposure import DAY_MS
from executor.forgetting import TOKENS_MS
from executor.snapshot import draft, market_row, snapshot
from executor.state import HOUR_MS, MINUTE_MS, NAMES_MS
from shm import records
from shm.codes import FillStatus, LegState, Side
from shm.records import Kind
from tests.executor.stories import MARKETS, Story, word
from tests.executor.test_fold import quiet, restored
from tests.executor.written import START_MS, Written

DAYS = 40


def listed(number: int, now_ms: int):
    """A market that ends within a day."""
    tokens = [(10**60 + 2 * number + side).to_bytes(32, "big") for side in (0, 1)]
    return MARKETS[0]._replace(
        key=10**6 + number, yes_token=tokens[0], no_token=tokens[1], expiry_ms=now_ms + DAY_MS
    )


def lived(story: Story) -> None:
    """Forty days of new markets, a stranger's order a day, and baskets now and then."""
    for day in range(DAYS):
        story.now_ms += DAY_MS
        market = listed(day, story.now_ms)
        story.tell([draft(Kind.MARKET, market_row(market))])
        row = records.Fill(
            story.now_ms, 10**6, 0, 5_000, Side.BUY, FillStatus.CONFIRMED, 0,
            f"d{day}".encode(), day.to_bytes(32, "big"), market.yes_token,
        )  # fmt: skip
        story.tell([draft(Kind.FILL, row)])
        paid = records.Redeemed(10**6, 10**6, market.yes_token)
        story.tell([draft(Kind.REDEEMED, paid)])
        story.now_ms += 120_000
        story.tell([draft(Kind.COMPARED, records.Compared(1, 1, 0, 1, 0))])


def test_tokens_and_strangers_do_not_grow_with_the_days():
    story = Story(1)
    lived(story)
    state = story.state
    kept_days = TOKENS_MS // DAY_MS + 2
    assert len(state.strangers) <= kept_days
    assert len(state.tokens) <= 2 * (kept_days + len(MARKETS))
    assert len(state.ledger.holdings) <= kept_days
    assert len(state.ledger.orders) <= kept_days
    # Money has forgotten nothing.
    assert state.ledger.cash_change_usd_e6 == DAYS * (10**6 - 500_000)
    assert restored(quiet(story).state).picture() == state.picture()


def test_paces_do_not_grow_with_the_ladders():
    story = Story(3)
    for number in range(20):
        story.ladders = [number]
        story.launch()
        flight = list(story.state.flights.values())[-1]
        assert story.state.baskets_in_hour(number, story.now_ms) == 1
        story.now_ms += HOUR_MS // 2
        story.tell([draft(Kind.COMPARED, records.Compared(1, 1, 0, 1, 0))])
        assert len(story.state.pace) <= 3
        assert flight.group in story.state.pace, "half an hour is within the hour"
    assert restored(quiet(story).state).picture() == story.state.picture()


def failed(written: Written):
    """A basket whose trades have all failed on chain."""
    flight = written.launch()
    written.reply(flight, *[LegState.FILLED] * 3)
    for status in (FillStatus.MATCHED, FillStatus.FAILED):
        for place in range(3):
            written.fill(flight, place, status)
    return flight


def compared(written: Written, at_ms: int) -> None:
    written.clock_ms = itertools.count(at_ms)
    written.chronicle.say(Kind.COMPARED, records.Compared(0, 0, 0, 3, 0))


def rotated(written: Written) -> None:
    state = written.state
    assert isinstance(written.journal.rotate(snapshot(state), digest=state.digest()), int)


def test_a_trade_that_failed_and_is_confirmed_later_counts_for_whoever_was_started_between(
    tmp_path,
):
    written = Written(tmp_path).begin()
    flight = failed(written)
    compared(written, START_MS + DAY_MS)
    rotated(written)
    written.fill(flight, 0, FillStatus.CONFIRMED, at_ms=START_MS + DAY_MS + 1)
    assert written.state.ledger.size_e6(flight.legs[0].token) == flight.legs[0].size_e6
    assert not written.state.strangers
    digest, cash_usd_e6 = written.state.digest(), written.state.ledger.cash_usd_e6
    written.reopen()
    assert written.state.digest() == digest
    assert written.state.ledger.cash_usd_e6 == cash_usd_e6


def test_what_failed_is_forgotten_with_its_names(tmp_path):
    written = Written(tmp_path).begin()
    failed(written)
    compared(written, START_MS + NAMES_MS)
    assert written.state.flights
    compared(written, START_MS + NAMES_MS + 2 * MINUTE_MS)
    assert not written.state.flights
    assert not written.state.ledger.fills
    assert not written.state.failed_ms


def test_a_fill_of_nothing_that_is_not_final_keeps_its_flight(tmp_path):
    written = Written(tmp_path).begin()
    flight = written.launch()
    written.complete(flight)
    leg = flight.legs[0]
    row = records.Fill(
        START_MS, 0, 0, leg.price_e4, leg.side, FillStatus.MATCHED, 0, b"nothing",
        bytes.fromhex(leg.order_hash[2:]), word(leg.token),
    )  # fmt: skip
    written.chronicle.say(Kind.FILL, row, flight.id)
    compared(written, START_MS + HOUR_MS)
    assert flight.id in written.state.flights
    rotated(written)
    digest = written.state.digest()
    written.reopen()
    assert written.state.digest() == digest
    assert not written.state.strangers


def test_what_is_held_is_known_however_long_ago_its_market_ended():
    story = Story(2)
    market = listed(0, story.now_ms)
    story.tell([draft(Kind.MARKET, market_row(market))])
    row = records.Fill(
        story.now_ms, 10**6, 0, 5_000, Side.BUY, FillStatus.CONFIRMED, 0, b"t", bytes(32),
        market.yes_token,
    )  # fmt: skip
    story.tell([draft(Kind.FILL, row)])
    story.now_ms += 30 * DAY_MS
    story.tell([draft(Kind.COMPARED, records.Compared(1, 1, 0, 1, 0))])
    token = str(int.from_bytes(market.yes_token, "big"))
    other = str(int.from_bytes(market.no_token, "big"))
    assert token in story.state.tokens
    assert other in story.state.tokens, "a market is known as a whole"
    assert word(token) == market.yes_token
    assert restored(quiet(story).state).picture() == story.state.picture()
