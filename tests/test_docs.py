"""The documentation says what is true: its Python runs, its commands exist, its tables are complete."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import click
import pytest

from taler_paywall.config import Options
from taler_paywall.sandbox.commands import sandbox
from taler_paywall.sandbox.faults.faults import STRIKES
from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet

ROOT = Path(__file__).parents[1]
#: How a block begins that is a file of an example.
FILE = "# file: "
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Return every fenced block of a language, with a name."""
    found = []
    for document in DOCUMENTS:
        for number, match in enumerate(re.finditer(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)):
            found.append((f"{document.name}-{number}", match[1]))
    return found


def programs() -> list[tuple[str, str]]:
    """Return every Python block that is not a file of an example."""
    return [(name, code) for name, code in blocks("python") if not code.startswith(FILE)]


def write_files(document: str, language: str, directory: Path) -> list[Path]:
    """Write the files that a document shows, which begin with their names."""
    files = []
    for block, code in blocks(language):
        if block.startswith(f"{document}-") and code.startswith(FILE):
            files.append(directory / code.partition("\n")[0].removeprefix(FILE))
            files[-1].write_text(code)
    return files


@pytest.mark.parametrize(("name", "code"), programs(), ids=[name for name, _ in programs()])
def test_python_blocks_run(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of the documentation runs as it stands, in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_example_of_tests_passes(tmp_path: Path) -> None:
    """The site in docs/testing.md passes its tests there, which its owner can copy as they stand."""
    assert write_files("testing.md", "python", tmp_path)
    done = run(sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_a_script_passes(tmp_path: Path) -> None:
    """The script in docs/testing.md starts the site and the sandbox, and finds what it expects."""
    write_files("testing.md", "python", tmp_path)
    [script] = write_files("testing.md", "bash", tmp_path)
    done = run("bash", "-eux", str(script), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of a site's owner, in the environment that has taler_paywall."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(cwd), "TMPDIR": str(cwd), "PORT": str(port)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environ, timeout=300)


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


def test_every_option_of_the_sandbox_is_explained() -> None:
    """The manual of the sandbox names every option of the command, and no other."""
    options = {
        name
        for parameter in sandbox.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for name in parameter.opts
    }
    assert table_of("sandbox.md", "## Start it") == options


def test_every_fault_is_explained() -> None:
    """The manual for tests names every fault, and no other."""
    assert table_of("testing.md", "## The faults") == set(STRIKES)


def test_every_member_of_the_fixtures_is_explained() -> None:
    """The manual for tests names every public member of what the fixtures give."""
    for section, kind in (("`taler_sandbox` is", TalerSandbox), ("`taler_wallet` is", TalerWallet)):
        members = {name for name in vars(kind) if not name.startswith("_")}
        assert table_of("testing.md", section) == members


def table_of(document: str, section: str) -> set[str]:
    """Return the names in the first column of the first table of a section, without what is called with them."""
    after = (ROOT / "docs" / document).read_text().partition(f"\n{section}")[2]
    rows = after.partition("\n| --- ")[2].partition("\n\n")[0]
    first_cells = re.findall(r"^\| (.+?) \|", rows, re.M)
    return set(re.findall(r"`([\w-]+)", " ".join(first_cells)))


def test_links_lead_somewhere() -> None:
    """Every relative link of the documentation names a file that exists."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
