"""A redis-server for the tests that leave it whole, and stores of one form or the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .redis_server import RedisServer
from .shelf import FORMS, Form, Shelf, be_patient, shelf


@pytest.fixture
def hasty() -> None:
    """Keep the short time-outs of production."""


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no time-outs where they are not what the test is about."""
    if "hasty" not in request.fixturenames:
        be_patient(monkeypatch.setattr)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path_factory.mktemp("redis"))
    yield started
    started.close()


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """Return a redis-server that is empty; a test that breaks it has one of its own."""
    shared_server.admin.flushall()
    shared_server.admin.config_resetstat()
    return shared_server


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    found: Form = request.param
    return found


@pytest.fixture
def opened(form: Form, server: RedisServer) -> Iterator[Callable[..., Shelf]]:
    """Open stores of one form that are closed in the end."""
    with ExitStack() as stack:

        def open_one(url: str = server.url, **options: Any) -> Shelf:
            return stack.enter_context(shelf(form, url, **options))

        yield open_one
