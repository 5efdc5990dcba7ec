"""Fixtures: one sandbox for the whole run, and more where a test wants its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .era import FORMS, OTHER, Era, Reader
from .shop import Process, Shop
from .wallets import PurseFile


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


@pytest.fixture(scope="session", params=FORMS)
def era(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Era]:
    """Start a sandbox of each generation."""
    options = ("--port", "0", "--generation", request.param, "--instance", "=".join(OTHER), "--control")
    started = Process(*options, state_home=tmp_path_factory.mktemp("era"))
    opened = Shop(started.url)
    yield Era(request.param, opened, started.control)
    opened.http.close()
    assert started.stop() == 0


@pytest.fixture
def reader() -> Iterator[Reader]:
    opened = Reader()
    yield opened
    opened.close()


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


@pytest.fixture
def purse(tmp_path: Path) -> PurseFile:
    return PurseFile(tmp_path / "deep" / "wallet.sqlite")


@pytest.fixture
def other_purse(tmp_path: Path) -> PurseFile:
    return PurseFile(tmp_path / "other.sqlite")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"
