"""Writes ``docs/performance.md`` and its plots from the figures of a run: ``python -m benchmarks.report``."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from benchmarks.curves import PLOTS, Line, ReportError
from benchmarks.table import GROUPS, HEADINGS, cells, number

BENCHMARKS: Final = Path(__file__).parent
DOCUMENT: Final = BENCHMARKS.parent / "docs" / "performance.md"
#: The plots, and the figures that document and plots were made of.
FOLDER: Final = DOCUMENT.with_suffix("")
FIGURES: Final = FOLDER / "bench.json"


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
    # What draws is in the extra "bench", and only needed here.
    plots = importlib.import_module("benchmarks.plots")
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
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

    def row(group: str, name: str, *, ending: bool = False) -> Line:
        """Find what the text tells of, by its name or, where a version stands in it, by the end of it."""
        named = str.endswith if ending else str.__eq__
        found = [row for row in rows if row["group"] == group and named(row["name"], name)]
        if len(found) != 1:
            raise ReportError(f"there are {len(found)} rows {group}: {name!r}")
        return found[0]

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    environment.filters |= {"figure": number, "cells": cells}
    environment.globals |= {"groups": GROUPS, "headings": HEADINGS, "plots": PLOTS, "row": row}
    environment.globals["budgets"] = [row for row in rows if row["limit"]]
    template = environment.from_string((BENCHMARKS / "performance.md.jinja").read_text())
    return template.render(figures)


if __name__ == "__main__":
    main()
