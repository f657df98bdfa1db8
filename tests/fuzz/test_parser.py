"""Millions of frames: the scanner reads none otherwise than the decoder, and nothing crashes."""

import sys

import pytest

from tests.fuzz.campaign import PROCESSES, TIMES, Campaign, require_atheris, require_nothing_found
from tests.fuzz.instrumented import Edit, build_module
from tests.fuzz.seeds import write_seeds, write_words

pytestmark = pytest.mark.fuzz

INPUTS = 5_000_000
LONGEST = 4096


def campaign(folder, *edits: Edit) -> Campaign:
    require_atheris()
    module = build_module(folder, "ingest.scanner", edits)
    write_seeds(folder / "seeds", LONGEST)
    write_words(folder / "words")
    stats = f"{folder}/stats{{}}.json"
    command = [sys.executable, "-m", "tests.fuzz.parser", str(module), stats]
    return Campaign("parser", folder, command, LONGEST)


def test_the_scanner_reads_no_frame_otherwise_than_the_decoder(tmp_path, capsys):
    one = campaign(tmp_path)
    results = one.run(INPUTS * TIMES)
    require_nothing_found(results, INPUTS * TIMES)
    with capsys.disabled():
        sys.stdout.write(f"\n{one.report(results)}\n")


PLANTED = {
    "a leading zero in a size": Edit("scan.h", " || (digits > 1 && in->at[0] == '0')", ""),
    "a leading zero in a price": Edit(
        "scan.h",
        "in->at[0] != '0' || in->at[1] != '.')",
        "in->at[0] != '0')\n        return false;\n    if (in->at[1] == '0')\n"
        "        in->at++;\n    if (in->at[1] != '.')",
    ),
    "more than ten digits": Edit("scan.h", " && digits < 10)", ")"),
    "no limit of sizes": Edit("scan.h", "return *size_e6 <= PT_SIZE_E6_MAX;", "return true;"),
    "five decimals of a price": Edit("scan.h", "digits < 4 && *at", "digits < 5 && *at"),
    "a forgotten backslash": Edit("scan.h", "| (slash - ones) |", "| (slash & 0) |"),
    "a forgotten control character": Edit("scan.h", "(unsigned char)*at < 0x20 || ", ""),
    "bytes that are no UTF-8": Edit("scan.h", "(unsigned char)*at >= 0x80 || ", ""),
    "the market of an event before": Edit(
        "scan.h", "pt_plain(in, &event->market)", "pt_plain(in, &event->token)"
    ),
    "something behind the frame": Edit("scan.h", "return in.at == in.end;", "return true;"),
    "a tick from the frame before": Edit("scan.h", "    event->tick_e4 = 0;\n", ""),
    "a sixteenth digit of a time": Edit("scan.h", "digits < 15)", "digits < 16)"),
    "any side that is not BUY": Edit(
        "scan.h", 'change->buy || PT_EXACTLY(in, "SELL\\"")', "change->buy || pt_plain(in, &best)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_of_the_scanner_is_found(tmp_path, mistake, capsys):
    (found,) = campaign(tmp_path, PLANTED[mistake]).run(INPUTS // PROCESSES, processes=1)
    assert found.returncode != 0, "not found with as many inputs as CI tries"
    with capsys.disabled():
        sys.stdout.write(f"\n{mistake}: {found.complaint[:90]}\n")
