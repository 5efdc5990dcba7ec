"""The plugin as pytest loads it: by itself, cheaply, and without a trace when nobody uses it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

#: What takes time to import, and what other plugins do not import anyway.
HEAVY = {"click", "httpx", "jinja2", "nacl", "starlette", "uvicorn"}
TESTS = """
from taler_paywall.asgi import PaywallMiddleware

async def site(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"CONTENT"})

def test_buy(taler_sandbox, taler_wallet, paywalled_client):
    app = PaywallMiddleware(site, {"/articles/{slug}": "KUDOS:0.5"}, **taler_sandbox.options)
    assert paywalled_client(app).buy("/articles/one").text == "CONTENT"
"""
CHOICE = """
import pytest

@pytest.fixture(scope="session")
def taler_sandbox_options():
    return "--generation", {generation!r}, "--currency", "EUR", "--instance", "books=secret-token:books"
"""
CHOSEN = """
import httpx
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.testing import sandbox

async def site(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"CONTENT"})

def test_buy(taler_sandbox, paywalled_client, monkeypatch):
    monkeypatch.setattr(sandbox, "PAGE", 2)
    books = {"backend": f"{taler_sandbox.url}instances/books/", "token": "secret-token:books"}
    for options in taler_sandbox.options, {**taler_sandbox.options, **books}:
        reader = paywalled_client(PaywallMiddleware(site, {"/articles/{slug}": "EUR:0.5"}, **options))
        for number in range(5):
            assert reader.buy(f"/articles/{number}").text == "CONTENT"
    orders = taler_sandbox.orders()
    assert [order["amount"] for order in orders] == ["EUR:0.5"] * 5
    assert [order["summary"][-1] for order in orders] == list("01234")

def test_the_next_one_sees_orders_of_its_own(taler_sandbox):
    assert taler_sandbox.orders() == []
    assert httpx.get(f"{taler_sandbox.url}config", trust_env=False).json()["version"] == VERSION
"""
WAITING = """
import time
from pathlib import Path

def test_wait(taler_sandbox):
    Path("started").write_text(taler_sandbox.url)
    time.sleep(600)
"""


def run_pytest(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a directory as their owner would."""
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, env=environ(directory), timeout=120)


def environ(directory: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": str(directory)}


def test_a_site_owners_tests_run(tmp_path: Path) -> None:
    """Nothing is configured: the fixtures are there, and no warning comes of them."""
    (tmp_path / "test_site.py").write_text(TESTS)
    done = run_pytest(tmp_path)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize(("generation", "version"), [("current", "26:0:14"), ("2022", "3:0:3"), ("2021", "2:0:2")])
def test_the_sandbox_can_be_chosen(generation: str, version: str, tmp_path: Path) -> None:
    """Generation, currency and further instances are chosen by a fixture, and all the fixtures work with each."""
    (tmp_path / "conftest.py").write_text(CHOICE.format(generation=generation))
    (tmp_path / "test_site.py").write_text(CHOSEN.replace("VERSION", repr(version)))
    done = run_pytest(tmp_path)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_fixtures_explain_themselves(tmp_path: Path) -> None:
    """`pytest --fixtures` names every fixture with what it is."""
    done = run_pytest(tmp_path, "--fixtures")
    for name in ("taler_sandbox", "taler_wallet", "paywalled_client", "taler_sandbox_process", "taler_sandbox_options"):
        assert f"\n{name}" in done.stdout
    assert "no docstring available" not in done.stdout.partition("fixtures defined from taler_paywall")[2]


def test_a_run_without_the_fixtures_pays_nothing(tmp_path: Path) -> None:
    """The plugin imports nothing heavy, warns of nothing and starts nothing until a fixture is used."""
    (tmp_path / "test_none.py").write_text(
        f"import sys\n\ndef test_none():\n    assert not {HEAVY!r} & set(sys.modules)\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_the_sandbox_ends_with_the_run(signum: signal.Signals, tmp_path: Path) -> None:
    """Whether the run is interrupted or killed, no sandbox is left."""
    (tmp_path / "test_wait.py").write_text(WAITING)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    run = subprocess.Popen(command, cwd=tmp_path, env=environ(tmp_path), stdout=subprocess.DEVNULL)
    try:
        started = tmp_path / "started"
        wait_until(lambda: started.exists() and bool(started.read_text()))
        url = urlsplit(started.read_text())
        assert is_open(url.port)
    finally:
        run.send_signal(signum)
        run.wait(30)
    wait_until(lambda: not is_open(url.port))


def is_open(port: int | None) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port or 0)) == 0


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that takes a second or two."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
