"""Recordings: real ladders give exactly their trios; every object of Gamma's has a verdict."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from desk.calendar import Expiry
from desk.gamma import ClobMarket, GammaEvent, decode_clob_market
from desk.ladders import Facts, Refusal, Refused, decoded, group_number, ladder_of, read_market
from desk.rules import Rule
from desk.wording import in_question, in_slug
from engine.baskets import compile_baskets
from shm.codes import BasketKind, MarketKind, Outcome
from shm.layout import Market
from tests.engine.factory import market as blank_market

# --- ladders ----------------------------------------------------------------------------------


def row_of(number: int, slug: str, question: str | None, tokens: list[str], group: str) -> Market:
    """A market as our own reading of its question and slug makes it."""
    named = in_slug(slug)
    assert named is not None, slug
    asked = named if question is None else in_question(question)
    assert asked is not None, question
    assert (asked.coin, asked.bounds) == (named.coin, named.bounds)
    at = datetime.fromisoformat(group.split("-", 1)[1])
    assert Expiry(at).agrees_with(asked.when)
    return blank_market(number, asked.bounds.kind)._replace(
        key=number + 1,
        lower_usd_e6=asked.bounds.lower_usd_e6,
        upper_usd_e6=asked.bounds.upper_usd_e6,
        group=group_number(asked.coin, Expiry(at).at_ms),
        expiry_ms=Expiry(at).at_ms,
        yes_token=int(tokens[0]).to_bytes(32, "big"),
        no_token=int(tokens[1]).to_bytes(32, "big"),
        slug=slug.encode(),
    )


def trios_of(rows: list[Market]) -> set[tuple[str, ...]]:
    """Token ids of each trio that the engine builds."""
    return {
        tuple(
            str(int.from_bytes(
                leg.market.yes_token if leg.outcome is Outcome.YES else leg.market.no_token, "big"
            ))
            for leg in basket.legs
        )
        for basket in compile_baskets(rows).baskets
        if basket.kind is BasketKind.TRIANGLE_BUY
    }  # fmt: skip


@pytest.mark.parametrize("day", ["2026-01-26", "2026-02-13"])
def test_a_recorded_ladder_of_ethereum_gives_exactly_its_trios(shared, day):
    body = json.loads((shared / f"samples/poly_ab/ladder_eth_{day}.json").read_bytes())
    listed = [*body["above_markets"], *body["range_markets"], *body["unmatched"]]
    rows = [
        row_of(n, one["slug"], one["question"], one["clobTokenIds"], body["groupKey"])
        for n, one in enumerate(listed)
    ]
    for row, one in zip(rows, listed, strict=True):
        lower, upper = (one["bounds"].get(end) for end in ("lower", "upper"))
        assert lower is None or row.lower_usd_e6 == lower * 10**6
        assert upper is None or row.upper_usd_e6 == upper * 10**6
    above = {one["bounds"]["lower"]: one["clobTokenIds"] for one in body["above_markets"]}
    expected = {
        (
            above[one["bounds"]["lower"]][0],
            one["clobTokenIds"][1],
            above[one["bounds"]["upper"]][1],
        )
        for one in body["range_markets"]
        if one["kind"] == "range"
    }
    assert len(expected) == 9
    assert trios_of(rows) == expected


def test_two_recorded_ladders_give_exactly_the_eighteen_trios_that_the_old_system_had(shared):
    body = json.loads((shared / "data/ladders/arbitrage-engine-trio.bootstrap.json").read_bytes())
    keys = body["keys"]
    tokens: dict[tuple[str, str, int], list[str]] = {}
    for token, place in keys["tokenIndexFull"].items():
        at = place["groupKey"], place["role"], place["index"]
        tokens.setdefault(at, []).append(token)
    # Slugs are listed group by group, children (ranges) first, in the order of their indices.
    slugs = iter(keys["slugIndexKeys"])
    questions = {
        one["slug"]: one["question"]
        for side in ("children", "parents")
        for one in body["sampleGroup"]["value"]["group"][side]
    }
    rows: list[Market] = []
    for group in keys["groupKeys"]:
        for role in ("child", "parent"):
            places = sorted(place for place in tokens if place[:2] == (group, role))
            for place in places:
                slug = next(slugs)
                rows.append(row_of(len(rows), slug, questions.get(slug), tokens[place], group))
    assert next(slugs, None) is None
    trios = trios_of(rows)
    assert len(trios) == body["summary"]["totalTrioStates"] == 18
    assert {token for trio in trios for token in trio} == set(keys["trioTokenIndexKeys"])
    sampled = {
        tuple(state[leg]["assetId"] for leg in ("lowerYes", "rangeNo", "upperNo"))
        for state in body["sampleGroup"]["value"]["trioStates"]
    }
    assert len(sampled) == 9
    assert sampled < trios


def test_the_recorded_slugs_of_other_days_are_all_read(shared):
    by_day = json.loads((shared / "samples/poly_ab/slugs_btc_eth.json").read_bytes())
    read = 0
    for day, slugs in by_day.items():
        noon = Expiry(datetime.fromisoformat(f"{day}T17:00:00Z"))
        for slug in slugs:
            named = in_slug(slug)
            assert named is not None, slug
            assert noon.agrees_with(named.when), slug
            read += 1
    assert read > 70


def test_every_slug_of_the_recorded_quotes_says_what_its_table_says(shared):
    """517 markets of three coins, with the bounds that their collector noted."""
    lines = (shared / "data/trio_quotes/markets.csv").read_text().splitlines()
    names = lines[0].split(",")
    kinds = {
        "above": MarketKind.ABOVE, "range": MarketKind.RANGE,
        "below": MarketKind.BELOW, "higher": MarketKind.TOP,
    }  # fmt: skip
    read = 0
    for line in lines[1:]:
        one = dict(zip(names, line.split(","), strict=True))
        named = in_slug(one["slug"])
        assert named is not None, one["slug"]
        assert (named.coin, named.bounds.kind) == (one["asset"], kinds[one["kind"]])
        if one["lower"]:
            assert named.bounds.lower_usd_e6 == round(float(one["lower"]) * 10**6)
        if one["upper"]:
            assert named.bounds.upper_usd_e6 == round(float(one["upper"]) * 10**6)
        assert Expiry(datetime.fromisoformat(one["end_date"])).agrees_with(named.when)
        read += 1
    assert read == 517


# --- Gamma's objects --------------------------------------------------------------------------


def objects_in(folder: Path) -> Iterator[tuple[str, dict]]:
    """Every JSON object of every file that is an event or a market of Gamma's."""
    for path in sorted(folder.glob("**/*.json*")):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        for line in lines:
            for one in objects_of(json.loads(line)):
                yield path.name, one


def objects_of(value: object) -> Iterator[dict]:
    if isinstance(value, dict):
        event = "markets" in value and "slug" in value
        market = "question" in value and ("conditionId" in value or "clobTokenIds" in value)
        if event or market:
            yield value
        for one in value.values():
            yield from objects_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from objects_of(one)


def verdicts(one: dict) -> Iterator[Facts | Refused]:
    """Our reading of an event with all its markets, or of a market that stands alone."""
    if "markets" in one:
        event = msgspec.json.decode(json.dumps(one), type=GammaEvent)
        markets = event.markets
    else:
        head = (one.get("events") or [{}])[0]
        event = GammaEvent(
            slug=head.get("slug") or one.get("slug") or "",
            title=head.get("title") or one["question"],
            endDate=head.get("endDate") or one.get("endDate"),
        )
        markets = [msgspec.Raw(json.dumps(one).encode())]
    ladder = ladder_of(event)
    for raw in markets:
        market = decoded(raw, event)
        if isinstance(market, Refused):
            yield market
        elif isinstance(ladder, Refused):
            yield ladder
        else:
            clob = ClobMarket(c=market.conditionId, ao=True, nr=bool(market.negRisk))
            yield read_market(market, clob, event, ladder)


def test_every_recorded_object_of_gamma_is_read_or_refused_by_name(shared):
    reasons: Counter[str] = Counter()
    read: list[Facts] = []
    for folder in ("data/gamma", "samples"):
        for name, one in objects_in(shared / folder):
            for verdict in verdicts(one):
                if isinstance(verdict, Facts):
                    read.append(verdict)
                    reasons["read"] += 1
                else:
                    assert verdict.reason in Refusal, name
                    reasons[verdict.reason.name] += 1
    # One event of the recordings is a ladder (its file is in both folders). The rest are markets
    # that go up or down, elections, sports, and single questions of ladders without their event.
    assert reasons == {"read": 2, "NO_LADDER": reasons["NO_LADDER"]}
    assert reasons["NO_LADDER"] > 300
    assert {facts.market.slug for facts in read} == {b"bitcoin-above-64k-on-march-11"}
    assert all(isinstance(facts.rule, Rule) and facts.rule.usual for facts in read)
    assert {facts.market.lower_usd_e6 for facts in read} == {64_000 * 10**6}


def test_the_recorded_record_of_the_clob_is_understood(shared):
    facts = decode_clob_market(
        (shared / "samples/fragments/clob_markets_live_2026-10-02.json").read_bytes()
    )
    assert (facts.ao, facts.nr, facts.itode, facts.v) == (True, True, False, "v1")
    assert facts.fd is not None
    assert (str(facts.fd.r), facts.fd.to) == ("0.04", True)
    assert facts.t is not None
    assert [token.o for token in facts.t] == ["Yes", "No"]


def test_token_ids_of_a_recorded_v2_market_have_the_form_that_we_check(shared):
    text = (shared / "data/raw_ws_frames/ws-market-v2-session.jsonl").read_text().splitlines()
    sent = json.loads(json.loads(text[1])["data"])
    (token,) = (int(one) for one in sent["assets_ids"])
    assert token & (((1 << 64) - 1) << 40) == 0
    first = json.loads((shared / "samples/nautilus_rust/search_response.json").read_bytes())
    old = json.loads(first["events"][0]["markets"][0]["clobTokenIds"])
    assert all(int(one) & (((1 << 64) - 1) << 40) for one in old)


def test_strikes_of_a_recorded_ladder_line_up_with_its_ranges(shared):
    """One strike more below the lowest bound: eleven above, ten of them used."""
    body = json.loads((shared / "samples/poly_ab/ladder_eth_2026-02-13.json").read_bytes())
    strikes = sorted(
        in_question(one["question"]).bounds.lower_usd_e6
        for one in [*body["above_markets"], *body["unmatched"]]
    )
    assert len(strikes) == 11
    inner = [
        in_question(one["question"]).bounds
        for one in body["range_markets"]
        if one["kind"] == "range"
    ]
    assert [(b.lower_usd_e6, b.upper_usd_e6) for b in inner] == list(pairwise(strikes[1:]))
