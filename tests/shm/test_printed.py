"""Tables for terminals of any width: nothing is shortened, and what has no room is named."""

import io

import pytest
from rich.console import Console

from shm import inspector, printed
from shm.codes import Role
from shm.fabric import Fabric
from shm.layout import SIGNAL
from shm.printed import Fitting, one_line
from shm.readings import look
from shm.segment import list_files

COLUMNS = ("name", "count", "shape", "what it holds")
ROWS = [
    ("published_to_seen", "10,326", "64ns ▃▄▃ 33.6ms", "the way from one stage to another, once"),
    ("seen_to_signal", "43", "1.02us ▅█▇ 16.4us", "short"),
]


def printed_at(width: int, *parts) -> list[str]:
    console = Console(width=width, file=io.StringIO(), markup=False, emoji=False, highlight=False)
    console.print(*parts)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [20, 30, 50, 70, 120])
@pytest.mark.parametrize("wraps", [True, False])
def test_a_cell_is_shown_whole_or_its_column_is_named_as_left_out(width, wraps):
    lines = printed_at(width, Fitting(COLUMNS, ROWS, wraps=wraps))
    text = "\n".join(lines)
    _, _, left_out = " ".join(lines).partition("no room for: ")
    for index, column in enumerate(COLUMNS):
        if column in left_out:
            assert not any(row[index] in text for row in ROWS)
        elif not (wraps and index == 3):
            assert all(row[index] in text for row in ROWS), column
    assert all(len(line) <= width for line in lines)
    assert "…" not in text


def test_sentences_take_several_lines_before_their_column_is_left_out():
    lines = printed_at(80, Fitting(COLUMNS, ROWS, wraps=True))
    assert not any(line.startswith("no room") for line in lines)
    assert len(lines) == 5


def test_with_no_edge_everything_stands_on_one_line():
    lines = printed_at(1_000, Fitting(COLUMNS, ROWS, wraps=True, title="all of it"))
    assert len(lines) == 5
    assert lines[0] == "all of it"
    assert all(cell in lines[3] for cell in ROWS[0])


def test_names_are_whole_on_a_small_terminal(segments):
    producer = Fabric(segments, Role.ENGINE).produce("signals", SIGNAL)
    assert producer.try_push(SIGNAL.blank()._replace(signal=7))
    seen = look(segments)
    text = "\n".join(printed_at(80, printed.whole(seen)))
    for name in (*seen.roles, *seen.rings, *seen.tables, *seen.latency_us):
        assert name in text
    assert "no room for: if full, written, read" in text
    files = [inspector.describe(file) for file in list_files(segments)]
    listed = printed_at(80, printed.segments(files))
    assert all(any(file["segment"] in line for line in listed) for file in files)
    assert "no room" in listed[-1]


def test_a_row_says_which_one_it_is_even_if_it_is_the_first():
    assert one_line({"row": 0, "size_e6": 0, "bids": [0, 0]}) == "row=0"
    assert one_line({"position": 0, "side": ["buy", "sell"]}) == "position=0  side=[buy, sell]"
