"""Families: pairs settle by one rule, and where they do not both texts are shown."""

import json
from datetime import datetime

import msgspec

from desk.calendar import Family, Horizon
from desk.families import Group, groups_of, in_words, unpaired
from desk.gamma import GammaEvent, decode_clob_market, decode_market
from desk.ladders import Facts, Refused, ladder_of, read_market
from tests.desk.venue import NEW_YORK, Ladder, clob_market

NOON = datetime(2026, 11, 24, 12, tzinfo=NEW_YORK)


def read_all(ladder: Ladder) -> list[tuple[Facts, Horizon]]:
    found = []
    for body in ladder.events():
        event = msgspec.json.decode(json.dumps(body), type=GammaEvent)
        known = ladder_of(event)
        assert not isinstance(known, Refused)
        for raw, encoded in zip(body["markets"], event.markets, strict=True):
            clob = decode_clob_market(json.dumps(clob_market(raw)))
            facts = read_market(decode_market(encoded), clob, event, known)
            assert isinstance(facts, Facts), facts
            found.append((facts, known.expiry.horizon))
    return found


def groups(*ladders: Ladder) -> list[Group]:
    return groups_of([one for ladder in ladders for one in read_all(ladder)])


def test_a_ladder_with_one_rule_is_paired():
    (group,) = groups(Ladder("BTC", NOON))
    assert (group.coin, group.horizon, len(group.members)) == ("BTC", Horizon.DAILY, 22)
    assert len(group.family(Family.ABOVE)) == len(group.family(Family.PRICE)) == 11
    assert unpaired([group]) == []


def test_families_that_look_at_different_minutes_are_reported_with_both_texts():
    (mismatch,) = unpaired(groups(Ladder("BTC", NOON, candles=("12:00", "closing at 12:00"))))
    assert (mismatch.coin, mismatch.expiry_ms) == ("BTC", 1_795_539_600_000)
    (above,), (price,) = mismatch.above, mismatch.price
    assert above.markets == price.markets == 11
    assert above.rule != price.rule
    assert "BTC/USDT 12:00 in the ET" in above.text
    assert "BTC/USDT closing at 12:00 in the ET" in price.text
    said = in_words(mismatch)
    for part in (above.rule, price.rule, " ".join(above.text.split()), above.example):
        assert part in said
    assert said.startswith("BTC daily of Tue Nov 24 2026, 12:00 New York: the two families")


def test_one_market_with_another_text_is_reported_beside_the_others():
    ladder = Ladder("BTC", NOON)
    facts = read_all(ladder)
    odd = read_all(Ladder("BTC", NOON, candles=("closing at 12:00", "12:00")))[0]
    facts[0] = odd
    (mismatch,) = unpaired(groups_of(facts))
    assert [wording.markets for wording in mismatch.above] == [10, 1]
    assert len(mismatch.price) == 1


def test_a_family_that_is_not_listed_yet_is_no_mismatch():
    facts = [one for one in read_all(Ladder("BTC", NOON)) if one[0].market.kind == 1]
    assert unpaired(groups_of(facts)) == []
    odd = read_all(Ladder("BTC", NOON, candles=("closing at 12:00", "12:00")))[0]
    assert unpaired(groups_of([odd, *facts[1:]])) == []


def test_hourly_and_daily_ladders_of_one_instant_are_never_one_group():
    daily, hourly = groups(Ladder("BTC", NOON), Ladder("BTC", NOON, hourly=True))
    assert {daily.horizon, hourly.horizon} == {Horizon.DAILY, Horizon.HOURLY}
    assert daily.expiry_ms == hourly.expiry_ms
    assert unpaired([daily, hourly]) == []


def test_groups_come_in_the_order_of_their_expiry():
    later = NOON.replace(day=25)
    found = groups(Ladder("ETH", later), Ladder("BTC", later), Ladder("SOL", NOON))
    assert [group.coin for group in found] == ["SOL", "BTC", "ETH"]
