"""Writes ``docs/performance.md`` and its plots from the figures of a run: ``python -m benchmarks.report``."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from benchmarks.table import GROUPS, HEADINGS, cells, number

BENCHMARKS: Final = Path(__file__).parent
DOCUMENT: Final = BENCHMARKS.parent / "docs" / "performance.md"
#: The plots, and the figures that document and plots were made of.
FOLDER: Final = DOCUMENT.with_suffix("")
FIGURES: Final = FOLDER / "bench.json"

Line = Mapping[str, Any]


class ReportError(Exception):
    """The figures are not those that the document tells; the message says what is missing."""


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    Args:
        label: in the legend.
        names: what rows it is made of: an expression for their names.
        member: of a row, what is drawn.
    """

    label: str
    names: str
    member: str = "value"

    def points(self, rows: Sequence[Line]) -> list[tuple[float, float]]:
        """Return what is drawn: how many there were of what grows, and the figure.

        Raises:
            ReportError: there are not even two points.
        """
        found = [row for row in rows if row["group"] == "e" and re.fullmatch(self.names, row["name"])]
        if len(found) < 2:
            raise ReportError(f"too few rows for a line: {self.names}")
        return sorted((row["count"], row[self.member]) for row in found)


@dataclass(frozen=True)
class Plot:
    """A plot of what grows, with logarithmic axes.

    Args:
        across: what grows.
        up: what is drawn, with its unit.
    """

    title: str
    across: str
    up: str
    series: tuple[Series, ...]


PLOTS: Final = {
    "rules": Plot(
        "A free path, by the number of rules",
        "rules",
        "µs for a request",
        (
            Series("regular expressions", "free path, [0-9,]+ regular expressions?"),
            Series("templates", "free path, [0-9,]+ templates?"),
            Series("bare application", "free path, [0-9,]+ templates?", "base"),
        ),
    ),
    "cache-memory": Plot(
        "Memory of the cache",
        "payments in the cache",
        "MB",
        (Series("cache", "cache of [0-9,]+ tuples, memory"),),
    ),
    "cache-time": Plot(
        "Time of the cache",
        "payments in the cache",
        "µs for each",
        tuple(Series(what, f"cache of [0-9,]+ tuples, one {what}") for what in ("put", "hit", "miss")),
    ),
    "visitors": Plot(
        "Unpaid visitors who come at once",
        "visitors at once",
        "ms until the answer",
        (
            Series("paywall, 99 of 100", "[0-9,]+ unpaid visitors? at once, median", "p99"),
            Series("paywall, median", "[0-9,]+ unpaid visitors? at once, median"),
            Series("bare application, 99 of 100", "[0-9,]+ unpaid visitors? at once, median", "p99_bare"),
            Series("bare application, median", "[0-9,]+ unpaid visitors? at once, median", "base"),
        ),
    ),
    "polls-memory": Plot(
        "Memory of pages that wait for their payment",
        "pages that wait",
        "MB more than without them",
        (
            Series("paywall", "[0-9,]+ waiting pages, memory"),
            Series("bare application, as many requests", "[0-9,]+ waiting pages, memory", "base"),
        ),
    ),
    "polls-time": Plot(
        "Processor time of pages that wait for their payment",
        "pages that wait",
        "seconds in a minute",
        (
            Series("paywall", "[0-9,]+ waiting pages, processor time a minute"),
            Series("bare application, as many requests", "[0-9,]+ waiting pages, processor time a minute", "base"),
        ),
    ),
}


def main() -> None:
    """Write everything anew from the figures of the newest run, or of the file that is named."""
    source = Path(*sys.argv[1:] or ["artifacts/bench.json"])
    publish(source)
    print(f"{source} is now in {DOCUMENT}")


def publish(source: Path) -> None:
    """Write the document, the plots, and the figures that they are made of.

    Raises:
        ReportError: the figures are not those of a whole run.
    """
    text = source.read_text()
    figures = json.loads(text)
    document = rendered(figures)
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    # What draws is in the extra "bench", and only needed here.
    plots = importlib.import_module("benchmarks.plots")
    for name, plot in PLOTS.items():
        plots.draw(plot, figures["rows"], FOLDER / f"{name}.svg")
    FIGURES.write_text(text)
    DOCUMENT.write_text(document)


def rendered(figures: Mapping[str, Any]) -> str:
    """Return the document.

    Args:
        figures: of a run, as `benchmarks.__main__` writes them.

    Raises:
        ReportError: the figures are not those of a whole run.
    """
    rows: list[Line] = figures["rows"]
    if missing := set(GROUPS) - {row["group"] for row in rows}:
        raise ReportError(f"no figures of the groups {', '.join(sorted(missing))}: measure all of them in one run")

    def row(group: str, name: str) -> Line:
        """Find what the text tells of."""
        found = [row for row in rows if (row["group"], row["name"]) == (group, name)]
        if len(found) != 1:
            raise ReportError(f"there are {len(found)} rows {group}: {name!r}")
        return found[0]

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    environment.filters |= {"figure": number, "cells": cells}
    environment.globals |= {"groups": GROUPS, "headings": HEADINGS, "plots": PLOTS, "row": row}
    template = environment.from_string((BENCHMARKS / "performance.md.jinja").read_text())
    return template.render(figures)


def described(plot: Plot, rows: Sequence[Line]) -> str:
    """Return the points of a plot as text, for those who do not see it."""
    lines = (
        f"{series.label}: " + ", ".join(f"{count:,}: {number(value)}" for count, value in series.points(rows))
        for series in plot.series
    )
    return f"{plot.up}, by {plot.across}. " + "; ".join(lines)


if __name__ == "__main__":
    main()
