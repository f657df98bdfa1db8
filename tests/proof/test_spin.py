"""Processes that die at every step: spin searches all interleavings of the models in spin/.

A model's first comment says what is shipped and what its known-bad variants are. The shipped form
must come through with every statement reached; each variant must fail, and for its own reason.
The models take the steps one at a time; what memory may do to their order is in test_ordering.py.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import require_or_skip
from tests.proof.compiling import HERE

pytestmark = pytest.mark.proof

SAFETY = ["-DSAFETY", "-DNOCLAIM"]
FAIR = ["-DNFAIR=3"]
"""Weak fairness: whoever can always take a step takes one at last."""


@dataclass(frozen=True)
class Search:
    """What pan reports."""

    errors: int
    states: int
    complaint: str
    unreached: list[str]
    complete: bool


def spun(folder: Path, model: str, *variant: str, fair: bool = False) -> Search:
    """Search a model's whole state space; `fair` also looks for cycles without progress."""
    require_or_skip(shutil.which("spin") is not None, "spin (Debian package spin)")
    require_or_skip(shutil.which("cc") is not None, "the compiler cc")

    def done(*command: str, seconds: int = 60) -> str:
        made = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=seconds
        )  # fmt: skip
        assert made.returncode == 0, f"{' '.join(command)}\n{made.stdout}{made.stderr}"
        return made.stdout

    done("spin", "-a", *variant, str(HERE / "spin" / model))
    done("cc", "-O2", "-w", "-DMEMLIM=1024", *(FAIR if fair else SAFETY), "-o", "pan", "pan.c")
    told = done("./pan", "-m100000", *(["-a", "-f"] if fair else []), seconds=240)
    errors = re.search(r"errors: (\d+)", told)
    states = re.search(r"([\d.e+]+) states, stored", told)
    assert errors, told
    assert states, told
    complaint = re.search(r"^pan:\d+: (.*)$", told, re.MULTILINE)
    search = Search(
        errors=int(errors[1]),
        states=int(float(states[1])),
        complaint=complaint[1] if complaint else "",
        unreached=re.findall(r"^\t\S+\.pml:\d+, state \d+, .*$", told, re.MULTILINE),
        complete="Warning: Search not completed" not in told and "too small" not in told,
    )
    sys.stdout.write(f"{model} {' '.join(variant)}: errors {search.errors}, {search.states:,} "
                     f"states{', weakly fair' * fair} {search.complaint}\n")  # fmt: skip
    return search


@pytest.fixture
def spin(tmp_path, capsys):
    """`spun` in a folder of its own; its lines are shown although the test passes."""

    def search(model: str, *variant: str, fair: bool = False) -> Search:
        with capsys.disabled():
            sys.stdout.write("\n")
            return spun(tmp_path, model, *variant, fair=fair)

    return search


SHIPPED = [
    ("ring.pml",),
    ("ring.pml", "-DBATCH=2"),
    ("ring.pml", "-DSLOTS=1"),
    ("ring.pml", "-DSLOTS=4", "-DMESSAGES=7"),
    ("latch.pml",),
    ("create.pml",),
    ("create.pml", "-DDEATHS=2"),
    ("role.pml",),
    ("role.pml", "-DLOSES_LOCK"),
]
CANNOT_BE_REACHED = {("role.pml", "-DLOSES_LOCK"): 2}
"""The lock is lost after the epoch was raised: not in the two steps that raise it."""


@pytest.mark.parametrize("model", SHIPPED, ids=" ".join)
def test_what_is_shipped_survives_a_death_at_every_step(spin, model):
    search = spin(*model)
    assert (search.errors, search.complaint, search.complete) == (0, "", True)
    expected = CANNOT_BE_REACHED.get(model, 0)
    assert len(search.unreached) == expected, "a statement is never reached: it proves nothing"


@pytest.mark.parametrize("model", [("ring.pml",), ("ring.pml", "-DBATCH=2"), ("latch.pml",)])
def test_what_is_shipped_makes_progress_under_weak_fairness(spin, model):
    search = spin(*model, fair=True)
    assert (search.errors, search.complaint, search.complete) == (0, "", True)


TORN = r"assertion violated \(first\[.*\]==second\[.*\]\)"
CHANGED = r"assertion violated \(first\[.*\]==published\[message\]\)"
STALE = r"assertion violated \(newest_writer<=mine\)"
STUCK = "invalid end state"

KNOWN_BAD = [
    ("ring.pml", ["-DNO_ROLL_FORWARD"], CHANGED),
    ("ring.pml", ["-DRESUME_AT_READ"], CHANGED),
    ("ring.pml", ["-DCOMMIT_FIRST"], TORN),
    ("latch.pml", ["-DSEQLOCK"], r"assertion violated  !\(calm\)"),
    ("latch.pml", ["-DPUBLISH_FIRST"], r"assertion violated \(first==second\)"),
    ("latch.pml", ["-DNO_CHECK"], r"assertion violated \(first==second\)"),
    ("create.pml", ["-DEXCLUSIVE"], STUCK),
    ("create.pml", ["-DNO_WAIT"], r"assertion violated .*magic\[attached\[me\]\]"),
    ("create.pml", ["-DRENAME"], r"assertion violated \(attached\[0\]==attached\[1\]\)"),
    ("role.pml", ["-DNO_LOCK"], r"assertion violated .*\(first==second\)"),
    ("role.pml", ["-DLOCK_STAYS"], STUCK),
    ("role.pml", ["-DLOSES_LOCK", "-DRAISES_LATE"], STALE),
    ("role.pml", ["-DLOSES_LOCK", "-DNEVER_LOOKS"], STALE),
]


@pytest.mark.parametrize(("model", "variant", "complaint"), KNOWN_BAD)
def test_a_known_bad_variant_fails_for_its_own_reason(spin, model, variant, complaint):
    search = spin(model, *variant)
    assert search.errors == 1
    assert re.match(complaint, search.complaint)


def test_a_producer_that_never_looks_again_makes_no_progress(spin):
    search = spin("ring.pml", "-DLOOKS_ONCE", fair=True)
    assert search.errors == 1
    assert search.complaint.startswith("acceptance cycle")


# --- where the contract ends ------------------------------------------------------------------


def test_a_message_that_was_popped_and_not_acted_on_is_lost_with_its_reader(spin):
    """A pop gives the slot back before its caller has the message.

    So no message is handed out twice, and a consumer must be able to start without what its
    predecessor had in hand (docs/shared-memory.md, what a crash leaves behind).
    """
    search = spin("ring.pml", "-DHANDLE_LATER")
    assert search.errors == 1
    assert search.complaint.startswith("assertion violated (message==delivered)")


def test_a_writer_that_lost_its_lock_may_finish_the_publication_that_it_was_in(spin):
    search = spin("role.pml", "-DLOSES_LOCK", "-DSILENT_AT_ONCE")
    assert search.errors == 1
    assert re.match(STALE, search.complaint)
