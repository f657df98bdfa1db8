"""The speed targets, each with the rows that answer it; and the tables in docs/performance.md.

A target is a row's own `target` (tests/bench/report.py); here stands which rows they are, and how
they are told to people.
"""

from pathlib import Path
from typing import NamedTuple

from tests.bench.report import Report, Row, figure

DOCS = Path(__file__).parents[2] / "docs" / "performance.md"
START, END = "<!-- bench -->", "<!-- end of bench -->"


class Target(NamedTuple):
    """One promise."""

    step: str
    wanted: str
    suite: str
    name: str


TARGETS = (
    Target(
        "price_change of two entries parsed, applied, published", "p50 <= 1 us",
        "parse: price_change of two entries", "ours: scanned, applied, published",
    ),
    Target(
        "the same against Nautilus' adapter from Python", "at most a tenth of its time",
        "decode and apply: change", "ours, published",
    ),
    Target(
        "book of 98 levels parsed, applied, published", "p50 <= 8 us",
        "parse: book of 98 levels", "ours: scanned, applied, published",
    ),
    Target(
        "ring hop in C, pinned", "<= 1.15 x a word between the same two cores",
        "shared memory: hop in C, back to back", "ring",
    ),
    Target(
        "update to every affected basket evaluated (18 trios)", "p50 <= 150 ns",
        "engine: update to verdict", "ours, native",
    ),
    Target(
        "three orders hashed, signed, serialised, authenticated; prepared nonces", "p50 <= 45 us",
        "three legs: hash, sign, body, HMAC", "ours, prepared nonces",
    ),
    Target(
        "the same, RFC 6979", "p50 <= 150 us",
        "three legs: hash, sign, body, HMAC", "ours, RFC 6979",
    ),
    Target(
        "frame readable to POST bytes handed to the kernel, p50", "<= 150 us",
        "whole system", "frame to POST, p50",
    ),
    Target(
        "frame readable to POST bytes handed to the kernel, p99", "<= 500 us, a core per stage",
        "whole system", "frame to POST, p99",
    ),
    Target(
        "sustained by the whole pipeline, no loss", ">= 100,000 frames/s (10 us a frame)",
        "pipeline: time a frame at the sustained rate", "twice",
    ),
    *(
        Target(f"resident memory of {stage}", "<= 40 MB", "whole system", f"{stage}, memory")
        for stage in ("ingest", "engine", "executor")
    ),
    *(
        Target(f"garbage collections in {stage}", "0", "whole system", f"{stage}, collections")
        for stage in ("ingest", "engine", "executor")
    ),
)  # fmt: skip


class Answer(NamedTuple):
    """What the bench says to a target."""

    step: str
    wanted: str
    measured: str
    verdict: str


def answers(report: Report) -> list[Answer]:
    """Every target with what was measured; a suite that did not run leaves its targets open."""
    rows = {(row.suite, row.name): row for row in report.rows}
    return [_answer(target, rows.get((target.suite, target.name))) for target in TARGETS]


def _answer(target: Target, row: Row | None) -> Answer:
    if row is None:
        return Answer(target.step, target.wanted, "", "not measured")
    if row.skipped:
        return Answer(target.step, target.wanted, "", f"skipped: {row.skipped}")
    assert row.target is not None, f"{row.name} answers a target and has none"
    measured = figure(row.p50, row.unit)
    if row.against and row.ratio is not None:
        measured = f"{row.ratio:.2f} x ({measured})"
    return Answer(target.step, target.wanted, measured, "missed" if row.missed else "met")


def markdown(report: Report) -> str:
    """Machine, targets and all rows, as docs/performance.md shows them."""
    lines = [f"* {key}: {value}" for key, value in report.machine.items()]
    lines += ["", "| Step | Target | Measured | |", "|---|---|---|---|"]
    lines += [f"| {a.step} | {a.wanted} | {a.measured} | {a.verdict} |" for a in answers(report)]
    for suite in dict.fromkeys(row.suite for row in report.rows):
        lines += [
            "",
            f"**{suite}**",
            "",
            "| | p50 | p99 | max | ratio | |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_line(row) for row in report.rows if row.suite == suite]
    return "\n".join(lines)


def _line(row: Row) -> str:
    if row.skipped:
        return f"| {row.name} | | | | | skipped: {row.skipped} |"
    shown = [figure(value, row.unit) for value in (row.p50, row.p99, row.max)]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x {row.against}"
    return f"| {row.name} | {' | '.join(shown)} | {ratio} | {row.note} |"


def write_docs(report: Report, path: Path = DOCS) -> None:
    """Put the tables between the marks."""
    text = path.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    assert rest, f"{path.name} has no place for the tables"
    path.write_text(f"{before}{START}\n{markdown(report)}\n{END}{after}", "utf-8")
