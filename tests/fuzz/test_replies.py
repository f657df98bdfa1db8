"""Answers of every kind: each order gets exactly one outcome, and only one that is borne out."""

import sys

import pytest

from tests.fuzz.campaign import PROCESSES, TIMES, Campaign, require_atheris, require_nothing_found
from tests.fuzz.instrumented import ROOT

pytestmark = pytest.mark.fuzz

INPUTS = 300_000
LONGEST = 1024


def campaign(folder, old: str = "", new: str = "") -> Campaign:
    require_atheris()
    text = (ROOT / "executor" / "replies.py").read_text()
    assert not old or text.count(old) == 1, "replies.py has changed: plant it elsewhere"
    (folder / "executor").mkdir()
    (folder / "executor" / "replies.py").write_text(text.replace(old, new) if old else text)
    command = [sys.executable, "-m", "tests.fuzz.replies", str(folder / "executor")]
    return Campaign("replies", folder, command, LONGEST)


def test_no_answer_gives_an_order_an_outcome_that_it_does_not_bear_out(tmp_path, capsys):
    one = campaign(tmp_path)
    results = one.run(INPUTS * TIMES)
    require_nothing_found(results, INPUTS * TIMES)
    with capsys.disabled():
        sys.stdout.write(f"\n{one.report(results)}\n")


PLANTED = {
    "filled under another hash": ("if order_id.lower() != expected_hash:", "if not order_id:"),
    "an unknown text as a refusal": (
        "or LegOutcome(LegState.DOUBT, LegReason.OTHER, text)",
        "or LegOutcome(LegState.REFUSED, LegReason.OTHER, text)",
    ),
    "a server error as a refusal": (
        "    429: LegReason.THROTTLED,\n",
        "    429: LegReason.THROTTLED,\n    503: LegReason.RESTARTING,\n",
    ),
    "an error that is an exception": (
        "except (msgspec.DecodeError, UnicodeDecodeError):\n        return",
        "except UnicodeDecodeError:\n        return",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_of_the_classifier_is_found(tmp_path, mistake, capsys):
    (found,) = campaign(tmp_path, *PLANTED[mistake]).run(INPUTS // PROCESSES, processes=1)
    assert found.returncode != 0, "not found with as many inputs as CI tries"
    with capsys.disabled():
        sys.stdout.write(f"\n{mistake}: {found.complaint[:90]}\n")
