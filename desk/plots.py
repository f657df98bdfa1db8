"""Plots of opportunity windows, for whoever has matplotlib (the extra `report`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from desk.windows import DELAYS_MS, Fate, Window, honestly, summarised
from shm.errors import InputError

FORMATS = ("png", "svg")
_COLOURS = {
    Fate.FILLED: "#2a7f62",
    Fate.AGAIN: "#a9d3c2",
    Fate.GONE: "#b3423a",
    Fate.UNKNOWN: "#b8b8b8",
}


def require_matplotlib() -> Any:
    """Its figure, which needs no screen; `InputError` if it is not installed."""
    try:
        import matplotlib as mpl  # noqa: PLC0415  # heavy, and an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise InputError(
            "--plots needs matplotlib, which is not installed: "
            "`pip install 'polytrio[report]'` or `pip install matplotlib`"
        ) from None
    mpl.rcParams["svg.hashsalt"] = "polytrio"  # the same bytes each time
    return Figure


def plot(windows: Sequence[Window], resolution_ms: int | None, folder: Path) -> list[Path]:
    """Write `windows`, `fates` and `sizes`, each as PNG and SVG; the files written."""
    figure_class = require_matplotlib()
    figures = {
        "windows": _edges_over_time(figure_class(figsize=(9, 5)), windows),
        "fates": _fates(figure_class(figsize=(9, 5)), windows),
        "sizes": _sizes(figure_class(figsize=(9, 5)), windows),
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.text(0.01, 0.01, honestly(resolution_ms), fontsize=7, color="#555555")
            for suffix in FORMATS:
                path = folder / f"{name}.{suffix}"
                figure.savefig(path, metadata={"Date": None} if suffix == "svg" else None)
                written.append(path)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    return written


def _by_kind(windows: Sequence[Window]) -> dict[str, list[Window]]:
    found: dict[str, list[Window]] = {}
    for window in sorted(windows, key=lambda one: one.kind):
        found.setdefault(window.kind, []).append(window)
    return found


def _edges_over_time(figure: Any, windows: Sequence[Window]) -> Any:
    axes = figure.add_subplot()
    for kind, members in _by_kind(windows).items():
        hours = [one.left_ms / 3_600_000 for one in members]
        axes.plot(hours, [one.net_e8 / 1e6 for one in members], "o", ms=3, alpha=0.6, label=kind)
    axes.invert_xaxis()
    axes.set(xlabel="hours to expiry", ylabel="net edge at first sight, cents a share")
    axes.set_title(f"{len(windows)} windows with a net edge")
    if windows:
        axes.legend(fontsize=8)
    return figure


def _fates(figure: Any, windows: Sequence[Window]) -> Any:
    axes = figure.add_subplot()
    rows = summarised(windows)
    labels, bottoms = [], [0] * len(rows) * len(DELAYS_MS)
    heights: dict[Fate, list[int]] = {fate: [] for fate in Fate}
    for row in rows:
        for delay in DELAYS_MS:
            labels.append(f"{row['kind']} {row['to_expiry']}, {delay} ms")
            for fate in Fate:
                heights[fate].append(row["after_ms"][str(delay)][fate.value])
    places = list(range(len(labels)))
    for fate, counts in heights.items():
        axes.bar(places, counts, bottom=bottoms, color=_COLOURS[fate], label=fate.value)
        bottoms = [a + b for a, b in zip(bottoms, counts, strict=True)]
    axes.set_xticks(places, labels, rotation=90, fontsize=5)
    axes.set(ylabel="windows", title="what an order would have found after a delay")
    axes.legend(fontsize=8)
    figure.subplots_adjust(bottom=0.38)
    return figure


def _sizes(figure: Any, windows: Sequence[Window]) -> Any:
    axes = figure.add_subplot()
    for kind, members in _by_kind(windows).items():
        sizes = sorted(one.size_e6 / 1e6 for one in members)
        shares = [(i + 1) / len(sizes) for i in range(len(sizes))]
        axes.step(sizes, shares, where="post", label=kind)
    axes.set(xlabel="shares at the first look", ylabel="share of windows", xscale="log")
    axes.set_title("size of windows")
    if windows:
        axes.legend(fontsize=8)
    return figure
