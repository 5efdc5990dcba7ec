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


#: How many tests a run leaves out.
DESELECTED: pytest.StashKey[int] = pytest.StashKey()
#: These compare a table in the documentation with what the other tests have recorded.
TABLES = {"test_matrix.py", "test_status_table.py"}


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note that the run is a partial one."""
    for item in items:
        item.config.stash[DESELECTED] = item.config.stash.get(DESELECTED, 0) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tables after the tests that fill them."""
    items.sort(key=lambda item: item.path.name in TABLES)


@pytest.fixture
def whole_run(request: pytest.FixtureRequest) -> None:
    """Leave partial runs of a directory alone: they have not seen everything."""
    items = {item.path for item in request.session.items}
    named = any("::" in argument for argument in request.config.args)
    if named or request.config.stash.get(DESELECTED, 0) or not set(request.path.parent.glob("test_*.py")) <= items:
        pytest.skip("only a part of the tests has been run")
    if request.session.testsfailed or "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("other tests have failed, or were run elsewhere")


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
