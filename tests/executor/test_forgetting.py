"""Forgetting: strangers and tokens go when nothing needs them, and a snapshot says the same."""

from executor.exposure import DAY_MS
from executor.forgetting import TOKENS_MS
from executor.snapshot import draft, market_row
from shm import records
from shm.codes import FillStatus, Side
from shm.records import Kind
from tests.executor.stories import MARKETS, Story, word
from tests.executor.test_fold import quiet, restored

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
