"""Settings of the whole suite, and what its tests start: real processes on loopback that end with them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from running import Process, Sandbox, Site, StartSandbox, StartSite, Wallet

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Run the sandbox that most tests share."""
    started = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield started
    assert started.process.end() == 0, started.process.output


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
def wallets(tmp_path: Path) -> Callable[[], Wallet]:
    """Make further wallets."""
    numbers = itertools.count()
    return lambda: Wallet(tmp_path, tmp_path / f"wallet-{next(numbers)}.sqlite")


@pytest.fixture
def wallet(wallets: Callable[[], Wallet]) -> Wallet:
    """Make an empty wallet."""
    return wallets()
