"""What docs/frameworks.md shows does what it says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from running import ROOT

GUIDE = (ROOT / "docs" / "frameworks.md").read_text()
BLOCKS = re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", GUIDE, re.M | re.S)


@pytest.mark.parametrize(("section", "code"), BLOCKS, ids=[section for section, _ in BLOCKS])
def test_the_lines_of_each_section_sell(section: str, code: str) -> None:
    """The lines that a framework needs put the paywall in its place: articles are sold, the front page is free."""
    name = "application" if section == "Django" else "app"
    mounted = ["/shop"] if "Mount(" in code else []
    look = f"from tests.frameworks.look import look\nlook({name}, *{mounted!r})"
    command = [sys.executable, "-W", "error", "-c", f"{code}\n{look}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_links_within_the_guide() -> None:
    """Every link to a section names one."""
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", GUIDE, re.M)}
    assert set(re.findall(r"\(#([^)]+)\)", GUIDE)) <= headings


def test_every_example_has_its_section() -> None:
    """Every example is linked to, and every section has its lines, that of those who need not pay too."""
    examples = {file.name for file in (ROOT / "examples").glob("*_site.py")}
    assert set(re.findall(r"\(\.\./examples/(\w+\.py)\)", GUIDE)) == examples
    assert len(BLOCKS) == len(examples) + 2
