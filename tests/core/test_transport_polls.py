"""HTTP to the backend: requests that wait have a lane of their own, a deadline of their own, and end with who asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.transport_server import OK, PRIVATE, TOKEN, Handler, Server, saying, serving
from taler_paywall import transport
from taler_paywall.asgi import Message, _unless_gone
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.errors import BackendBusy, BackendUnreachable
from taler_paywall.operations import BackendRequest

pytestmark = pytest.mark.anyio

POLLS = 200
POLL = BackendRequest("GET", "orders/ORDER", (("timeout_ms", "30000"),), wait=30)
SECONDS = 0.5
SLACK = 3
#: For what has to happen soon, in seconds.
PATIENCE = 30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a whole exchange half a second."""
    monkeypatch.setattr(transport, "TOTAL_TIMEOUT", SECONDS)
    monkeypatch.setattr(transport, "ENOUGH", SECONDS / 5)


def holding(released: asyncio.Event) -> Handler:
    """Hold the answers to polls back, and answer everything else; who has gone is noticed."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        while b"timeout_ms" in request and not released.is_set():
            # Something has to be written, or nobody would see that the other side is closed.
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(OK)

    return handler


async def server_has(server: Server, requests: int) -> None:
    while len(server.requests) < requests:  # noqa: ASYNC110 - its handler says what is answered, and knows no number
        await asyncio.sleep(0.02)


@asynccontextmanager
async def polling(
    server: Server, count: int, max_polls: int
) -> AsyncIterator[tuple[AsyncHttpBackend, list[asyncio.Task[int]]]]:
    """Open a client of which so many requests wait at the server."""
    backend = AsyncHttpBackend(server.url, server.url, TOKEN, Breaker(lambda: False), max_polls=max_polls)

    async def poll() -> int:
        return (await backend.send(POLL)).status

    polls = [asyncio.create_task(poll()) for _ in range(count)]
    try:
        async with asyncio.timeout(PATIENCE):
            await server_has(server, count)
        yield backend, polls
    finally:
        for task in polls:
            task.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        await backend.aclose()


async def test_ordinary_requests_do_not_wait_for_polls() -> None:
    """Two hundred polls take none of the hundred places, and no thread."""
    released, threads = asyncio.Event(), threading.active_count()
    async with serving(holding(released)) as server, polling(server, POLLS, POLLS) as (backend, polls):
        assert threading.active_count() == threads
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(backend.send(PRIVATE) for _ in range(100)))
        assert [answer.status for answer in answers] == [200] * 100
        assert not any(task.done() for task in polls)

        released.set()
        assert await asyncio.gather(*polls) == [200] * POLLS


async def test_too_many_polls() -> None:
    """The next one is not sent, and told so at once; each that ends makes room."""
    released = asyncio.Event()
    async with serving(holding(released)) as server, polling(server, 5, 5) as (backend, polls):
        for _ in range(3):
            with pytest.raises(BackendBusy):
                await backend.send(POLL)
        assert len(server.requests) == 5
        assert (await backend.send(PRIVATE)).status == 200

        released.set()
        assert await asyncio.gather(*polls) == [200] * 5
        assert (await backend.send(POLL)).status == 200


async def test_no_polls_at_all() -> None:
    """A site that allows none has none."""
    async with serving(saying(OK)) as server, polling(server, 0, 0) as (backend, _):
        with pytest.raises(BackendBusy):
            await backend.send(POLL)
        assert (await backend.send(PRIVATE)).status == 200


async def test_who_goes_is_not_waited_for() -> None:
    """Polls that are cancelled close their connections and free their places."""
    async with serving(holding(asyncio.Event())) as server, polling(server, 20, 20) as (backend, polls):
        for task in polls:
            task.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*server.tasks)

        server.handler = saying(OK)
        assert (await backend.send(POLL)).status == 200


@pytest.mark.usefixtures("short")
async def test_a_poll_has_its_wait_and_the_time_of_a_request() -> None:
    """An answer that comes when the wait is over is in time; none at all is not waited for much longer."""
    poll = BackendRequest("GET", "orders/ORDER", wait=2 * SECONDS)

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * SECONDS)
        writer.write(OK)

    async with serving(handler) as server, polling(server, 0, 5) as (backend, _):
        assert (await backend.send(poll)).status == 200

        server.handler = saying(b"")
        for request, deadline, seconds in (
            (poll, None, 3 * SECONDS),
            (poll, SECONDS, SECONDS),
            (PRIVATE, 100.0, SECONDS),
        ):
            started = time.monotonic()
            with pytest.raises(BackendUnreachable):
                await backend.send(request, started + deadline if deadline else None)
            assert 0.8 * seconds < time.monotonic() - started < SLACK * seconds


async def test_the_end_of_the_client_is_the_end_of_its_connections() -> None:
    """Those that are kept for the next poll, too."""
    async with serving(saying(OK)) as server:
        async with polling(server, 0, 5) as (backend, _):
            assert (await backend.send(POLL)).status == 200
            assert (await backend.send(POLL)).status == 200
            assert server.connections == 1
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*server.tasks)


async def test_a_server_that_repeats_itself() -> None:
    """Messages that no server should send are neither waited for without end nor taken for the reader's leaving."""

    async def receive() -> Message:
        return {"type": "http.request"}

    async def answer() -> str:
        await asyncio.sleep(0.01)
        return "answer"

    assert await _unless_gone(receive, answer()) == "answer"
