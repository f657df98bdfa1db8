"""Replay: the independent analysis is met exactly, twice, and bad files are named."""

import csv
import json
import random
import sys
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from desk.cli import main
from desk.recording import frame_of, read_markets, read_moments
from desk.replay import Outcome, run
from shm.errors import InputError
from tests.conftest import SHARED

MARKETS = """market_id,condition_id,slug,event_slug,asset,kind,lower,upper,end_date
1,0x{a},s1,e,BTC,above,76000,,2026-06-25T16:00:00Z
2,0x{b},s2,e,BTC,above,78000,,2026-06-25T16:00:00Z
3,0x{c},s3,e,BTC,range,76000,78000,2026-06-25T16:00:00Z
""".format(a="aa" * 32, b="bb" * 32, c="cc" * 32)
QUOTES = """timestamp_utc,market_id,best_bid,best_ask,last_trade_price
2026-06-25T08:59:24Z,1,0.60,0.62,
2026-06-25T08:59:24Z,2,0.30,0.32,
2026-06-25T08:59:24Z,3,0.35,0.36,
2026-06-25T09:59:24Z,1,0.60,0.62,
2026-06-25T09:59:24Z,2,,1,
2026-06-25T10:59:24Z,3,0.35,0.36,
"""


@pytest.fixture
def files(tmp_path):
    markets, quotes = tmp_path / "m.csv", tmp_path / "q.csv"
    markets.write_text(MARKETS)
    quotes.write_text(QUOTES)
    return markets, quotes


class Replayed(NamedTuple):
    """The recording, replayed once for all tests of this file."""

    folder: Path
    outcome: Outcome
    out: bytes


@pytest.fixture(scope="module")
def replayed(tmp_path_factory) -> Replayed:
    folder = SHARED / "data" / "trio_quotes"
    if not folder.is_dir():
        pytest.skip("needs the recordings in ../shared/data")
    out = tmp_path_factory.mktemp("replayed") / "out.csv"
    outcome = run(folder / "markets.csv", folder / "quotes_dev.csv", out)
    return Replayed(folder, outcome, out.read_bytes())


def test_the_recording_gives_the_independent_analysis_exactly(replayed):
    outcome = replayed.outcome
    assert {name: (c.evaluations, c.gross_positive, c.net_positive)
            for name, c in outcome.kinds.items()} == {
        "trio": (17_083, 1_311, 682),
        "complement": (19_199, 401, 116),
        "ladder": (19_744, 152, 144),
        "top_bracket": (1_622, 220, 204),
        "negrisk_yes": (2_416, 2, 0),
        "negrisk_no": (2_417, 30, 0),
    }  # fmt: skip
    assert outcome.frames_refused == 0
    assert round(outcome.best_net_e8["trio"] / 1e6, 2) == 1.83


def test_e12_two_runs_give_the_same_bytes_and_a_row_for_each_positive_evaluation(
    replayed, tmp_path
):
    out = tmp_path / "two.csv"
    again = run(replayed.folder / "markets.csv", replayed.folder / "quotes_dev.csv", out)
    assert out.read_bytes() == replayed.out
    assert again.as_json() == replayed.outcome.as_json()
    counted = [*again.kinds.values(), *again.wider.values()]
    rows = list(csv.DictReader(replayed.out.decode().splitlines()))
    assert len(rows) == sum(count.gross_positive for count in counted)
    assert sum(int(row["net_e8"]) > 0 for row in rows) == sum(
        count.net_positive for count in counted
    )


def test_an_edge_is_the_one_that_fractions_give(files, tmp_path):
    out = tmp_path / "o.csv"
    outcome = run(*files, out)
    # trio: YES 76k ask .62, NO range 1-.35, NO 78k 1-.30 = 1.97 < 2
    prices = [Fraction(62, 100), Fraction(65, 100), Fraction(70, 100)]
    gross = 2 - sum(prices)
    net = gross - sum(Fraction(7, 100) * p * (1 - p) for p in prices)
    trio = next(
        row for row in csv.DictReader(out.read_text().splitlines()) if row["kind"] == "trio"
    )
    assert trio["market_ids"] == "1 3 2"
    assert int(trio["gross_e8"]) == gross * 10**8
    assert int(trio["net_e8"]) == net * 10**8
    # In the second crawl 78k has no bid, in the third only the range is quoted.
    assert outcome.kinds["trio"].evaluations == 1
    assert outcome.kinds["ladder"].evaluations == 1


def test_a_crawl_becomes_one_frame_of_whole_books(files):
    markets, ids = read_markets(files[0])
    second = list(read_moments(files[1], ids))[1]
    assert frame_of(second, markets).count(b'"event_type":"book"') == 2
    assert b'"price":"0.62"' in frame_of(second, markets)
    assert b'"bids":[],"asks":[]' in frame_of(second, markets)


@pytest.mark.parametrize(
    ("which", "old", "new", "says"),
    [
        (0, "kind", "sort", "no column kind"),
        (0, ",above,76000", ",beside,76000", "line 2"),
        (0, "76000,,2026-06-25T16:00:00Z", "76e3,,2026-06-25T16:00:00Z", "line 2"),
        (0, "2026-06-25T16:00:00Z", "noon", "line 2"),
        (1, "0.60", "NaN", "line 2"),
        (1, "08:59:24Z,2", "08:59:24Z,99", "line 3: unknown market '99'"),
        (1, "0.60,0.62,", "0.60", "line 2"),
    ],
)
def test_bad_files_are_refused_with_file_and_line(files, which, old, new, says):
    text = files[which].read_text()
    assert old in text
    files[which].write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=says) as caught:
        run(*files, None)
    assert files[which].name in str(caught.value)


def test_on_the_command_line_an_error_is_one_line_and_its_own_exit_code(files):
    done = CliRunner().invoke(
        main, ["replay", "--markets", "absent.csv", "--quotes", str(files[1]), "--json"]
    )
    assert done.exit_code == InputError.exit_code
    assert done.stderr.count("\n") == 1
    assert "absent.csv" in done.stderr
    done = CliRunner().invoke(
        main, ["replay", "--markets", str(files[0]), "--quotes", str(files[1]),
               "--out", str(files[0])]
    )  # fmt: skip
    assert done.exit_code == InputError.exit_code


def test_the_table_for_people_has_the_same_counts(files):
    done = CliRunner().invoke(
        main, ["replay", "--markets", str(files[0]), "--quotes", str(files[1])]
    )
    assert done.exit_code == 0
    assert "3 crawls, 3 markets, 3 baskets" in done.output


def shuffled(text: str, seed: int) -> str:
    """The same quotes, in another order inside each crawl."""
    head, *lines = text.splitlines()
    rng = random.Random(seed)
    mixed = []
    for _, crawl in groupby(lines, lambda line: line.split(",", 1)[0]):
        some = list(crawl)
        rng.shuffle(some)
        mixed += some
    assert mixed != lines
    return "\n".join([head, *mixed]) + "\n"


def test_the_order_of_prices_inside_a_crawl_changes_nothing(replayed, tmp_path):
    mixed, out = tmp_path / "mixed.csv", tmp_path / "out.csv"
    mixed.write_text(shuffled((replayed.folder / "quotes_dev.csv").read_text(), seed=7))
    outcome = run(replayed.folder / "markets.csv", mixed, out)
    assert outcome.as_json() == replayed.outcome.as_json()
    assert out.read_bytes() == replayed.out


def test_evaluating_inside_a_crawl_would_see_the_order_of_its_prices(files, tmp_path):
    """What the test above must be able to see: each quote of a crawl as a moment of its own."""
    results = []
    for seed in range(6):
        quotes = tmp_path / "q.csv"
        head, *lines = files[1].read_text().splitlines()[:4]
        random.Random(seed).shuffle(lines)
        stamped = [f"2026-06-25T08:59:2{i}Z,{line.split(',', 1)[1]}"
                   for i, line in enumerate(lines)]  # fmt: skip
        quotes.write_text("\n".join([head, *stamped]) + "\n")
        results.append(run(files[0], quotes, None, keep=True).as_json()["kinds"])
    assert any(one != results[0] for one in results)


def test_a_recording_with_depth_says_how_many_units_there_are(files):
    lines = ["timestamp_utc,market_id,best_bid,best_ask,bids,asks"]
    for number, bids, asks in (
        (1, "0.60:50", "0.62:30 0.63:500"), (2, "0.30:40 0.29:9", "0.32:7"), (3, "0.40:80", "1:5"),
    ):  # fmt: skip
        lines += [f"2026-06-25T08:59:24.{250 * n:03}Z,{number},,,{bids},{asks}" for n in (1,)]
    files[1].write_text("\n".join(lines) + "\n")
    (one,) = run(*files, None).as_json()["windows"]["each"]
    assert one["kind"] == "trio"
    assert one["size_e6"] == 30 * 10**6
    assert one["first_ms"] % 1000 == 250


@pytest.mark.parametrize("side", ["0.60", "0.60:", "0.60:-5", "2:5"])
def test_a_side_that_is_not_prices_with_sizes_is_refused(files, side):
    files[1].write_text(
        f"timestamp_utc,market_id,best_bid,best_ask,bids,asks\n2026-06-25T08:59:24Z,1,,,{side},\n"
    )
    with pytest.raises(InputError, match="line 2"):
        run(*files, None)


def test_the_json_has_the_windows_and_says_what_it_cannot_know(files):
    files[1].write_text(QUOTES.replace("3,0.35,0.36", "3,0.40,0.41", 1))
    done = CliRunner().invoke(
        main, ["replay", "--markets", str(files[0]), "--quotes", str(files[1]), "--json"]
    )
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert list(found["kinds"]) == [
        "trio", "complement", "ladder", "top_bracket", "negrisk_yes", "negrisk_no",
    ]  # fmt: skip
    windows = found["windows"]
    assert windows["resolution_ms"] == 3_600_000
    assert "not in the recording" in windows["note"]
    (one,) = windows["each"]
    assert (one["kind"], one["legs"], one["at_least_ms"]) == ("trio", "1 3 2", 0)
    assert one["at_most_ms"] is None  # the recording began with it
    assert one["left_ms"] == 25_236_000
    assert set(one["after_ms"].values()) == {"unknown"}


def test_plots_are_written_in_both_formats_and_twice_the_same(files, tmp_path):
    written = []
    for name in ("a", "b"):
        done = CliRunner().invoke(
            main, ["replay", "--markets", str(files[0]), "--quotes", str(files[1]),
                   "--plots", str(tmp_path / name)]
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        written.append({p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())})
    assert set(written[0]) == {
        f"{name}.{suffix}" for name in ("windows", "fates", "sizes") for suffix in ("png", "svg")
    }
    assert written[0] == written[1]
    assert all(body.startswith(b"\x89PNG") for name, body in written[0].items() if "png" in name)


def test_without_matplotlib_plots_are_refused_in_one_line_before_the_replay(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = CliRunner().invoke(
        main, ["replay", "--markets", str(files[0]), "--quotes", "absent.csv", "--plots", "p"]
    )
    assert done.exit_code == InputError.exit_code
    assert "matplotlib" in done.stderr
    assert done.stderr.count("\n") == 1
