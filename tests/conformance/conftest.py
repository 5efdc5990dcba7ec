"""The same origin application in this process and under every server, each started once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from reader import Reader
from running import Sandbox

from .front import FRONTS, Front, Fronts


@pytest.fixture(scope="session")
def fronts(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    """Start sites on demand."""
    opened = Fronts(tmp_path_factory.mktemp("fronts"), sandbox.url)
    yield opened
    opened.close()


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, fronts: Fronts) -> Front:
    """Return the site under one server; tests of one protocol choose: ``parametrize("front", ASGI, indirect=True)``."""
    return fronts[request.param]


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
