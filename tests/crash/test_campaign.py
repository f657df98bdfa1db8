"""Deaths by the hundred on a bad exchange: nothing lost, nothing twice; bugs do not get through.

As many as fit into two and a half minutes here, 2,000 by `make crash`, 20,000 by `make soak`.
"""

import os
import secrets
import sys

import pytest

from tests.crash.campaign import chapter
from tests.crash.lanes import side_by_side

pytestmark = pytest.mark.proof
LONG = os.environ.get("POLYTRIO_SOAK") == "long"
CYCLES, SECONDS = (20_000, 10.0**9) if LONG else (2_000, 150.0)
LEAST = 20
"""Deaths below which the run says nothing, however slow the machine is."""
BUG_CYCLES, BUG_SECONDS = 400, 150.0
ORDER = ("orders-unwritten", "orders-written", "orders-begun", "sent-written", "reply-unwritten")
"""Where a bug about sending shows."""


def test_an_executor_that_dies_at_any_moment_loses_nothing_and_does_nothing_twice(capsys):
    seed = secrets.randbelow(10**6)
    report = side_by_side(CYCLES, seed, seconds=SECONDS, shown=LONG)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}: {report.text()}\n")
    assert report.findings == [], f"seed {seed}"
    assert report.cycles >= LEAST
    assert report.settled >= 2


@pytest.mark.parametrize(
    ("name", "always", "check"),
    [
        ("fresh salt on retry", ["replies are lost"], "C1"),
        ("journal after the send", [], "C2"),
        ("a fill counts twice", [], ""),
        ("a failed trade stands", ["failed"], ""),
        ("batch replies by place", ["permuted", "legs killed"], ""),
        ("no limit of exposure", ["retrying"], "C4"),
        ("neither kill nor halt is heeded", [], "C5"),
        ("nobody resolves a doubt", ["replies are lost"], "C6"),
        ("secrets are logged", [], "C7"),
        ("old quotes will do", ["quotes of some markets stop"], "C8"),
    ],
)
def test_a_planted_bug_does_not_survive_a_campaign(name, always, check, capsys):
    options = {"mutant": name, "settled_every": 10, "failpoints": ORDER, "always": always}
    report = chapter(BUG_CYCLES, 5, seconds=BUG_SECONDS, judged_early=True, **options)
    with capsys.disabled():
        found = report.findings[0][:100] if report.findings else "nothing"
        sys.stdout.write(f"\n{name}: {report.cycles} deaths: {found}\n")
    assert report.findings, report.text()
    assert any(one.startswith(check) for one in report.findings), report.text()
