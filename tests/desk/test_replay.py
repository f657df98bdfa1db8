"""Replay: the independent analysis is met exactly, twice, and bad files are named."""

import csv
from fractions import Fraction

import pytest
from click.testing import CliRunner

from desk.cli import main
from desk.replay import frame_of, read_crawls, read_markets, run
from shm.errors import InputError

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


def test_the_recording_gives_the_independent_analysis_exactly(shared):
    folder = shared / "data" / "trio_quotes"
    outcome = run(folder / "markets.csv", folder / "quotes_dev.csv", None)
    assert {name: (c.evaluations, c.gross_positive, c.net_positive)
            for name, c in outcome.kinds.items()} == {
        "trio": (17_083, 1_311, 682),
        "complement": (19_199, 401, 116),
        "ladder": (19_744, 152, 144),
    }  # fmt: skip
    assert outcome.frames_refused == 0
    assert round(outcome.best_net_e8["trio"] / 1e6, 2) == 1.83


def test_two_runs_give_the_same_bytes_and_a_row_for_each_positive_evaluation(shared, tmp_path):
    folder = shared / "data" / "trio_quotes"
    outs = [tmp_path / "one.csv", tmp_path / "two.csv"]
    outcomes = [run(folder / "markets.csv", folder / "quotes_dev.csv", out) for out in outs]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert outcomes[0] == outcomes[1]
    rows = list(csv.DictReader(outs[0].read_text().splitlines()))
    assert len(rows) == sum(count.gross_positive for count in outcomes[0].kinds.values())
    assert sum(int(row["net_e8"]) > 0 for row in rows) == sum(
        count.net_positive for count in outcomes[0].kinds.values()
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
    second = list(read_crawls(files[1], ids))[1]
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
