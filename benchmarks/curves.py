"""What the plots of ``docs/performance.md`` show: lines through the rows that tell what grows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.table import number

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
            Series("regular expressions that fail late", "free path, [0-9,]+ regular expressions? that fails? late"),
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
        (
            *(Series(what, f"cache of [0-9,]+ tuples, one {what}") for what in ("put", "hit", "miss")),
            Series("hit in a plain dictionary", "plain dictionary of [0-9,]+ order IDs, one hit"),
        ),
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


def described(plot: Plot, rows: Sequence[Line]) -> str:
    """Return the points of a plot as text, for those who do not see it."""
    lines = (
        f"{series.label}: " + ", ".join(f"{count:,}: {number(value)}" for count, value in series.points(rows))
        for series in plot.series
    )
    return f"{plot.up}, by {plot.across}. " + "; ".join(lines)
