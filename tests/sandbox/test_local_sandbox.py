"""``backend="sandbox:"``: the sandbox is joined or started, proves who it is, and never keeps a visitor waiting."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import TLS

from taler_paywall import transport
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.errors import BackendUnreachable
from taler_paywall.local_sandbox import LocalSandbox, play_key
from taler_paywall.operations import BackendRequest
from taler_paywall.site import Site

from .shop import Process


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's own sandboxes out of the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def local() -> Iterator[LocalSandbox]:
    """Return the sandbox of a free port, and end the process that it may have started."""
    made = LocalSandbox(free_port())
    yield made
    if made._child:
        made._child.kill()
        made._child.communicate()


def test_started_once_and_again_when_it_ended(local: LocalSandbox) -> None:
    """The first use starts it, the next ones find it, and one that died is replaced."""
    token = local.token()
    assert token.startswith("secret-token:")
    assert local.token() == token
    child = local._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert local.token() != token
    assert listens(local._port)


def test_started_for_the_currency_of_the_site(state_home: Path) -> None:
    """A site that sells for euros gets a sandbox that takes euros, though for play."""

    async def application(*_: Any) -> None: ...

    made = PaywallMiddleware(application, {"/a/{x}": "EUR:1"}, backend=f"sandbox:{free_port()}")._backend
    token = made._token
    assert not isinstance(token, str)
    token()
    sandbox = token.__self__  # type: ignore[attr-defined] # a bound method
    try:
        assert (
            httpx.get(f"http://127.0.0.1:{sandbox._port}/config", trust_env=False, verify=TLS).json()["currency"]
            == "EUR"
        )
    finally:
        sandbox._child.kill()
        sandbox._child.communicate()


def test_two_sites_share_one(local: LocalSandbox) -> None:
    """A second site of this user joins the sandbox of the first, and joins its successor."""
    other = LocalSandbox(local._port)
    token = local.token()
    assert other.token() == token
    assert other._child is None
    child = local._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    with pytest.raises(BackendUnreachable):
        other.token()
    assert not listens(local._port), "only who started it starts it again"
    assert local.token() == other.token()


@pytest.mark.parametrize("end", [Process.kill, Process.stop])
def test_joined_and_started_again_by_hand(
    end: Callable[[Process], object], local: LocalSandbox, state_home: Path
) -> None:
    """A sandbox that somebody runs is joined, and never replaced by another when it is stopped; the log says so."""
    by_hand = Process("--port", str(local._port), "--token", "secret-token:one", state_home=state_home)
    assert local.token() == "secret-token:one"
    end(by_hand)
    with pytest.raises(BackendUnreachable, match=rf"had joined, has ended; .*sandbox --port {local._port}"):
        local.token()
    assert not listens(local._port)
    by_hand = Process("--port", str(local._port), "--token", "secret-token:two", state_home=state_home)
    assert local.token() == "secret-token:two"
    by_hand.stop()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b""])
def test_strangers_are_not_joined(answer: bytes, local: LocalSandbox) -> None:
    """A program that has the port and does not know the secret gets no token, not even with the file in place."""
    local.token()
    assert local._child is not None
    local._child.kill()
    local._child.communicate()
    with socket.create_server(("127.0.0.1", local._port)) as stranger:
        heard: list[bytes] = []

        def serve() -> None:
            stranger.settimeout(10)
            for _ in range(2):
                connection, _ = stranger.accept()
                with connection:
                    heard.append(connection.recv(4096))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(BackendUnreachable):
            local.token()
        thread.join()
    assert not any(b"secret-token" in each for each in heard)


def test_nobody_waits_for_a_token_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that neither answers nor refuses costs each visitor the deadline, and the application no thread."""
    monkeypatch.setattr(transport, "TOTAL_TIMEOUT", 0.5)
    monkeypatch.setattr(transport, "ENOUGH", 0.1)
    released = threading.Event()
    backend = AsyncHttpBackend(
        "http://127.0.0.1:9/", "http://127.0.0.1:9/", lambda: str(released.wait(30)), Breaker(lambda: False)
    )

    async def ask() -> float:
        began = time.monotonic()
        with pytest.raises(BackendUnreachable):
            await backend.send(BackendRequest("GET", "private/orders/X", private=True))
        return time.monotonic() - began

    async def many() -> list[float]:
        waiting = asyncio.gather(*(ask() for _ in range(60)))
        # The application's own threads are free meanwhile.
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 1.5)
        took = await waiting
        released.set()
        return took

    assert max(asyncio.run(many())) < 1.5


def test_each_spelling_of_loopback_is_a_site_of_its_own() -> None:
    """Whoever comes first, localhost stays localhost: fulfillment URLs and cookies depend on nothing else."""

    def address(host: str, root_path: str = "") -> str:
        site = Site({"/a/{x}": "KUDOS:1"}, {"backend": "sandbox:"})
        first = site.on_loopback(host, 8000, root_path)
        assert site.on_loopback(host, 8000, root_path) is first
        return first._storefront.public_url

    assert address("localhost:8000") == "http://localhost:8000"
    assert address("127.0.0.1:8000") == "http://127.0.0.1:8000"
    assert address("[::1]:8000") == "http://[::1]:8000"
    assert address("evil.example") == "http://127.0.0.1:8000"
    assert address("localhost:8000", "/news") == "http://localhost:8000/news"


def test_the_key_of_play_money_stays(state_home: Path) -> None:
    """All workers, and the next run, have the same key; others on the machine cannot read it."""
    assert play_key() == play_key()
    assert (state_home / "taler-paywall" / "play.key").stat().st_mode & 0o077 == 0
