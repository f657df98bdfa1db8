"""Ladders: bounds said twice must agree, rules must be equal, and what is unknown is refused."""

import json
from decimal import Decimal

import msgspec
import pytest

from desk.gamma import ClobFee, ClobMarket, FeeSchedule, GammaEvent, GammaMarket
from desk.ladders import (
    OPEN_LOWER,
    OPEN_UPPER,
    Bounds,
    Refusal,
    bounds_in_question,
    bounds_in_title,
    fingerprint,
    read_market,
)
from shm.codes import Exchange, MarketKind, MarketState
from shm.layout import MARKET, Market

ABOVE_TEXT = (
    'This market will resolve to "Yes" if the Binance 1 minute candle for BTC/USDT 12:00 in the ET '
    'timezone (noon) on the date specified in the title has a final "Close" price higher than the '
    "price specified in the title. The resolution source for this market is Binance, "
    "https://www.binance.com/en/trade/BTC_USDT with 1m and Candles selected."
)
RANGE_TEXT = (
    'This market will resolve according to the final "Close" price of the Binance 1 minute candle '
    "for BTC/USDT 12:00 in the ET timezone (noon). If the value falls exactly between two brackets "
    "it resolves to the higher one. https://www.binance.com/en/trade/BTC_USDT"
)
END = "2026-11-24T17:00:00Z"
END_MS = 1_795_539_600_000


def usd(*values):
    return [value * 10**6 for value in values]


@pytest.mark.parametrize(
    ("question", "kind", "lower", "upper"),
    [
        ("Will the price of Bitcoin be above $78,000 on May 24?", 1, 78_000, None),
        ("Will the price of Bitcoin be above $1,250,000 on October 12?", 1, 1_250_000, None),
        ("Will the price of Bitcoin be between $76,000 and $78,000 on May 23?", 2, 76_000, 78_000),
        ("Will the price of Bitcoin be less than $56,000 on June 26?", 3, None, 56_000),
        ("Will the price of Bitcoin be greater than $74,000 on June 26?", 4, 74_000, None),
        ("Will the price of Solana be above $90 on October 3?", 1, 90, None),
        ("Will the price of Bitcoin be above 90k on January 23?", 1, 90_000, None),
    ],
)
def test_bounds_are_read_from_the_question(question, kind, lower, upper):
    bounds = bounds_in_question(question)
    assert bounds == Bounds(
        MarketKind(kind),
        OPEN_LOWER if lower is None else lower * 10**6,
        OPEN_UPPER if upper is None else upper * 10**6,
    )


def test_cents_are_read_exactly():
    bounds = bounds_in_question("Will the price of XRP be above $2.35 on May 24?")
    assert bounds is not None
    assert bounds.lower_usd_e6 == 2_350_000


@pytest.mark.parametrize(
    ("title", "kind", "lower", "upper"),
    [
        ("64,000", 1, 64_000, None),
        ("84,000-86,000", 2, 84_000, 86_000),
        ("84,000 \u2013 86,000", 2, 84_000, 86_000),
        ("84k-86k", 2, 84_000, 86_000),
        ("<84,000", 3, None, 84_000),
        ("\u2264 84k", 3, None, 84_000),
        (">86,000", 4, 86_000, None),
        ("$64,000", 1, 64_000, None),
    ],
)
def test_bounds_are_read_from_the_title(title, kind, lower, upper):
    assert bounds_in_title(title) == Bounds(
        MarketKind(kind),
        OPEN_LOWER if lower is None else lower * 10**6,
        OPEN_UPPER if upper is None else upper * 10**6,
    )


@pytest.mark.parametrize("text", ["", "Up or Down", "84,000 to be or not", "12 October", "a-b"])
def test_other_texts_have_no_bounds(text):
    assert bounds_in_title(text) is None
    assert bounds_in_question(f"Will {text}?") is None


def test_equal_rules_have_equal_fingerprints_and_every_difference_counts():
    assert fingerprint(ABOVE_TEXT, END_MS) == fingerprint(RANGE_TEXT, END_MS) is not None
    for old, new in [
        ("binance.com", "coinbase.com"),
        ("BTC/USDT 12", "ETH/USDT 12"),
        ("1 minute", "1 hour"),
        ("BTC/USDT 12:00", "BTC/USDT closing at 12:00"),
        ("12:00", "16:00"),
    ]:
        changed = fingerprint(ABOVE_TEXT.replace(old, new), END_MS)
        assert changed not in {None, fingerprint(ABOVE_TEXT, END_MS)}, new
    assert fingerprint(ABOVE_TEXT, END_MS + 1) != fingerprint(ABOVE_TEXT, END_MS)
    assert fingerprint("Resolves by consensus of reporting.", END_MS) is None


def gamma(**some) -> GammaMarket:
    base = {
        "conditionId": "0x" + "ab" * 32,
        "slug": "bitcoin-above-78k-on-november-24-2026",
        "question": "Will the price of Bitcoin be above $78,000 on November 24?",
        "description": ABOVE_TEXT,
        "endDate": END,
        "clobTokenIds": '["111", "222"]',
        "outcomes": '["Yes", "No"]',
        "groupItemTitle": "78,000",
        "negRisk": False,
        "enableOrderBook": True,
        "acceptingOrders": True,
        "active": True,
        "closed": False,
        "archived": False,
        "orderPriceMinTickSize": Decimal("0.001"),
        "orderMinSize": Decimal(5),
        "feesEnabled": True,
        "feeSchedule": FeeSchedule(Decimal("0.07")),
    }
    return GammaMarket(**(base | some))


CLOB = ClobMarket(c="x", ao=True, fd=ClobFee(Decimal("0.07")))


def read(market: GammaMarket, clob: ClobMarket = CLOB) -> Market | Refusal:
    return read_market(market, clob, "BTC", END_MS, END)


def test_a_market_becomes_a_row():
    row = read(gamma())
    assert isinstance(row, Market)
    assert MARKET.unpack(MARKET.pack(row)).key == int("ab" * 8, 16)
    assert (row.kind, row.lower_usd_e6, row.upper_usd_e6) == (
        MarketKind.ABOVE,
        *usd(78_000),
        OPEN_UPPER,
    )
    assert (row.tick_e4, row.min_size_e6, row.fee_rate_e6) == (10, 5_000_000, 70_000)
    assert (row.exchange, row.state, row.taker_delay_ms) == (
        Exchange.STANDARD,
        MarketState.ACTIVE,
        0,
    )
    assert int.from_bytes(row.yes_token, "big") == 111


def test_tokens_are_found_by_their_outcomes_name():
    row = read(gamma(outcomes='["No", "Yes"]'))
    assert isinstance(row, Market)
    assert int.from_bytes(row.yes_token, "big") == 222


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"acceptingOrders": False}, Refusal.NOT_TRADABLE),
        ({"closed": True}, Refusal.NOT_TRADABLE),
        ({"archived": True}, Refusal.NOT_TRADABLE),
        ({"enableOrderBook": False}, Refusal.NOT_TRADABLE),
        ({"groupItemTitle": "80,000"}, Refusal.BOUNDS),
        ({"question": "Will Bitcoin go up?"}, Refusal.BOUNDS),
        ({"outcomes": '["Up", "Down"]'}, Refusal.TOKENS),
        ({"clobTokenIds": '["111"]'}, Refusal.TOKENS),
        ({"clobTokenIds": "nonsense"}, Refusal.TOKENS),
        ({"clobTokenIds": '["-1", "2"]'}, Refusal.TOKENS),
        ({"endDate": "2025-11-24T17:00:00Z"}, Refusal.END),
        ({"orderPriceMinTickSize": None}, Refusal.TICK),
        ({"orderMinSize": None}, Refusal.TICK),
        ({"feesEnabled": None}, Refusal.FEE),
        ({"feeSchedule": None}, Refusal.FEE),
        ({"feeSchedule": FeeSchedule(Decimal("0.05"))}, Refusal.FEE),
        ({"feeSchedule": FeeSchedule(Decimal("0.07"), Decimal(2))}, Refusal.FEE),
        ({"negRisk": None}, Refusal.CONTRACT),
        ({"version": "v9"}, Refusal.CONTRACT),
        ({"conditionId": "0x12"}, Refusal.IDENTITY),
    ],
)
def test_what_cannot_be_read_or_does_not_agree_is_refused(changes, refusal):
    assert read(gamma(**changes)) is refusal


def test_the_clobs_word_counts_too():
    assert read(gamma(), ClobMarket(c="x", ao=False)) is Refusal.NOT_TRADABLE
    delayed = read(gamma(), ClobMarket(c="x", ao=True, itode=True))
    assert isinstance(delayed, Market)
    assert delayed.taker_delay_ms > 0


def test_a_free_market_has_no_fee():
    row = read(gamma(feesEnabled=False, feeSchedule=None), ClobMarket(c="x", ao=True))
    assert isinstance(row, Market)
    assert row.fee_rate_e6 == 0


def test_a_rule_that_cannot_be_read_pairs_with_nothing():
    row = read(gamma(description="by consensus"))
    assert isinstance(row, Market)
    assert row.fingerprint == row.key


def test_the_recorded_event_is_understood(shared):
    text = (shared / "data/gamma/nautilus_search_response.json").read_bytes()
    events = msgspec.convert(json.loads(text)["events"], list[GammaEvent], strict=False)
    ladder = next(e for e in events if e.slug == "bitcoin-above-on-march-11")
    market = ladder.markets[0]
    assert bounds_in_question(market.question) == bounds_in_title(market.groupItemTitle)
    assert fingerprint(market.description, END_MS) == fingerprint(ABOVE_TEXT, END_MS)
    clob = ClobMarket(c=market.conditionId, ao=True)
    end_ms = 1_773_244_800_000
    row = read_market(market, clob, "BTC", end_ms, ladder.endDate)
    assert isinstance(row, Market)
    assert row.lower_usd_e6 == 64_000 * 10**6
