"""The reply classifier's fuzz target: one documented outcome for each order, whatever is answered.

Run by tests/fuzz/campaign.py as `python -m tests.fuzz.replies FOLDER [options]`, where the folder
has the replies.py to try, perhaps with a planted mistake. An input is a byte that chooses the
status, and a body. What must be true of the outcomes is said once more, over Python's own JSON;
of executor/replies.py only its two lists of texts are used.
"""

import json
import random
import sys

import atheris

import executor

executor.__path__.insert(0, sys.argv[1])
with atheris.instrument_imports(include=["executor.replies"]):
    from executor import replies

from executor.http import NoReply, Reply  # noqa: E402  # behind the folder to try
from shm.codes import LegState  # noqa: E402

HASHES = ["0x" + digit * 64 for digit in "abc"]
STATUSES = (200, 200, 200, 200, 400, 401, 403, 404, 425, 429, 500, 502, 503, 301, 204)
PROVEN = {401, 403, 425, 429}
"""Statuses of a request that was not carried out, whatever else is said."""
STATES = {LegState.FILLED, LegState.KILLED, LegState.REFUSED, LegState.LANDED, LegState.DOUBT}
TEXTS = ["", "matched", "live", "delayed", "unmatched", "Duplicated", "something new",
         *replies.KILLS, *(text for text, _ in replies.REFUSALS)]  # fmt: skip


def elements_of(body: bytes) -> list[dict[str, object]]:
    """The objects of an array; none where the body is no array of objects."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    whole = isinstance(value, list) and all(isinstance(one, dict) for one in value)
    return value if whole else []


def text_of(element: dict[str, object], key: str) -> str:
    found = element.get(key)
    return found.lower() if isinstance(found, str) else ""


def require_outcome(outcome: replies.LegOutcome, expected: str, status: int, body: bytes) -> None:
    """What may be believed of one order, and on what grounds."""
    mine = [one for one in elements_of(body) if text_of(one, "orderID") == expected]
    said = outcome.text.lower()
    assert outcome.state in STATES, outcome
    match outcome.state:
        case LegState.FILLED:
            assert status == 200, outcome
            assert any(text_of(one, "status") == "matched" and not text_of(one, "errorMsg")
                       for one in mine), outcome  # fmt: skip
        case LegState.LANDED:
            assert "duplicated" in said or any(not text_of(one, "errorMsg") for one in mine), (
                outcome
            )
        case LegState.KILLED:
            assert any(kill in said for kill in replies.KILLS), outcome
        case LegState.REFUSED:
            known = any(text in said for text, _ in replies.REFUSALS)
            assert known or status in PROVEN, outcome


def one_input(data: bytes) -> None:
    """Classify; every order gets one outcome that the answer bears out."""
    status, body = STATUSES[data[0] % len(STATUSES)] if data else 200, data[1:]
    outcomes = replies.classify(Reply(status, body), HASHES)
    assert len(outcomes) == len(HASHES)
    for outcome, expected in zip(outcomes, HASHES, strict=True):
        require_outcome(outcome, expected, status, body)
    for sent in (False, True):
        answer = NoReply(sent=sent, reason="cut", timed_out=bool(body))
        wanted = LegState.DOUBT if sent else LegState.REFUSED
        assert {one.state for one in replies.classify(answer, HASHES)} == {wanted}


class ReplyChanger:
    """A libFuzzer mutator: its own changes, or another array of elements."""

    def __init__(self) -> None:
        self._random = random.Random(0)

    def __call__(self, data: bytes, longest: int, seed: int) -> bytes:
        self._random.seed(seed)
        if self._random.random() < 0.6:
            return bytes(atheris.Mutate(data, longest))
        return answer(self._random)[:longest]


def answer(source: random.Random) -> bytes:
    """A status and an array of elements, some with one key missing, null or of another type."""
    elements = []
    for _ in range(source.randrange(5)):
        order_id = source.choice([*HASHES, HASHES[0].upper(), "0x12", "", None])
        element = {"success": source.random() < 0.7, "orderID": order_id,
                   "errorMsg": source.choice(["", "", None, *TEXTS]),
                   "status": source.choice([None, *TEXTS[:5]])}  # fmt: skip
        if source.random() < 0.2:
            key = source.choice(list(element))
            element[key] = source.choice([7, [], {}, None, "x"])
        elements.append(element)
    body: object = elements
    if source.random() < 0.2:
        body = {"error": source.choice(TEXTS)}
    return bytes([source.randrange(256)]) + json.dumps(body).encode()


def main() -> None:
    """Hand over to libFuzzer, which does not come back."""
    program, _, *options = sys.argv
    atheris.Setup([program, *options], one_input, custom_mutator=ReplyChanger())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
