"""Replies: a total function; nothing counts as refused without proof, nothing is lost."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.http import NoReply, Reply
from executor.replies import KILLS, REFUSALS, classify
from shm.codes import LegReason, LegState

HASHES = ["0x" + digit * 64 for digit in "abc"]
POSSIBLE = {
    LegState.FILLED,
    LegState.KILLED,
    LegState.REFUSED,
    LegState.LANDED,
    LegState.DOUBT,
}


def element(order_id="", error="", status="", **more) -> dict:
    return {"success": True, "orderID": order_id, "errorMsg": error, "status": status,
            "makingAmount": "", "takingAmount": "", "tradeIDs": [], **more}  # fmt: skip


def states(status: int, body, hashes=HASHES) -> list[LegState]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [outcome.state for outcome in classify(Reply(status, data), hashes)]


def test_matched_elements_are_filled():
    body = [element(h, status="matched") for h in HASHES]
    assert states(200, body) == [LegState.FILLED] * 3


def test_elements_are_matched_by_their_id_whatever_their_order():
    body = [element(HASHES[2], status="matched"), element(HASHES[0], status="live"),
            element(HASHES[1], status="delayed")]  # fmt: skip
    assert states(200, body) == [LegState.LANDED, LegState.LANDED, LegState.FILLED]


def test_success_true_with_an_empty_id_and_a_reason_is_no_acceptance():
    body = [
        element(error="not enough balance / allowance"),
        element(error="order couldn't be fully filled. FOK orders are fully filled or killed."),
        element(HASHES[2], status="matched"),
    ]
    assert states(200, body) == [LegState.REFUSED, LegState.KILLED, LegState.FILLED]


def test_a_killed_order_may_carry_its_id():
    error = "no orders found to match with FAK order. FAK orders are partially filled or killed"
    body = [element(h, error=error) for h in HASHES]
    assert states(200, body) == [LegState.KILLED] * 3


def test_duplicated_proves_that_the_order_landed():
    body = {"error": f"order {HASHES[0]} is invalid. Duplicated."}
    assert states(400, body) == [LegState.LANDED] * 3


def test_a_missing_element_and_a_strangers_id_are_doubts():
    body = [element(HASHES[0], status="matched"), element("0x" + "9" * 64, status="matched")]
    assert states(200, body) == [LegState.FILLED, LegState.DOUBT, LegState.DOUBT]


def test_a_strangers_id_is_told_since_the_venue_hashes_in_another_way():
    stranger = "0x" + "9" * 64
    body = [element(HASHES[0], status="matched"), element(stranger, status="matched")]
    data = json.dumps(body).encode()
    outcomes = classify(Reply(200, data), HASHES)
    assert [outcome.stranger for outcome in outcomes] == ["", stranger, stranger]


def test_nameless_elements_say_nothing_of_anyone_when_one_is_missing():
    killed = element(error="order couldn't be fully filled. FOK orders are fully filled or killed.")
    named = element(HASHES[1], status="matched")
    assert states(200, [killed, named]) == [LegState.DOUBT, LegState.FILLED, LegState.DOUBT]


def test_nameless_elements_that_did_not_all_fail_belong_to_nobody():
    killed = element(error="no orders found to match with FAK order")
    body = [killed, element(status="matched"), element(HASHES[0], status="matched")]
    assert states(200, body) == [LegState.FILLED, LegState.DOUBT, LegState.DOUBT]


def test_a_permuted_reply_moves_nothing_from_one_order_to_another():
    killed = element(error="no orders found to match with FAK order")
    body = [element(HASHES[2], status="matched"), killed, element(HASHES[0], status="live")]
    assert states(200, body) == [LegState.LANDED, LegState.KILLED, LegState.FILLED]


def test_matched_without_success_may_not_have_filled():
    body = [element(h, status="matched", success=False) for h in HASHES]
    assert states(200, body) == [LegState.LANDED] * 3


def test_an_unknown_reason_is_doubt_and_not_refusal():
    assert states(400, {"error": "something new"}) == [LegState.DOUBT] * 3
    assert states(200, [element(error="something new")] * 3) == [LegState.DOUBT] * 3


@pytest.mark.parametrize("status", [500, 502, 503, 504, 200, 301])
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'"ok"', b"{}", b"[", b"\xff", b"null", b"[" * 5_000, b'{"x":' * 5_000],
    ids=range(9),
)
def test_an_unreadable_answer_is_doubt(status, body):
    assert states(status, body) == [LegState.DOUBT] * 3


def test_an_answer_that_is_no_utf_8_is_unreadable_even_where_it_would_be_skipped():
    body = json.dumps([element(h, status="matched") for h in HASHES]).encode()
    assert states(200, body) == [LegState.FILLED] * 3
    assert states(200, body.replace(b"errorMsg", b"errorMs\xe7")) == [LegState.DOUBT] * 3
    assert states(400, b'{"error": "invalid amounts", "\xff": 1}') == [LegState.DOUBT] * 3


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, LegReason.UNAUTHORIZED),
        (403, LegReason.BANNED),
        (425, LegReason.RESTARTING),
        (429, LegReason.THROTTLED),
    ],
)
def test_statuses_that_prove_a_refusal(status, reason):
    outcomes = classify(Reply(status, b"whatever"), HASHES)
    assert {(o.state, o.reason) for o in outcomes} == {(LegState.REFUSED, reason)}


def test_no_reply_is_doubt_unless_nothing_left():
    sent = classify(NoReply(sent=True, reason="cut", timed_out=True), HASHES)
    unsent = classify(NoReply(sent=False, reason="refused"), HASHES)
    assert {(o.state, o.reason) for o in sent} == {(LegState.DOUBT, LegReason.TIMEOUT)}
    assert {(o.state, o.reason) for o in unsent} == {(LegState.REFUSED, LegReason.TRANSPORT)}


def test_the_documented_error_bodies_get_the_class_that_they_deserve(shared):
    bodies = json.loads((shared / "samples/fragments/error_bodies.json").read_text())
    for case in bodies:
        if case["endpoint"] not in {"POST /order", "POST /orders"}:
            continue
        body = case["body"]
        asked = HASHES[: len(body)] if isinstance(body, list) else HASHES
        found = set(states(case["http"], body, asked))
        text = json.dumps(case["body"]).lower()
        if "duplicated" in text:
            assert found == {LegState.LANDED}
        elif any(kill in text for kill in KILLS):
            assert found == {LegState.KILLED}
        elif any(known in text for known, _ in REFUSALS):
            assert LegState.REFUSED in found
            assert found <= {LegState.REFUSED, LegState.DOUBT}  # a short array leaves doubts
        else:
            assert found == {LegState.DOUBT}, text


@given(st.integers(100, 599), st.binary(max_size=120))
def test_every_answer_gives_one_outcome_for_each_order(status, body):
    outcomes = classify(Reply(status, body), HASHES)
    assert len(outcomes) == 3
    assert {outcome.state for outcome in outcomes} <= POSSIBLE


elements = st.fixed_dictionaries(
    {},
    optional={
        "orderID": st.sampled_from([*HASHES, "", "0x12", None]),
        "errorMsg": st.sampled_from(["", None, "x", *KILLS, *(text for text, _ in REFUSALS)]),
        "status": st.sampled_from(["", "matched", "live", "delayed", "unmatched", "new", None]),
        "success": st.booleans(),
        "more": st.integers(),
    },
)


@given(st.lists(elements, max_size=5))
def test_an_order_counts_as_filled_only_under_its_own_hash_and_without_a_reason(body):
    outcomes = classify(Reply(200, msgspec.json.encode(body)), HASHES)
    for expected, outcome in zip(HASHES, outcomes, strict=True):
        if outcome.state in {LegState.FILLED, LegState.LANDED}:
            mine = [e for e in body if e.get("orderID") == expected]
            assert mine or "duplicated" in outcome.text.lower()
            assert not mine[-1].get("errorMsg")
