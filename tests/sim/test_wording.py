import csv
import datetime as dt
import json

import pytest

from sim import wording
from sim.coins import COINS

DAY = dt.date(2026, 11, 22)
BTC, ETH, XRP = (COINS[name] for name in ("BTC", "ETH", "XRP"))
USD = 10_000


def test_slugs_titles_and_questions_are_the_venues():
    assert wording.above_event_slug(BTC, DAY) == "bitcoin-above-on-november-22-2026"
    assert wording.price_event_slug(BTC, DAY) == "bitcoin-price-on-november-22-2026"
    assert wording.above_event_title(BTC, DAY) == "Bitcoin above ___ on November 22?"
    assert wording.price_event_title(ETH, DAY) == "Ethereum price on November 22?"
    assert wording.above_texts(BTC, dt.date(2026, 5, 24), 78_000 * USD) == (
        "bitcoin-above-78k-on-may-24-2026",
        "Will the price of Bitcoin be above $78,000 on May 24?",
        "78,000",
    )
    assert (
        wording.above_texts(ETH, DAY, 2_800 * USD)[0] == "ethereum-above-2800-on-november-22-2026"
    )
    assert wording.above_texts(XRP, DAY, USD * 6 // 10)[0] == "xrp-above-0pt6-on-november-22-2026"


@pytest.mark.parametrize(
    ("bounds", "slug", "question", "title"),
    [
        (
            (76_000 * USD, 78_000 * USD),
            "will-the-price-of-bitcoin-be-between-76000-78000-on-may-3-2026",
            "Will the price of Bitcoin be between $76,000 and $78,000 on May 3?",
            "76,000-78,000",
        ),
        (
            (None, 84_000 * USD),
            "will-the-price-of-bitcoin-be-less-than-84000-on-may-3-2026",
            "Will the price of Bitcoin be less than $84,000 on May 3?",
            "<84,000",
        ),
        (
            (86_000 * USD, None),
            "will-the-price-of-bitcoin-be-greater-than-86000-on-may-3-2026",
            "Will the price of Bitcoin be greater than $86,000 on May 3?",
            ">86,000",
        ),
    ],
)
def test_brackets_are_worded_by_their_ends(bounds, slug, question, title):
    assert wording.range_texts(BTC, dt.date(2026, 5, 3), bounds) == (slug, question, title)


def test_a_bracket_without_ends_is_nonsense():
    with pytest.raises(ValueError, match="bound"):
        wording.range_texts(BTC, DAY, (None, None))


def test_our_texts_occur_in_recorded_slugs(shared):
    text = (shared / "data/trio_quotes/markets.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    checked = 0
    for row in rows:
        coin = COINS[row["asset"]]
        day = dt.datetime.fromisoformat(row["end_date"]).date()
        lower, upper = (int(row[name]) * USD if row[name] else None for name in ("lower", "upper"))
        if row["kind"] == "above":
            assert wording.above_texts(coin, day, lower)[0] == row["slug"]
            assert wording.above_event_slug(coin, day) == row["event_slug"]
        else:
            assert wording.range_texts(coin, day, (lower, upper))[0] == row["slug"]
            assert wording.price_event_slug(coin, day) == row["event_slug"]
        checked += 1
    assert checked == 517


def test_the_resolution_text_of_a_recorded_event_is_ours(shared):
    event = json.loads((shared / "samples/nautilus_rust/search_response.json").read_text())
    assert event["events"][0]["description"] == wording.above_description(BTC)


@pytest.mark.parametrize("coin", COINS.values(), ids=COINS)
def test_both_families_name_the_same_candle(coin):
    pair = f"{coin.symbol}/USDT"
    for text in (wording.above_description(coin), wording.price_description(coin)):
        assert f"candle for {pair} 12:00 in the ET timezone (noon)" in text
        assert "binance.com" in text
        assert '"Close"' in text
    assert "higher than the price" in wording.above_description(coin)
    assert "higher range bracket" in wording.price_description(coin)


@pytest.mark.parametrize(
    ("usd_e4", "text"),
    [(780_000_000, "78,000"), (6_000, "0.6"), (15_000, "1.5"), (21_050, "2.105")],
)
def test_money_has_separators_and_no_trailing_zeros(usd_e4, text):
    assert wording.money(usd_e4) == text
