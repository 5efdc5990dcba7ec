"""Every example under its servers, each started once, and one browser and one program per test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from reader import Reader
from running import TLS
from servers import BY_NAME, serve

from taler_paywall.testing.process import SandboxProcess

from .cases import CASES, Case

Sites = Callable[..., str]


@pytest.fixture(scope="session")
def sites(taler_sandbox_process: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Start sites on demand, and return their addresses."""
    started: dict[tuple[str, ...], str] = {}
    options = {k: v for k, v in taler_sandbox_process.environment.items() if not k.endswith("PUBLIC_URL")}
    with ExitStack() as stack:

        def site(server: str, app: str, **settings: str) -> str:
            key = (server, app, *settings.values())
            if key not in started:
                home: Path = tmp_path_factory.mktemp("site")
                process, started[key] = serve(BY_NAME[server], home, app, **options, **settings)
                stack.callback(process.end)
            return started[key]

        yield site


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    """Return one example under one server after the other."""
    found: Case = request.param
    return found


@pytest.fixture
def url(case: Case, sites: Sites) -> str:
    """Return the address of the running example."""
    return sites(case.server, case.app)


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    """Open a browser that has never been at the site."""
    with Reader(url) as browser:
        yield browser


@pytest.fixture
def program(url: str) -> Iterator[httpx.Client]:
    """Open a program with a cookie jar that asks for JSON."""
    with httpx.Client(
        base_url=url, trust_env=False, verify=TLS, timeout=30, headers={"Accept": "application/json"}
    ) as client:
        yield client
