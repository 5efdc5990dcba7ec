"""The table of threats is whole: every row has its answer, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
DOCUMENT: Final = TESTS.parent / "docs" / "threats.md"
TEXT: Final = DOCUMENT.read_text()
#: How many threats each group has.
COUNTS: Final = {"A": 29, "B": 12, "C": 17, "D": 12, "E": 9, "F": 9, "G": 18, "H": 11, "I": 11, "J": 9, "K": 10}
THREATS: Final = [f"{group}{number}" for group, count in COUNTS.items() for number in range(1, count + 1)]
PROMISES: Final = [str(number) for number in range(1, 8)]
MAX_WORDS: Final = 25
ROWS: Final = re.findall(r"(?m)^\| ([A-K]?\d+) \| (.+) \|$", TEXT)
SHOWN: Final = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@cache
def functions_of(file: str) -> set[str]:
    """Return the names of the functions of a file."""
    parsed = ast.parse((TESTS / file).read_text())
    return {node.name for node in parsed.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_threat_is_answered_or_named_as_open() -> None:
    """Every threat has one row, or stands once among what is not done yet; every promise has a row."""
    later = TEXT.partition("\n## Not yet\n")[2].partition("\n## ")[0]
    found = [row for row, _ in ROWS] + re.findall(r"\b[A-K]\d+\b", later)
    assert len(THREATS) == 147
    assert sorted(found) == sorted(PROMISES + THREATS)


def test_every_row_is_short_and_shown() -> None:
    """A row says little, and names one to three tests that exist."""
    assert len(ROWS) > 100
    for row, cells in ROWS:
        *said, shown = cells.split(" | ")
        assert len(said) == (1 if row in PROMISES else 2), row
        assert all(len(cell.split()) <= MAX_WORDS for cell in said), row
        named = SHOWN.findall(shown)
        assert 1 <= len(set(named)) == len(named) == len(shown.split(", ")) <= 3, row
        assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == [], row


def test_links_to_sections_lead_there() -> None:
    """Every link to a section, of this document or of another, names one."""
    links = re.findall(r"\]\(([^)#]*)#([^)]+)\)", TEXT)
    assert len(links) > 5
    for file, section in links:
        headings = re.findall(r"(?m)^#+ (.+)$", (DOCUMENT.parent / file if file else DOCUMENT).read_text())
        anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert section in anchors, (file, section)
