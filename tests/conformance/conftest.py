"""The same origin application in this process and under every server, each started once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Generator, Iterator

import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from . import matrix
from .front import FRONTS, Front, Fronts
from .till import Till


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record which site a test has passed in front of."""
    report = yield
    matrix.note(item, report)
    return report


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """Run the sandbox of all sites."""
    started = Till(tmp_path_factory.mktemp("till"))
    yield started
    assert started.process.end() == 0, started.process.output


@pytest.fixture(scope="session")
def purse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TalerWallet]:
    """Open a wallet in this process, faster than the command; every test buys things of its own with it."""
    with TalerWallet(tmp_path_factory.mktemp("purse") / "wallet.sqlite") as opened:
        yield opened


@pytest.fixture(scope="session")
def fronts(sandbox: Till, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    """Start sites on demand."""
    opened = Fronts(tmp_path_factory.mktemp("fronts"), sandbox.url)
    yield opened
    opened.close()


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, fronts: Fronts) -> Front:
    """Return the site under one server; tests of one protocol choose: ``parametrize("front", ASGI, indirect=True)``."""
    return fronts[request.param]


@pytest.fixture
def name() -> str:
    """Make up an article that nobody else asks for."""
    return f"n{secrets.token_hex(6)}"


@pytest.fixture
def readers(front: Front) -> Iterator[Callable[[], Reader]]:
    """Open browsers in front of the site."""
    opened: list[Reader] = []

    def open_one() -> Reader:
        opened.append(front.reader())
        return opened[-1]

    yield open_one
    for one in opened:
        one.http.close()


@pytest.fixture
def reader(readers: Callable[[], Reader]) -> Reader:
    """Open a browser that has never been at the site."""
    return readers()


@pytest.fixture(scope="session")
def tickets() -> dict[str, dict[str, str]]:
    """Keep the cookies of one purchase in front of each site: of /paid/shared, for tests that only read."""
    return {}


@pytest.fixture
def paid(front: Front, reader: Reader, purse: TalerWallet, tickets: dict[str, dict[str, str]]) -> Reader:
    """Open a browser that has bought /paid/shared."""
    if front.name not in tickets:
        purse.pay(reader.visit("/paid/shared").headers["location"])
        assert reader.visit("/paid/shared").status_code == 200
        tickets[front.name] = reader.cookies()
    reader.hold(tickets[front.name])
    return reader


@pytest.fixture
def called(front: Front) -> Iterator[Callable[[str], list[str]]]:
    """Tell which calls of the application had a word in their path."""
    with front.reader() as stranger:

        def ask(word: str) -> list[str]:
            found: list[str] = json.loads(stranger.http.get(f"/journal?{word}").content)
            return found

        yield ask
