"""Fixtures: one sandbox and one newspaper for the whole run, and more where a test wants its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from reader import Reader
from running import Sandbox, Site


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
