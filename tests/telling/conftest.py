"""Sites that show what they are told, under a server of either protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from conformance.till import Till
from running import SECRET_KEY, TOKEN, Process
from servers import BY_NAME, serve

from taler_paywall.testing.wallet import TalerWallet

from .listening import Listening

OpenSite = Callable[..., Listening]
#: Servers write addresses with their queries down: that is theirs to decide.
SERVERS = {"asgi": ("uvicorn", "--no-access-log"), "wsgi": ("gunicorn threads", "--log-level=info")}


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """Run a sandbox whose faults can be switched on."""
    started = Till(tmp_path_factory.mktemp("till"))
    yield started
    assert started.process.end() == 0, started.process.output


@pytest.fixture(scope="module")
def purse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TalerWallet]:
    """Open a wallet."""
    with TalerWallet(tmp_path_factory.mktemp("purse") / "wallet.sqlite") as opened:
        yield opened


@pytest.fixture(scope="module")
def open_site(till: Till, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSite]:
    """Start sites that end with the module's tests."""
    started: list[Process] = []

    def start(protocol: str = "asgi", *arguments: str, options: dict[str, object], **settings: str) -> Listening:
        server, *quiet = SERVERS[protocol]
        process, url = serve(
            BY_NAME[server],
            tmp_path_factory.mktemp(protocol),
            f"tests.telling.site:{protocol}",
            *(*quiet, *arguments),
            **{
                "TALER_PAYWALL_BACKEND": till.url,
                "TALER_PAYWALL_TOKEN": TOKEN,
                "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
                "OPTIONS": json.dumps(options),
            }
            | settings,
        )
        started.append(process)
        return Listening(url, process)

    yield start
    for process in started:
        process.end()
