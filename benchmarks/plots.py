"""Draws the plots of docs/performance.md, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.curves import Line, Plot, described

#: Colours that the colour-blind tell apart, each with a mark of its own; the paper is white on dark pages too.
_STYLES: Final = (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"), ("#666666", "D"))


def draw(plot: Plot, rows: Sequence[Line], file: Path) -> None:
    """Draw a plot into an SVG file, which holds its points as text too."""
    with mpl.rc_context({"svg.hashsalt": "taler_paywall", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 4), layout="constrained", facecolor="white")
        axes = figure.subplots()
        for series, (colour, mark) in zip(plot.series, _STYLES, strict=False):
            across, up = zip(*series.points(rows), strict=True)
            axes.plot(across, up, color=colour, marker=mark, label=series.label)
        axes.set(title=plot.title, xlabel=plot.across, ylabel=plot.up, xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.grid(visible=True, color="#dddddd")
        axes.legend()
        metadata = {"Title": plot.title, "Description": described(plot, rows), "Date": None, "Creator": None}
        figure.savefig(file, format="svg", metadata=metadata)
