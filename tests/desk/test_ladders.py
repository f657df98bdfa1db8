"""Ladders: what is said twice must agree, and what is unknown is refused by name."""

import json
from datetime import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.calendar import Family, Horizon
from desk.gamma import (
    ClobMarket,
    GammaEvent,
    GammaMarket,
    decode_clob_market,
    decode_market,
)
from desk.ladders import (
    Facts,
    Refusal,
    Refused,
    group_number,
    ladder_of,
    read_market,
)
from desk.rules import Rule, Unread
from shm.codes import Exchange, MarketKind, MarketState
from shm.layout import MARKET, Market
from tests.desk import venue
from tests.desk.venue import NEW_YORK, Ladder, clob_market, iso

NOON = datetime(2026, 11, 24, 12, tzinfo=NEW_YORK)
LADDER = Ladder("BTC", NOON)
V2_TOKENS = [str((7 << 104) | 1), str((7 << 104) | 2)]


def event(body: dict | None = None, **some) -> GammaEvent:
    return msgspec.json.decode(json.dumps((body or LADDER.above()) | some), type=GammaEvent)


def market_in(whole: GammaEvent, number: int = 0) -> GammaMarket:
    return decode_market(whole.markets[number])


def read(clob: dict | None = None, body: dict | None = None, **some) -> Facts | Refused:
    """The first market of an event with changes to it, and to what the CLOB says of it."""
    raw = (body or LADDER.above())["markets"][0] | some
    whole = event(body, markets=[raw])
    known = decode_clob_market(json.dumps(clob_market(raw, **(clob or {}))))
    ladder = ladder_of(whole)
    assert not isinstance(ladder, Refused)
    return read_market(market_in(whole), known, whole, ladder)


def row(*args, **some) -> Market:
    facts = read(*args, **some)
    assert isinstance(facts, Facts), facts
    return facts.market


def test_a_market_becomes_a_row():
    facts = read()
    assert isinstance(facts, Facts)
    market = facts.market
    assert MARKET.unpack(MARKET.pack(market)).key == market.key
    assert market.key == int(LADDER.above()["markets"][0]["conditionId"][2:18], 16)
    assert (market.kind, market.lower_usd_e6) == (
        MarketKind.ABOVE,
        int(LADDER.strikes[0]) * 10**6,
    )
    assert (market.tick_e4, market.min_size_e6, market.fee_rate_e6) == (10, 5_000_000, 70_000)
    assert (market.exchange, market.state, market.taker_delay_ms) == (
        Exchange.STANDARD,
        MarketState.ACTIVE,
        0,
    )
    assert market.expiry_ms == 1_795_539_600_000
    assert isinstance(facts.rule, Rule)
    assert facts.text.startswith("This market will resolve")


def test_a_bracket_of_a_price_event_is_a_neg_risk_market():
    market = row(body=LADDER.price())
    assert (market.kind, market.exchange) == (MarketKind.BELOW, Exchange.NEG_RISK)


@pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL", "XRP"])
def test_every_market_of_a_ladder_is_read_and_pairs(coin):
    ladder = Ladder(coin, NOON)
    read_ones = []
    for body in ladder.events():
        whole = event(body)
        known = ladder_of(whole)
        assert not isinstance(known, Refused)
        for number, raw in enumerate(body["markets"]):
            clob = decode_clob_market(json.dumps(clob_market(raw)))
            facts = read_market(market_in(whole, number), clob, whole, known)
            assert isinstance(facts, Facts), facts
            read_ones.append(facts.market)
    assert len(read_ones) == 22
    assert len({m.fingerprint for m in read_ones}) == 1
    assert len({m.group for m in read_ones}) == 1
    inner = [m for m in read_ones if m.kind == MarketKind.RANGE]
    strikes = {m.lower_usd_e6 for m in read_ones if m.kind == MarketKind.ABOVE}
    assert len(inner) == 9
    assert all({m.lower_usd_e6, m.upper_usd_e6} <= strikes for m in inner)


def test_d18_tokens_are_found_by_their_outcomes_name():
    """The old system took the first token for YES whatever its name."""
    first, second = json.loads(LADDER.above()["markets"][0]["clobTokenIds"])
    swapped = read(outcomes='["No", "Yes"]', clob={
        "t": [{"t": first, "o": "No"}, {"t": second, "o": "Yes"}]})  # fmt: skip
    assert isinstance(swapped, Facts)
    assert int.from_bytes(swapped.market.yes_token, "big") == int(second)
    usual = row()
    assert int.from_bytes(usual.yes_token, "big") == int(first)


def test_d18_a_source_that_names_the_outcomes_the_other_way_round_is_refused():
    first, second = json.loads(LADDER.above()["markets"][0]["clobTokenIds"])
    refused = read(clob={"t": [{"t": second, "o": "Yes"}, {"t": first, "o": "No"}]})
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.TOKENS


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"acceptingOrders": False}, Refusal.NOT_TRADABLE),
        ({"active": False}, Refusal.NOT_TRADABLE),
        ({"closed": True}, Refusal.NOT_TRADABLE),
        ({"archived": True}, Refusal.NOT_TRADABLE),
        ({"enableOrderBook": False}, Refusal.NOT_TRADABLE),
        ({"closed": None}, Refusal.NOT_TRADABLE),
        ({"groupItemTitle": "80,001"}, Refusal.BOUNDS),
        ({"groupItemTitle": None}, Refusal.BOUNDS),
        ({"question": "Will Bitcoin go up?"}, Refusal.BOUNDS),
        ({"slug": "bitcoin-above-1k-on-november-24-2026"}, Refusal.BOUNDS),
        ({"slug": "ethereum-above-66k-on-november-24-2026"}, Refusal.COIN),
        ({"question": "Will the price of Ethereum be above $66,000 on November 24?"}, Refusal.COIN),
        ({"question": "Will the price of Bitcoin be above $66,000 on November 25?"}, Refusal.DATE),
        ({"question": "Will the price of Bitcoin be above $66,000 on November 24, 2025?"},
         Refusal.DATE),
        ({"question": "Will the price of Bitcoin be above $66,000 on November 24, 3PM ET?"},
         Refusal.DATE),
        ({"slug": "bitcoin-above-66k-on-november-24-2025"}, Refusal.DATE),
        ({"endDate": "2025-11-24T17:00:00Z"}, Refusal.END),
        ({"endDate": "2026-11-24T16:00:00Z"}, Refusal.END),
        ({"endDate": None}, Refusal.END),
        ({"negRiskOther": True}, Refusal.PLACEHOLDER),
        ({"groupItemTitle": "Other"}, Refusal.PLACEHOLDER),
        ({"outcomes": '["Up", "Down"]'}, Refusal.TOKENS),
        ({"outcomes": '["Yes", "No", "Other"]'}, Refusal.TOKENS),
        ({"version": "v2"}, Refusal.CONTRACT),  # the CLOB still says v1
        ({"version": "v9"}, Refusal.CONTRACT),
        ({"version": None}, Refusal.CONTRACT),
        ({"orderMinSize": 0}, Refusal.TICK),
        ({"feesEnabled": None}, Refusal.FEE),
        ({"feesEnabled": False}, Refusal.FEE),
        ({"feeSchedule": None}, Refusal.FEE),
        ({"feeSchedule": {"rate": 0.05}}, Refusal.FEE),
        ({"feeSchedule": {"rate": 0.07, "exponent": 2}}, Refusal.FEE),
        ({"feeSchedule": {"rate": 0.07, "takerOnly": False}}, Refusal.FEE),
        ({"negRisk": None}, Refusal.NEG_RISK),
        ({"conditionId": "0x12"}, Refusal.IDENTITY),
        ({"description": venue.words(venue.ABOVE_TEXT, "ETH")}, Refusal.RULE),
        ({"description": venue.words(venue.ABOVE_TEXT).replace(
            "higher than the price", "equal to or higher than the price")}, Refusal.TIES),
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_does_not_agree_is_refused(changes, refusal):
    assert LADDER.strikes[0] == 66_000
    refused = read(**changes)
    assert isinstance(refused, Refused)
    assert refused.reason is refusal
    assert refused.slug
    assert refused.question


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ({"ao": False}, Refusal.NOT_TRADABLE),
        ({"nr": True}, Refusal.NEG_RISK),
        ({"v": "v2"}, Refusal.CONTRACT),
        ({"t": [{"t": "1", "o": "Yes"}, {"t": "2", "o": "No"}]}, Refusal.TOKENS),
        ({"mts": 0}, Refusal.TICK),
        ({"mts": 0.00001}, Refusal.TICK),
        ({"mts": 1}, Refusal.TICK),
        ({"fd": None}, Refusal.FEE),
        ({"fd": {"r": None, "e": None, "to": None}}, Refusal.FEE),
        ({"fd": {"r": 0.05, "e": 1, "to": True}}, Refusal.FEE),
        ({"fd": {"r": 0.07, "e": 2, "to": True}}, Refusal.FEE),
        ({"fd": {"r": 0.07, "e": 1, "to": False}}, Refusal.FEE),
    ],
)
def test_the_clobs_word_counts_too(said, refusal):
    refused = read(said)
    assert isinstance(refused, Refused)
    assert refused.reason is refusal


def test_a_refusal_because_of_the_resolution_text_shows_the_text():
    text = venue.words(venue.ABOVE_TEXT, "ETH")
    refused = read(description=text)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.RULE
    assert "candle of ETH/USDT" in refused.detail
    assert "candle for ETH/USDT 12:00 in the ET timezone (noon) on the date" in refused.detail


def test_a_market_that_the_clob_does_not_know_waits():
    whole = event()
    ladder = ladder_of(whole)
    assert not isinstance(ladder, Refused)
    refused = read_market(market_in(whole), None, whole, ladder)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.UNKNOWN_TO_CLOB


@pytest.mark.parametrize("token_ids", ['["111"]', "nonsense", '["-1", "2"]', None, '["5", "5"]'])
def test_token_ids_that_are_none_are_refused(token_ids):
    whole = event()
    market = msgspec.structs.replace(market_in(whole), clobTokenIds=token_ids)
    ladder = ladder_of(whole)
    assert not isinstance(ladder, Refused)
    clob = ClobMarket(c="x", ao=True, fd=decode_clob_market(
        json.dumps(clob_market(LADDER.above()["markets"][0]))).fd)  # fmt: skip
    refused = read_market(market, clob, whole, ladder)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.TOKENS


def test_the_clobs_tick_and_the_larger_minimum_count():
    market = row({"mts": 0.01, "mos": 15})
    assert (market.tick_e4, market.min_size_e6) == (100, 15_000_000)
    # Gamma alone is enough where the CLOB says nothing.
    assert row({"mts": None, "mos": None}).tick_e4 == 10


def test_a_free_market_has_no_fee_however_it_is_said():
    for fd in (None, {"r": None, "e": None, "to": None}, {"r": 0, "e": 1, "to": True}):
        market = row({"fd": fd}, feesEnabled=False, feeSchedule=None)
        assert market.fee_rate_e6 == 0


def test_the_longest_delay_that_any_source_says_is_taken():
    assert row().taker_delay_ms == 0
    assert row({"itode": True}).taker_delay_ms == 250
    assert row({"sd": 3}).taker_delay_ms == 3_000
    assert row({"itode": True}, secondsDelay=1).taker_delay_ms == 1_000


def test_a_market_of_protocol_v2_is_traded_by_its_position_ids():
    market = row({"v": "v2", "t": None}, version="v2", positionIds=json.dumps(V2_TOKENS))
    assert market.exchange is Exchange.POSITION_IDS
    assert int.from_bytes(market.yes_token, "big") == int(V2_TOKENS[0])
    # The ids of the two versions look different, so a mix-up is seen.
    refused = read({"v": "v2", "t": None}, version="v2")
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.TOKENS
    refused = read({"t": None}, clobTokenIds=json.dumps(V2_TOKENS))
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.TOKENS


def test_an_event_whose_outcomes_may_grow_is_refused_whole():
    body = LADDER.price()
    refused = read(body=body | {"negRiskAugmented": True})
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.AUGMENTED


def test_a_kind_that_does_not_belong_to_its_event_is_refused():
    body = LADDER.above() | {"markets": LADDER.price()["markets"], "negRisk": True}
    refused = read(body=body)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.FAMILY


def test_an_empty_range_is_refused():
    name = "Will the price of Bitcoin be between $78,000 and $76,000 on November 24?"
    refused = read(body=LADDER.price(), question=name, groupItemTitle="78,000-76,000", slug="x")
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.BOUNDS


def test_a_rule_that_cannot_be_read_pairs_with_nothing():
    facts = read(description="By consensus of credible reporting.")
    assert isinstance(facts, Facts)
    assert isinstance(facts.rule, Unread)
    assert facts.market.fingerprint == facts.market.key


def test_a_slug_without_strikes_says_nothing_against_it():
    assert row(slug="some-name-of-the-venues").lower_usd_e6 == 66_000 * 10**6


def test_hourly_and_daily_ladders_of_one_instant_are_groups_of_their_own():
    hourly = Ladder("BTC", NOON, hourly=True)
    day, hour = row(), row(body=hourly.above())
    assert day.expiry_ms == hour.expiry_ms
    assert day.group != hour.group
    assert day.fingerprint != hour.fingerprint
    assert hour.group == group_number("BTC", hour.expiry_ms, Horizon.HOURLY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["NaN", "Infinity", "1e400", "1E-999999", "v2", "Yes", "[]", '["1","2"]']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)  # fmt: skip
FIELDS = sorted(LADDER.above()["markets"][0])
CLOB_FIELDS = sorted(clob_market(LADDER.price()["markets"][0]))


@given(
    st.sampled_from(LADDER.events()),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
    st.dictionaries(st.sampled_from([*CLOB_FIELDS, "itode", "sd"]), JSON, max_size=3),
)
def test_whatever_the_sources_say_it_is_read_or_refused(body, changes, said):
    whole = event(body)
    ladder = ladder_of(whole)
    assert not isinstance(ladder, Refused)
    raw = body["markets"][3] | changes
    try:
        market = decode_market(json.dumps(raw))
        clob = decode_clob_market(json.dumps(clob_market(body["markets"][3]) | said))
    except (ValueError, RecursionError):
        return  # refused as UNREADABLE by the crawler
    facts = read_market(market, clob, whole, ladder)
    if isinstance(facts, Facts):
        assert MARKET.unpack(MARKET.pack(facts.market)).key == facts.market.key
    else:
        assert facts.reason in Refusal


# --- which ladder an event is ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"title": "Bitcoin Up or Down on November 24?"}, Refusal.NO_LADDER),
        ({"title": ""}, Refusal.NO_LADDER),
        ({"endDate": None}, Refusal.END),
        ({"endDate": "soon"}, Refusal.END),
        ({"endDate": "2026-11-24T17:00:00"}, Refusal.END),  # without a zone it is no instant
        ({"endDate": "2026-11-24T16:00:00Z"}, Refusal.END),  # noon of summer
        ({"endDate": "2026-11-25T17:00:00Z"}, Refusal.DATE),
        ({"title": "Bitcoin above ___ on November 23?"}, Refusal.DATE),
        ({"slug": "bitcoin-above-on-november-23-2026"}, Refusal.DATE),
        ({"slug": "ethereum-above-on-november-24-2026"}, Refusal.COIN),
        ({"slug": "bitcoin-price-on-november-24-2026"}, Refusal.COIN),
    ],
)
def test_title_slug_and_end_of_an_event_must_agree(changes, refusal):
    refused = ladder_of(event(**changes))
    assert isinstance(refused, Refused)
    assert refused.reason is refusal


def test_d09_last_years_event_under_this_years_name_is_another_ladder():
    """Names without the year come again: only the end says which year they mean."""
    old = Ladder("BTC", datetime(2025, 11, 24, 12, tzinfo=NEW_YORK), year_in_name=False)
    new = Ladder("BTC", NOON, year_in_name=False)
    assert old.above()["slug"] == new.above()["slug"]
    before, after = ladder_of(event(old.above())), ladder_of(event(new.above()))
    assert not isinstance(before, Refused)
    assert not isinstance(after, Refused)
    assert before.expiry != after.expiry
    # A name that does carry the year may not say another one than the end.
    refused = ladder_of(event(endDate=iso(datetime(2025, 11, 24, 12, tzinfo=NEW_YORK))))
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.DATE


def test_d16_a_group_is_named_by_coin_and_time_whatever_comes_first():
    """The old system named a group after the event that happened to come first."""
    above, price = row(), row(body=LADDER.price())
    assert above.group == price.group == group_number("BTC", above.expiry_ms)
    families = [ladder_of(event(body)) for body in LADDER.events()]
    assert [one.family for one in families if not isinstance(one, Refused)] == list(Family)
