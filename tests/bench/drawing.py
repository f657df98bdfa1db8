"""The picture that README shows: our times and the peers', on one logarithmic scale."""

from pathlib import Path
from typing import Any

from tests.bench.report import Report, Row, figure

SVG = Path(__file__).parents[2] / "docs" / "bench.svg"
PANELS = (
    ("parse: price_change of two entries", "a price_change of two entries"),
    ("parse: book of 98 levels", "a book of 98 levels"),
    ("decode and apply: change", "decoded, applied, best ask known"),
    ("receive over localhost, CPU time a frame", "a frame received over localhost (CPU)"),
    ("frame to decision: Node baseline, change", "from frame to decision"),
    (
        "three legs: hash, sign, body, HMAC",
        "three orders hashed, signed, serialised, authenticated",
    ),
)
OURS, PEERS = "#1b7f5c", "#9aa5b1"


def panels(report: Report) -> list[tuple[str, list[Row]]]:
    """Title and rows of each panel, as far as measured; our references in Python are left out."""
    found = []
    for suite, title in PANELS:
        rows = [
            row for row in report.rows
            if row.suite == suite and not row.skipped and "Python" not in row.name
        ]  # fmt: skip
        if rows:
            found.append((title, rows))
    return found


def draw(report: Report, path: Path = SVG) -> None:
    """Write the picture; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "polytrio"
    import matplotlib.pyplot as plt

    shown = panels(report)
    heights = [len(rows) + 1.2 for _, rows in shown]
    size, axes = plt.subplots(
        len(shown), 1, figsize=(9, 0.27 * sum(heights) + 0.8), sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for place, (title, rows) in zip(axes[:, 0], shown, strict=True):
        _panel(place, title, rows)
    axes[-1, 0].set_xlabel("microseconds, median of rounds that alternate; less is better")
    load = report.machine["load"].split(" (")[0]
    size.text(0.01, 0.003, f"{report.machine['processor']}, load {load}", fontsize=7, color="#666")
    size.tight_layout()
    size.savefig(path, metadata={"Date": None})
    plt.close(size)


def _panel(place: Any, title: str, rows: list[Row]) -> None:
    values = [row.p50 / 1_000 for row in rows]
    places = range(len(rows))
    colours = [PEERS if row.peer else OURS for row in rows]
    place.barh(places, values, color=colours, height=0.72)
    place.set_yticks(places, [row.name for row in rows], fontsize=8)
    place.invert_yaxis()
    place.set_xscale("log")
    place.set_xlim(0.05, 5_000)
    place.set_title(title, loc="left", fontsize=9, fontweight="bold")
    for number, row in zip(places, rows, strict=True):
        label = " " + figure(row.p50, row.unit)
        place.text(row.p50 / 1_000, number, label, va="center", fontsize=7)
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
