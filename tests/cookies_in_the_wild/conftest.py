"""One Chromium, which forgets everything after every test, and two backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flood.world import Backend
from playwright.sync_api import Browser, sync_playwright
from running import free_port
from tab import ARGUMENTS, CHROMIUM

from .wild import Wild, resolver


@pytest.fixture(scope="package")
def ports() -> dict[str, int]:
    return {"http": free_port(), "https": free_port()}


@pytest.fixture(scope="package")
def chromium(ports: dict[str, int]) -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, resolver(ports)]) as browser,
    ):
        yield browser


@pytest.fixture(scope="package")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Backend]]:
    home = tmp_path_factory.mktemp("backends")
    started = [Backend(home), Backend(home)]
    yield started
    for backend in started:
        backend.http.close()
        backend.process.end()


@pytest.fixture
def wild(tmp_path: Path, chromium: Browser, backends: list[Backend], ports: dict[str, int]) -> Iterator[Wild]:
    started = Wild(tmp_path, chromium, backends, ports)
    yield started
    started.close()
