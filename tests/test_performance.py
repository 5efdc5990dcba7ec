"""docs/performance.md tells the figures of the run that is committed beside it, all of them and no others."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import pytest

from benchmarks.curves import PLOTS, ReportError, described
from benchmarks.report import DOCUMENT, FIGURES, FOLDER, rendered
from benchmarks.table import Limit, Row

TIMES = "\N{MULTIPLICATION SIGN}"
#: Design, section 11: the group, what is in the names of the rows, and the budget.
BUDGETS = [
    ("a", "free path, 1 template rule", "≤ +2"),
    ("a", "free path, 1,000 template rules", "≤ +4"),
    ("a", "paid path", "≤ +15"),
    ("c", "free path", f"≥ {TIMES} 0.97"),
    ("c", "paid path", f"≥ {TIMES} 0.9"),
    ("d", "new visitor", "≤ 2"),
    ("d", "unpaid", "≤ 1"),
    ("d", "paid, cached", "≤ 0"),
    ("d", "paid, not cached", "≤ 1"),
    ("e", "cache of 1,000,000 tuples, memory", "≤ 400"),
    ("e", "cache of 1,000,000 tuples, one hit", f"≤ {TIMES} 4"),
    ("e", "cache of 1,000,000 tuples, one miss", f"≤ {TIMES} 4"),
    ("f", "paid", f"≤ {TIMES} 1.05"),
    ("f", "memory during it", "≤ +5"),
    ("f", "import", "≤ 250"),
]


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """Read the figures that are committed."""
    found: dict[str, Any] = json.loads(FIGURES.read_text())
    return found


def test_the_document_tells_the_figures(figures: dict[str, Any]) -> None:
    """Text and table are those that `UPDATE_DOCS=1 make bench` makes of the figures."""
    assert DOCUMENT.read_text() == rendered(figures)


def test_every_figure_of_the_document_is_measured(figures: dict[str, Any]) -> None:
    """A figure that is changed is changed in the document: none of them is written down by hand."""
    row = next(row for row in figures["rows"] if row["name"] == "cache of 1,000,000 tuples, memory")
    row["value"], before = 123.4, row["value"]
    changed = rendered(figures)
    row["value"] = before
    assert changed.count("123.4") == 2
    assert "123.4" not in rendered(figures)


def test_the_plots_are_those_of_the_figures(figures: dict[str, Any]) -> None:
    """Every plot is there and in the document, holds the points of the figures, and there are no others."""
    assert {file.name for file in FOLDER.iterdir()} == {f"{name}.svg" for name in PLOTS} | {FIGURES.name}
    assert set(re.findall(r"\]\(performance/(.+?)\.svg\)", DOCUMENT.read_text())) == set(PLOTS)
    for name, plot in PLOTS.items():
        assert described(plot, figures["rows"]) in (FOLDER / f"{name}.svg").read_text()


@pytest.mark.parametrize(("group", "name", "limit"), BUDGETS)
def test_every_budget_has_a_row(group: str, name: str, limit: str, figures: dict[str, Any]) -> None:
    """Every budget of the design was measured, and the table says whether it is kept, or that nobody can tell."""
    rows = [row for row in figures["rows"] if row["group"] == group and name in row["name"] and row["limit"] == limit]
    assert rows
    for row in rows:
        verdict = {None: "too noisy", True: "kept", False: "not kept"}[row["met"]]
        assert re.search(rf"\| {re.escape(row['name'])} \|.*{verdict}", DOCUMENT.read_text())


def test_every_verdict_is_what_the_figures_give(figures: dict[str, Any]) -> None:
    """What is added, what counts as equal and what is kept follow from medians, quartiles and budgets."""
    for line in figures["rows"]:
        given = {name: line[name] for name in ("group", "name", "unit", "value", "reference", "base", "ratio", "noise")}
        more = {name: line[name] for name in line if name not in Row("", "", "", 0.0).members()}
        row = Row(**given, limit=line["limit"] and limit_of(line["limit"]), more=more)
        assert row.members() == line


def limit_of(text: str) -> Limit:
    """Read a budget as it stands in the table."""
    sign, *of, bound = text.split()
    kind: Literal["value", "added", "ratio"] = "ratio" if of == [TIMES] else "added" if bound[0] == "+" else "value"
    return Limit(kind, float(bound), at_least=sign == "≥")


def test_a_part_of_a_run_is_no_document(figures: dict[str, Any]) -> None:
    """A run of some groups does not replace the document."""
    with pytest.raises(ReportError, match="groups d:"):
        rendered({**figures, "rows": [row for row in figures["rows"] if row["group"] != "d"]})
