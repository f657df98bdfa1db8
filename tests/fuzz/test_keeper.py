"""Sequences of frames: the compiled keeper publishes what the plain one does, whatever comes."""

import sys

import pytest

from shm import segment
from tests.fuzz.campaign import PROCESSES, TIMES, Campaign, require_atheris, require_nothing_found
from tests.fuzz.instrumented import Edit, build_module
from tests.fuzz.seeds import write_seeds, write_words

pytestmark = pytest.mark.fuzz

INPUTS = 60_000
LONGEST = 8192


@pytest.fixture
def campaign(tmp_path, instance):
    """Makes a campaign, with edits of the headers."""
    require_atheris()

    def make(*edits: Edit) -> Campaign:
        module = build_module(tmp_path, "ingest.native", edits)
        write_seeds(tmp_path / "seeds", LONGEST, of_frames=4)
        write_words(tmp_path / "words")
        command = [sys.executable, "-m", "tests.fuzz.keeper", str(module), f"{instance}-{{}}"]
        return Campaign("keeper", tmp_path, command, LONGEST)

    yield make
    for path in segment.SHM_ROOT.glob(f"polytrio.{instance}-*"):
        path.unlink()


def test_no_sequence_of_frames_tells_the_two_keepers_apart(campaign, capsys):
    one = campaign()
    results = one.run(INPUTS * TIMES)
    require_nothing_found(results, INPUTS * TIMES)
    with capsys.disabled():
        sys.stdout.write(f"\n{one.report(results)}\n")


PLANTED = {
    "a mirror that is not compared": Edit(
        "mirror.h", "if (yes_e6 >= 0 && yes_e6 != no_e6)", "if (yes_e6 < -1)"
    ),
    "many entries of which the first one counts": Edit(
        "mirror.h", "uint32_t i = count; i-- > 0;", "uint32_t i = 0; i < count; i++"
    ),
    "another market's data taken": Edit(
        "shelf.h", "memcmp(market->at, row->condition, PT_CONDITION_CHARS) == 0)", "true)"
    ),
    "a time that goes backwards": Edit(
        "shelf.h", "exchange_ms >= row->exchange_ms)", "exchange_ms + 1 >= row->exchange_ms)"
    ),
    "NO after YES": Edit(
        "shelf.h",
        "pt_put_token(shelf, row, sided, count, true); /* YES has the last word */\n",
        ";\n        pt_put_token(shelf, row, sided, count, false);\n"
        "        pt_put_token(shelf, row, sided, count, true); return; ",
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_of_the_keeper_is_found(campaign, mistake, capsys):
    (found,) = campaign(PLANTED[mistake]).run(INPUTS // PROCESSES, processes=1)
    assert found.returncode != 0, "not found with as many inputs as CI tries"
    with capsys.disabled():
        sys.stdout.write(f"\n{mistake}: {found.complaint[:90]}\n")
