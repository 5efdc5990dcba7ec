"""Fixtures: one sandbox for the whole run, and more where a test wants its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .shop import Process, Shop


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    started = Process("--port", "0", state_home=tmp_path_factory.mktemp("state"))
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="session")
def shop(process: Process) -> Iterator[Shop]:
    opened = Shop(process.url)
    yield opened
    opened.http.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Any]:
    """Start further sandboxes that end with the test."""
    started: list[Process] = []

    def start(*options: str, wait: bool = True) -> Process:
        started.append(Process(*options, state_home=tmp_path, wait=wait))
        return started[-1]

    yield start
    for one in started:
        one.kill()
