"""HTTP to the backend: what is said of a failure, and threads that come first all at once."""

from __future__ import annotations

import socket
import ssl
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from core.transport_server import PRIVATE, TOKEN, Asking, Handler, both, saying, serving
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.errors import BackendBusy, BackendError, BackendUnreachable

pytestmark = pytest.mark.anyio

THREADS = 16
#: Nobody may read these in a log: where the backend is, what was asked, and with what token.
SECRETS = ("127.0.0.1", "instances", "ORDER", "session_id", "do-not-tell", "://")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def failure(
    asking: Asking, url: str, deadline: float | None = None, kind: type[BackendError] = BackendUnreachable
) -> BackendError:
    """Return what is raised when a request gets no answer."""
    async with asking(url) as backend:
        with pytest.raises(kind) as caught:
            await backend.send(PRIVATE, deadline)
    return caught.value


def is_discreet(error: BackendError) -> bool:
    """Tell whether neither the text nor a traceback holds what was asked, or an exception that would."""
    shown = "".join(traceback.format_exception_only(error))
    alone = error.__cause__ is None and error.__context__ is None
    return alone and not any(secret in shown for secret in SECRETS)


@both
@pytest.mark.parametrize("address", ["127.0.0.1:1", "do-not-tell.invalid", "do-not-tell..x"])
async def test_addresses_are_not_told(asking: Asking, address: str) -> None:
    """Who cannot be reached is not named, whatever is wrong with the address."""
    assert is_discreet(await failure(asking, f"http://{address}/instances/a/"))


@both
@pytest.mark.parametrize("raw", [b"SSH-2.0 do-not-tell\r\n", b"HTTP/1.1 200 OK\r\ndo-not-tell\r\n\r\n"])
async def test_broken_answers_are_not_quoted(asking: Asking, raw: bytes) -> None:
    """What the backend said, and what it was asked, is in no failure."""
    async with serving(closing(raw)) as server:
        assert is_discreet(await failure(asking, server.url))


@both
async def test_late_answers_are_not_told(asking: Asking) -> None:
    """An answer that does not come in time is a failure like others, whenever the time is over."""
    async with serving(saying(b"")) as server:
        assert is_discreet(await failure(asking, server.url, time.monotonic() + 2.5))
        for seconds in (0.2, -1.0):
            assert is_discreet(await failure(asking, server.url, time.monotonic() + seconds, BackendBusy))


def closing(raw: bytes) -> Handler:
    """Answer with these bytes, and end the connection."""

    async def handler(_: bytes, writer: Any) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    return handler


def test_first_threads_make_one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads come first at the same time: one of them loads the certificates, and all share a pool."""
    made: list[object] = []
    load: Callable[..., object] = ssl.create_default_context

    def counted(**options: Any) -> object:
        made.append(load(**options))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    together = Barrier(THREADS)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{closed.getsockname()[1]}/"
        backend = HttpBackend(url, url, TOKEN, Breaker(lambda: False))

        def ask(_: int) -> None:
            together.wait(60)
            with pytest.raises(BackendUnreachable):
                backend.send(PRIVATE)

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(ask, range(THREADS)))
    assert len(made) == 1
    backend.close()
