"""The shop that the machine and the stories share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from .world import Books, World


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the backend, and the event loop of the workers."""
    books = Books(tmp_path_factory.mktemp("machine"))
    with pytest.MonkeyPatch.context() as patch, start_blocking_portal() as portal:
        yield World(books, portal, patch)
    books.http.close()
    books.process.end()
