"""Replies whose bodies nobody should believe: hazards A13 and A14, and the words of statuses."""

import json
from random import Random

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.garbling import DEEP_LEVELS, HUGE_BYTES
from sim.mixing import mix
from tests.sim.staged import batch, scenario, staged


def seen(how, raw, headers):
    """What is wrong with a garbled body, as a client sees it."""
    match how:
        case "truncated":
            with pytest.raises(json.JSONDecodeError):
                json.loads(raw)
            return raw.startswith(b'[{"errorMsg"')
        case "html":
            return raw.startswith(b"<html>") and headers["Content-Type"] == "text/html"
        case "empty":
            return raw == b""
        case "string":
            return json.loads(raw) == "ok"
        case "null":
            return json.loads(raw) is None
        case "charset":
            rows = json.loads(raw.decode("utf-16"))
            return rows[0]["status"] == "matched" and "utf-16" in headers["Content-Type"]
        case "utf8":
            with pytest.raises(UnicodeDecodeError):
                raw.decode()
            return True
        case "error_dict":
            return json.loads(raw) == {"error": "something went wrong"}
        case "deep":
            return raw == b"[" * DEEP_LEVELS
        case "huge":
            return len(raw) > HUGE_BYTES
    return False


@pytest.mark.parametrize(
    "how",
    ["truncated", "html", "empty", "string", "null", "charset", "utf8", "error_dict", "deep",
     "huge"],
)  # fmt: skip
@scenario
async def test_a13_a_body_with_status_200_that_is_no_reply(how):
    async with staged({"at": "POST /orders", "then": {"do": "garble", "how": how}}) as stage:
        trader = await stage.client.trader()
        status, headers, raw = await stage.request(
            trader, "POST", "/orders", batch(stage.buy(trader))
        )
        assert status == 200
        assert seen(how, raw, headers)
        assert len(stage.accepted()) == 1


@pytest.mark.parametrize("how", ["gzip", "length"])
@scenario
async def test_a13_a_body_that_is_not_what_its_headers_say(how):
    async with staged({"at": "POST /orders", "then": {"do": "garble", "how": how}}) as stage:
        trader = await stage.client.trader()
        error = await stage.broken(trader, "POST", "/orders", batch(stage.buy(trader)))
        assert isinstance(error, aiohttp.ClientPayloadError)
        assert len(stage.accepted()) == 1


async def answered(how, legs=None, text=""):
    """(hashes of three purchases, the rows that answer them, the hashes that were accepted)."""
    rule = {"at": "POST /orders", "then": {"do": "batch", "how": how, "text": text}}
    if legs is not None:
        rule["when"] = {"leg": legs}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        bodies = [stage.buy(trader, shares=shares) for shares in (10, 11, 12)]
        status, rows = await stage.post(trader, *bodies)
        assert status == 200
        return [stage.hash_of(body) for body in bodies], rows, stage.accepted()


@scenario
async def test_a14_a_batch_is_answered_in_another_order():
    hashes, rows, accepted = await answered("permuted")
    ids = [row["orderID"] for row in rows]
    assert sorted(ids) == sorted(hashes) == sorted(accepted)
    assert ids != hashes


@scenario
async def test_a14_an_element_is_missing():
    hashes, rows, accepted = await answered("missing", legs=2)
    assert [row["orderID"] for row in rows] == [hashes[0], hashes[2]]
    assert sorted(accepted) == sorted(hashes)


@scenario
async def test_a14_an_element_is_there_twice():
    hashes, rows, _ = await answered("doubled", legs=1)
    assert [row["orderID"] for row in rows] == [hashes[0], *hashes]


@scenario
async def test_a14_an_element_has_the_id_of_no_order():
    hashes, rows, accepted = await answered("other_id", legs=3)
    assert [row["orderID"] for row in rows[:2]] == hashes[:2]
    assert rows[2]["orderID"] not in hashes
    assert sorted(accepted) == sorted(hashes)


@scenario
async def test_a14_there_is_an_element_too_many():
    hashes, rows, _ = await answered("extra")
    assert [row["orderID"] for row in rows[:3]] == hashes
    assert rows[3]["orderID"] not in hashes


@pytest.mark.parametrize("text", ["", "not enough balance / allowance"])
@scenario
async def test_a14_success_with_an_empty_id_whether_or_not_there_is_a_reason(text):
    hashes, rows, accepted = await answered("blank", legs=2, text=text)
    assert (rows[1]["success"], rows[1]["orderID"], rows[1]["errorMsg"]) == (True, "", text)
    assert hashes[1] in accepted


@given(st.integers(0, 15), st.integers(0, 1000))
def test_mixing_permutes_without_losing_anything_and_never_by_nothing(count, seed):
    rows = [{"orderID": str(index)} for index in range(count)]
    mixed = mix(rows, "permuted", frozenset(), Random(seed))
    assert sorted(map(str, mixed)) == sorted(map(str, rows))
    assert count < 2 or mixed != rows


@pytest.mark.parametrize("word", ["live", "matched", "delayed", "unmatched", "strange", ""])
@scenario
async def test_a15_the_status_may_be_any_word(word):
    rule = {"at": "POST /orders", "when": {"leg": 2}, "then": {"do": "word", "status": word}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        status, rows = await stage.post(trader, stage.buy(trader), stage.buy(trader, shares=11))
        assert status == 200
        assert [row["status"] for row in rows] == ["matched", word]
        assert stage.held(trader) == 21_000_000


@scenario
async def test_the_word_of_a_single_order_changes_too():
    rule = {"at": "POST /order", "then": {"do": "word", "status": "delayed"}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        reply = await stage.client.signed(trader, "POST", "/order", stage.buy(trader))
        assert reply[1]["status"] == "delayed"
