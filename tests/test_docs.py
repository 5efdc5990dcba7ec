"""The documentation says what is true: its Python runs, its commands exist, its tables are complete."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from taler_paywall.config import Options

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Return every fenced block of a language, with a name."""
    found = []
    for document in DOCUMENTS:
        for number, match in enumerate(re.finditer(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)):
            found.append((f"{document.name}-{number}", match[1]))
    return found


@pytest.mark.parametrize(("name", "code"), blocks("python"), ids=[name for name, _ in blocks("python")])
def test_python_blocks_run(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of the documentation runs as it stands, in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def commands() -> list[str]:
    """Return every command line of the documentation."""
    return [line for _, block in blocks("sh") for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("line", commands())
def test_commands_exist(line: str) -> None:
    """Every command of the documentation is understood by the tool it belongs to."""
    words = shlex.split(line)
    if words[0] == "make":
        check = ["make", "--dry-run", *words[1:]]
    else:
        assert words[0] == "taler-paywall"
        check = [sys.executable, "-m", "taler_paywall", *words[1:], "--help"]
    done = subprocess.run(check, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_every_option_is_explained() -> None:
    """The table of options names every option, and no other."""
    table = (ROOT / "README.md").read_text().partition("## Options")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == set(get_type_hints(Options))


def test_links_lead_somewhere() -> None:
    """Every relative link of the documentation names a file that exists."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
