"""Sequences of frames in C alone: no byte outside a frame, no book that contradicts itself."""

import sys

import pytest

from tests.fuzz.campaign import PROCESSES, TIMES, Campaign, require_nothing_found
from tests.fuzz.instrumented import Edit, build_program
from tests.fuzz.seeds import write_seeds, write_words
from tests.ingest.frames import market_of, token_of

pytestmark = pytest.mark.fuzz

INPUTS = 500_000
LONGEST = 4096


def campaign(folder, *edits: Edit) -> Campaign:
    tokens = [token_of(number) for number in range(6)]
    conditions = [market_of(token) for token in tokens[::2]]
    world = []
    for name, texts in (("tokens", tokens), ("conditions", conditions)):
        quoted = ", ".join(f'"{text}"' for text in texts)
        world.append(f"static const char *const {name}[] = {{{quoted}}};\n")
    (folder / "world.h").write_text("".join(world))
    program = build_program(folder, "shelf", f"-I{folder}", edits=edits)
    write_seeds(folder / "seeds", LONGEST, of_frames=3)
    write_words(folder / "words")
    return Campaign("shelf", folder, [str(program)], LONGEST)


def test_no_sequence_of_frames_touches_foreign_memory_or_spoils_a_book(tmp_path, capsys):
    one = campaign(tmp_path)
    results = one.run(INPUTS * TIMES)
    require_nothing_found(results, INPUTS * TIMES)
    with capsys.disabled():
        sys.stdout.write(f"\n{one.report(results)}\n")


PLANTED = {
    "a byte behind the frame": Edit(
        "scan.h", "in->end - in->at < 8 || in->at[0]", "in->end - in->at < 2 || in->at[0]"
    ),
    "a word behind the frame": Edit("scan.h", "in->end - at >= 8", "in->end - at >= 1"),
    "a trade's text of any length": Edit(
        "scan.h", " ||\n        event->last_trade.length > PT_TRADE_TEXT_MAX)", ")"
    ),
    "a market listed twice": Edit("shelf.h", "if (!row->changed) {", "{"),
    "a bit that stays": Edit("levels.h", "side->filled[cell / 64] &= ~bit;", ";"),
    "one level too many": Edit(
        "levels.h",
        "if (++count == PT_BOOK_LEVELS)\n                return count;\n            left ^",
        "if (count++ == PT_BOOK_LEVELS)\n                return count;\n            left ^",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_with_memory_is_found(tmp_path, mistake, capsys):
    (found,) = campaign(tmp_path, PLANTED[mistake]).run(INPUTS // PROCESSES, processes=1)
    assert found.returncode != 0, "not found with as many inputs as CI tries"
    with capsys.disabled():
        sys.stdout.write(f"\n{mistake}: {found.complaint}\n")
