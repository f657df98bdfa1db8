"""Codes as words: every state, kind and reason of the layout has its words, and no other field."""

import re

from shm.codes import LegReason, PartialReason, Refusal, ReportKind, Role
from shm.layout import RECORDS, REPORT, ROLE_ROW
from shm.spoken import CODES, in_words

CODED = re.compile(r"(?:.*_)?(?:state|kind|outcome|side|verdict|cause|mode|execution|exchange"
                   r"|purpose|reason)")  # fmt: skip
NO_CODES = {("executor_stats", "refused_mode"), ("report", "reason")}
"""A counter; and what its row's kind explains."""


def test_every_field_that_sounds_like_a_code_has_its_words():
    coded = {
        (record.name, field)
        for record in RECORDS
        for field in record.offset_of
        if CODED.fullmatch(field)
    }
    known = {(record, field) for record, fields in CODES.items() for field in fields}
    assert coded - NO_CODES == known - {("role_row", "row")}


def test_words_stand_for_codes_and_unknown_numbers_stay():
    row = {"row": 4, "state": 4, "pid": 4, "epoch": 1}
    assert in_words(["role_row"], row) == row | {"row": "executor", "state": "running"}
    assert in_words(["role_row"], row | {"row": 0})["row"] == "supervisor"
    assert in_words(["role_row"], row | {"state": 77})["state"] == 77
    assert in_words(["role_row"], row | {"state": 0})["state"] == 0, "nothing yet is left out"
    assert in_words(["of another version"], row) == row
    assert {"row", *ROLE_ROW.offset_of} >= set(CODES["role_row"])
    assert Role(4).label == "executor"


def test_the_words_of_legs_end_where_the_legs_end():
    row = {"leg_outcome": [1, 2, 2, 0, 0], "leg_market": [5, 0, 0, 0, 0]}
    assert in_words(["signal"], row) == {
        "leg_outcome": ["yes", "no", "no"],
        "leg_market": [5, 0, 0, 0, 0],
    }
    assert in_words(["signal"], {"leg_side": [1, 0, 2, 0]})["leg_side"] == ["buy", 0, "sell"]


def test_the_reason_of_a_report_is_what_its_kind_says():
    blank = REPORT.blank()._asdict() | {"leg_reason": [LegReason.OTHER, 0]}
    reason = Refusal.DUPLICATE
    refused = in_words(["report"], blank | {"kind": ReportKind.REFUSED, "reason": reason})
    partial = in_words(["report"], blank | {"kind": ReportKind.PARTIAL, "reason": 1})
    sent = in_words(["report"], blank | {"kind": ReportKind.SENT, "reason": 1})
    assert (refused["kind"], refused["reason"]) == ("refused", "duplicate")
    assert (partial["kind"], partial["reason"]) == ("partial", PartialReason(1).name.lower())
    assert (sent["kind"], sent["reason"]) == ("sent", 1)
