"""What several of these tests start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conformance.till import Till


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """Run a sandbox whose faults can be switched on."""
    started = Till(tmp_path_factory.mktemp("till"))
    yield started
    assert started.process.end() == 0, started.process.output
