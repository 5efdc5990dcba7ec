"""Fixtures: one sandbox for the whole run, one newspaper on each adapter, and more where a test wants its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from reader import Reader
from running import Process, Sandbox, Site, StartSite, Wallet
from servers import Protocol
from tab import ARGUMENTS, CHROMIUM, Tab

from .handy import HandyWallet
from .sites import BARE, NEWSPAPER, QUICK, SITES

OpenTab = Callable[..., Tab]
#: What Python says when a worker ends while the bridge from WSGI still sends a file to a browser that has gone.
ABANDONED: Final = re.compile(r"(?s)<coroutine object pages at \w+>\nTraceback (?:(?!Traceback).)*NoEventLoopError:")


@pytest.fixture(scope="session", params=SITES)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Run what follows on both adapters."""
    return cast("Protocol", request.param)


def shared(protocol: Protocol, home: Path, backend: str, app: str) -> Iterator[Site]:
    """Run a site for many tests, which has to stay free of errors."""
    started = SITES[protocol](home, backend, app)
    yield started
    started.process.end()
    assert "Traceback" not in ABANDONED.sub("", started.process.output)


@pytest.fixture(scope="session")
def newspaper(protocol: Protocol, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the newspaper that most tests share; its backend is configured like a real one."""
    yield from shared(protocol, tmp_path_factory.mktemp("newspaper"), sandbox.url, NEWSPAPER)


@pytest.fixture(scope="session")
def quick(protocol: Protocol, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the newspaper that asks the backend again after a moment."""
    yield from shared(protocol, tmp_path_factory.mktemp("quick"), sandbox.url, QUICK)


@pytest.fixture(scope="session")
def bare(protocol: Protocol, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the newspaper without a paywall."""
    yield from shared(protocol, tmp_path_factory.mktemp("bare"), sandbox.url, BARE)


@pytest.fixture
def start_site(protocol: Protocol, tmp_path: Path, processes: list[Process]) -> StartSite:
    """Start newspapers that end with the test."""
    numbers = itertools.count()

    def start(backend: str, app: str = NEWSPAPER, **settings: str) -> Site:
        home = tmp_path / f"site-{next(numbers)}"
        home.mkdir()
        started = SITES[protocol](home, backend, app, **settings)
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
    return lambda: HandyWallet(tmp_path, tmp_path / f"wallet-{next(numbers)}.sqlite")


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Run playwright; it ends with the module because no other event loop can run beside it."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Run the system's Chromium."""
    with playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser:
        yield browser


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[OpenTab]:
    """Open tabs, each in a browser of its own unless told otherwise; in the end, count their redirects."""
    opened: list[Tab] = []

    def open_one(**options: Any) -> Tab:
        opened.append(Tab(chromium.new_context(**options)))
        return opened[-1]

    yield open_one
    for tab in opened:
        tab.context.close()
    for tab in opened:
        assert tab.redirects_in_a_row <= 2, tab.documents


@pytest.fixture
def tab(open_tab: OpenTab) -> Tab:
    """Open a tab of a browser that has never been here."""
    return open_tab()
