"""The wheel, installed in an empty environment, runs a paywalled site and the sandbox by itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from running import eventually

ROOT = Path(__file__).parents[1]
SITE = """
from taler_paywall.asgi import PaywallMiddleware

async def site(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"SECRET"})

app = PaywallMiddleware(site, {"/articles/{slug}": "KUDOS:0.5"}, backend="sandbox:%d")
"""
#: The only module that needs an extra.
PLUGIN = "taler_paywall.testing.plugin"
#: What needs an extra.
EXTRAS = {PLUGIN, *(f"taler_paywall.{name}" for name in ("opentelemetry", "prometheus", "redis_store"))}


@dataclass
class Site:
    """A running site: its address and its process."""

    url: str
    process: subprocess.Popen[bytes]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, and nothing else by name, in an environment of its own; return its commands' directory."""
    directory = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    commands = directory / "bin"
    subprocess.run(
        [commands / "python", "-m", "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True
    )
    return commands


@pytest.fixture
def site(environment: Path, tmp_path: Path) -> Iterator[Site]:
    """Run a two-line site with the installed package; with a play backend of its own."""
    (tmp_path / "mysite.py").write_text(SITE % free_port())
    port = free_port()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [str(environment / "uvicorn"), "mysite:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environ)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Site(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(15)


def test_contents(wheel: Path) -> None:
    """The wheel has the types' marker, the licence, the templates and the catalogues, and no test."""
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "taler_paywall/py.typed",
        "taler_paywall/templates/page.html",
        "taler_paywall/templates/page.js",
        "taler_paywall/templates/style.css",
        "taler_paywall/locale/de/LC_MESSAGES/taler_paywall.po",
    ):
        assert needed in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "examples", "benchmarks")) for name in names)


def modules(wheel: Path) -> list[str]:
    """Return the names of all modules of the wheel but the one that runs the command."""
    files = [name.removesuffix(".py") for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")]
    names = [name.removesuffix("/__init__").replace("/", ".") for name in files]
    return sorted(name for name in names if not name.endswith(".__main__"))


def run_python(environment: Path, directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the installed package, warnings being errors."""
    command = [str(environment / "python"), "-W", "error", "-c", code]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)


def test_every_module_imports_without_extras(wheel: Path, environment: Path, tmp_path: Path) -> None:
    """No module but the pytest plugin, and what speaks to Redis and to monitoring, needs an extra, and none warns."""
    names = modules(wheel)
    assert {"taler_paywall.asgi", "taler_paywall.wsgi", "taler_paywall.testing.client", PLUGIN} < set(names)
    done = run_python(environment, tmp_path, "\n".join(f"import {name}" for name in names if name not in EXTRAS))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["taler_paywall", "taler_paywall.asgi", "taler_paywall.wsgi", "taler_paywall.testing"])
def test_what_sites_import_stands_alone(name: str, environment: Path, tmp_path: Path) -> None:
    """Each adapter imports first and alone, too."""
    done = run_python(environment, tmp_path, f"import {name}")
    assert done.returncode == 0, done.stderr


def test_the_plugin_names_its_extra(environment: Path, tmp_path: Path) -> None:
    """Without pytest the plugin says what to install."""
    done = run_python(environment, tmp_path, f"import {PLUGIN}")
    assert done.stderr.endswith("ImportError: the fixtures need pytest: pip install 'taler-paywall[testing]'\n")


def test_types(environment: Path, tmp_path: Path) -> None:
    """mypy finds the types of the installed package, and a site that uses nothing else passes --strict."""
    (tmp_path / "site.py").write_text((ROOT / "tests" / "typed" / "plain.py").read_text())
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(environment / "python")]
    cache = ["--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*command, *cache, "site.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_command(environment: Path) -> None:
    """The command is there and knows its version."""
    done = subprocess.run([environment / "taler-paywall", "--version"], capture_output=True, text=True, check=True)
    assert "0.1.0" in done.stdout


def test_two_line_site(site: Site, environment: Path, tmp_path: Path) -> None:
    """The two lines of the README ask for play money, take it, and deliver; the sandbox is started by itself."""
    headers = {"accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    with httpx.Client(base_url=site.url, headers=headers, trust_env=False, timeout=30) as browser:
        # On a busy machine the sandbox takes longer to start than a visit may wait.
        eventually(lambda: browser.get("/articles/one").status_code == 302, "the sandbox is started")
        asked = browser.get("/articles/one")
        assert asked.headers["taler-paywall-sandbox"] == "play money"
        pay = [f"{environment}/taler-paywall", "wallet", "pay", asked.headers["location"], "--db", f"{tmp_path}/wallet"]
        paid = subprocess.run(pay, capture_output=True, text=True, check=True)
        assert f"{site.url}/articles/one" in paid.stdout
        read = browser.get("/articles/one")
        assert (read.status_code, read.text) == (200, "SECRET")
