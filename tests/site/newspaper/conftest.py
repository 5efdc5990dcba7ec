"""Fixtures: one sandbox and one newspaper for the whole run, and more where a test wants its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .reader import Reader
from .running import Process, Sandbox, Site, Wallet

StartSandbox = Callable[..., Sandbox]
StartSite = Callable[..., Site]


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Run the sandbox that most tests share."""
    started = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield started
    assert started.process.end() == 0, started.process.output


@pytest.fixture(scope="session")
def newspaper(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the newspaper that most tests share; its backend is configured like a real one."""
    started = Site(tmp_path_factory.mktemp("newspaper"), sandbox.url)
    yield started
    started.process.end()
    assert "Traceback" not in started.process.output


@pytest.fixture(scope="session")
def quick(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the newspaper that asks the backend again after a moment."""
    started = Site(tmp_path_factory.mktemp("quick"), sandbox.url, "tests.site.newspaper.quick:app")
    yield started
    started.process.end()
    assert "Traceback" not in started.process.output


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the newspaper without a paywall."""
    started = Site(tmp_path_factory.mktemp("bare"), "", "examples.newspaper.pages:site")
    yield started
    started.process.end()


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Collect what a test has started; whatever still runs in the end is ended."""
    started: list[Process] = []
    yield started
    for process in reversed(started):
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


@pytest.fixture
def start_sandbox(tmp_path: Path, processes: list[Process]) -> StartSandbox:
    """Start sandboxes that end with the test."""
    numbers = itertools.count()

    def start(host: str = "127.0.0.1") -> Sandbox:
        home = tmp_path / f"sandbox-{next(numbers)}"
        home.mkdir()
        started = Sandbox(home, host)
        processes.append(started.process)
        return started

    return start


@pytest.fixture
def start_site(tmp_path: Path, processes: list[Process]) -> StartSite:
    """Start sites that end with the test."""
    numbers = itertools.count()

    def start(backend: str, app: str = "examples.newspaper.site:app", **settings: str) -> Site:
        home = tmp_path / f"site-{next(numbers)}"
        home.mkdir()
        started = Site(home, backend, app, **settings)
        processes.append(started.process)
        return started

    return start


@pytest.fixture
def readers(newspaper: Site) -> Iterator[Callable[..., Reader]]:
    """Open further browsers."""
    opened: list[Reader] = []

    def open_one(site: Site = newspaper) -> Reader:
        opened.append(Reader(site.url))
        return opened[-1]

    yield open_one
    for one in opened:
        one.http.close()


@pytest.fixture
def reader(readers: Callable[..., Reader]) -> Reader:
    """Open a browser that has never been at the newspaper."""
    return readers()


@pytest.fixture
def wallets(tmp_path: Path) -> Callable[[], Wallet]:
    """Make further wallets."""
    numbers = itertools.count()
    return lambda: Wallet(tmp_path, tmp_path / f"wallet-{next(numbers)}.sqlite")


@pytest.fixture
def wallet(wallets: Callable[[], Wallet]) -> Wallet:
    """Make an empty wallet."""
    return wallets()
