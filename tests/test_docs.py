"""The documentation says what is true: its Python runs, its commands exist, its tables are complete."""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_type_hints

import click
import pytest

from taler_paywall.sandbox.commands import sandbox
from taler_paywall.sandbox.faults.faults import STRIKES
from taler_paywall.settings import Options
from taler_paywall.testing.client import OpenClient
from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet

ROOT = Path(__file__).parents[1]
#: How a block begins that is a file of an example.
FILE = re.compile(r"(?:#!.+\n)?\{?# file: (.+?)(?: #\})?\n")
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
    return [(name, code) for name, code in blocks("python") if not FILE.match(code)]


def write_files(document: str, language: str, directory: Path) -> list[Path]:
    """Write the files that a document shows, which begin with their names."""
    files = []
    for block, code in blocks(language):
        if block.startswith(f"{document}-") and (found := FILE.match(code)):
            files.append(directory / found[1])
            files[-1].parent.mkdir(exist_ok=True)
            # What is shown in parts is added up.
            with files[-1].open("a") as file:
                file.write(code)
            files[-1].chmod(0o755)
    return files


@pytest.mark.parametrize(("name", "code"), programs(), ids=[name for name, _ in programs()])
def test_python_blocks_run(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of the documentation runs as it stands, in an interpreter of its own."""
    monkeypatch.setenv("TALER_PAYWALL_SECRET_KEY", "not-from-the-documentation-0123456789")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_example_of_tests_passes(tmp_path: Path) -> None:
    """The site in docs/testing.md passes its tests there, which its owner can copy as they stand."""
    assert write_files("testing.md", "python", tmp_path)
    done = run(sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_a_script_passes(script: Path) -> None:
    """The script in docs/testing.md starts the site and the sandbox, finds what it expects, and leaves no files."""
    before = set(script.parent.iterdir())
    done = run(str(script), cwd=script.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {file.name for file in set(script.parent.iterdir()) - before} <= {"__pycache__", ".local"}


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("expect 402", "expect 404", "status 402 instead of 404"),
        ("expect 503", "expect 402", "status 503 instead of 402"),
        ("All about bees", "All about wasps", ""),
        ("fault/unavailable", "fault/nonsense", "404"),
        ("sandbox --port 0", "sandbox --prot 0", "No such option"),
        ("newsstand:create_app", "newsstand:nothing", "nothing"),
    ],
)
def test_the_example_of_a_script_fails(right: str, wrong: str, complaint: str, script: Path) -> None:
    """The script in docs/testing.md notices what is wrong, says it, and ends what it has started."""
    assert script.read_text().count(right) == 1
    script.write_text(script.read_text().replace(right, wrong))
    done = run(str(script), cwd=script.parent)
    assert (done.returncode != 0, complaint in done.stderr) == (True, True), done.stdout + done.stderr


def test_the_example_of_a_script_tests_no_stranger(script: Path) -> None:
    """The script in docs/testing.md does not take whoever has the port for the site."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        done = run(str(script), cwd=script.parent, port=stranger.getsockname()[1])
        stranger.settimeout(0)
        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert (done.returncode != 0, "address already in use" in done.stderr) == (True, True), done.stdout + done.stderr


def test_the_templates_of_the_example_are_shown(
    tmp_path: Path, taler_sandbox: TalerSandbox, paywalled_client: OpenClient
) -> None:
    """The bookshop in docs/payment-page.md looks as its templates say, shows a sample, and sells the rest."""
    [bookshop] = write_files("payment-page.md", "python", tmp_path)
    assert write_files("payment-page.md", "jinja", tmp_path)
    reader = paywalled_client(runpy.run_path(str(bookshop))["create_app"](**taler_sandbox.options))
    page = reader.get("/books/bees")
    assert page.status_code == 200
    for shown in ("<p>The first page of Bees on the roof …</p>", '<a href="/contact">', 'href="/static/icon.svg"'):
        assert page.text.count(shown) == 1, shown
    [style] = re.findall(r'"stylesheet" href="(.+?)"', page.text)
    assert all(rule in reader.get(style).text for rule in ("--accent", "Georgia"))
    assert reader.buy("/books/bees").text == "All of bees"
    assert reader.get("/books/nothing").text == "All of nothing", "what has no price is the site's own affair"


@pytest.mark.parametrize(("policy", "status"), [("keep", 200), ("revoke", 402)])
def test_the_example_of_refunds(
    policy: Literal["keep", "revoke"],
    status: int,
    tmp_path: Path,
    taler_sandbox: TalerSandbox,
    paywalled_client: OpenClient,
) -> None:
    """Who has bought a course of docs/refunds.md keeps it after a partial refund or not, and may give it back."""
    [courses] = write_files("refunds.md", "python", tmp_path)
    create_app = runpy.run_path(str(courses))["create_app"]
    options = {**taler_sandbox.options, "partial_refund": policy, "recheck_after": 0}
    reader = paywalled_client(create_app(**options))
    [way_back] = re.findall(r'href="(.+?)"', reader.buy("/courses/knitting").text)

    taler_sandbox.refund(taler_sandbox.orders()[0]["order_id"], "KUDOS:5")
    assert reader.get("/courses/knitting").status_code == status
    if policy == "revoke":
        assert reader.buy("/courses/knitting").status_code == 200
    assert "Give it back?" in reader.get(way_back).text
    given = reader.post(
        way_back.partition("?")[0], data={"page": "/courses/knitting"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert reader.get(given.headers["location"]).status_code == 402
    assert "Collect the refund" in reader.get("/courses/knitting").text


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Write the files of docs/testing.md, and return the script among them."""
    write_files("testing.md", "python", tmp_path)
    [written] = write_files("testing.md", "bash", tmp_path)
    return written


def run(*command: str, cwd: Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command of a site's owner, in the environment that has taler_paywall; it must leave no process behind."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = port or probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(cwd), "TMPDIR": str(cwd), "PORT": str(port)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env=environ, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
                pytest.fail("processes were left behind")
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


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
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
