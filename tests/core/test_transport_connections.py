"""HTTP to the backend: connections are kept, used again, replaced, given back, and belong to one loop or process."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import pytest
from running import ROOT, environment

from core.transport_server import OK, PRIVATE, TOKEN, Asking, both, headers_of, plain, saying, serving
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.transport import MAX_IDLE, Instance

pytestmark = pytest.mark.anyio

USE_AND_LEAVE = """
import sys
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.operations import BackendRequest
backend = HttpBackend(sys.argv[1], sys.argv[1], "secret-token:x", Breaker(lambda: False))
print(backend.send(BackendRequest("GET", "config")).status)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def python(home: Path, *arguments: str) -> tuple[int | None, str]:
    """Run Python with every warning an error, and return its status and all that it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", *arguments),
        cwd=ROOT,
        env=environment(home, PYTHONPATH=str(ROOT)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode()


@both
async def test_connections_are_used_again(asking: Asking) -> None:
    """Several requests share a connection, cookies do not stay."""
    raw = plain(b"{}", b"200 OK", b"Set-Cookie: a=b; Path=/")
    async with serving(saying(raw)) as server, asking(server.url) as backend:
        for _ in range(5):
            await backend.send(PRIVATE)

    assert server.connections == 1
    assert not any(b"cookie" in dict(headers_of(request)) for request in server.requests)


@both
async def test_as_many_connections_are_kept_as_are_said(asking: Asking) -> None:
    """Of forty connections that were needed at once twenty are used again."""
    together = asyncio.Barrier(2 * MAX_IDLE)

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(OK)

    async with serving(handler) as server, asking(server.url) as backend:
        for connections in (2 * MAX_IDLE, 3 * MAX_IDLE):
            await asyncio.gather(*(backend.send(PRIVATE) for _ in range(2 * MAX_IDLE)))
            assert server.connections == connections


@both
async def test_a_connection_that_was_closed_is_replaced(asking: Asking) -> None:
    """A backend that was started again is asked on a new connection."""

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()

    async with serving(handler) as server, asking(server.url) as backend:
        for _ in range(3):
            assert (await backend.send(PRIVATE)).status == 200
            # The end of the connection is on its way to the client when the server has seen it close.
            await asyncio.gather(*server.tasks)
            await asyncio.sleep(0.05)
    assert server.connections == 3


@both
async def test_closing_closes_and_the_next_request_opens(asking: Asking) -> None:
    """After the pool was closed a request opens a new one; closing twice, or before any use, is no error."""
    async with serving(saying(OK)) as server, asking(server.url) as backend:
        await backend.aclose()
        await backend.send(PRIVATE)
        await backend.aclose()
        await backend.aclose()
        assert (await backend.send(PRIVATE)).status == 200


def test_two_event_loops_in_sequence() -> None:
    """One backend object serves one event loop after another, each with its own connections."""
    backends: list[AsyncHttpBackend] = []

    async def once(port: int) -> int:
        async with serving(saying(OK)) as server:
            if not backends:
                backends.append(AsyncHttpBackend(server.url, server.url, TOKEN, Breaker(lambda: False)))
            backends[0]._instance = Instance(server.url, server.url)
            found = await backends[0].send(PRIVATE)
            await backends[0].aclose()
            return found.status

    assert [asyncio.run(once(0)) for _ in range(3)] == [200, 200, 200]


async def test_connections_end_with_their_object() -> None:
    """Nobody has to close the blocking client: dropped, it closes its connections, and nothing warns."""
    async with serving(saying(OK)) as server:
        backend = HttpBackend(server.url, server.url, TOKEN, Breaker(lambda: False))
        assert (await asyncio.to_thread(backend.send, PRIVATE)).status == 200
        del backend
        gc.collect()
        await asyncio.wait_for(asyncio.gather(*server.tasks), 10)


async def test_connections_end_with_their_process(tmp_path: Path) -> None:
    """A process that never closed the blocking client ends without a warning."""
    async with serving(saying(OK)) as server:
        assert await python(tmp_path, "-c", USE_AND_LEAVE, server.url) == (0, "200\n")
        await asyncio.wait_for(asyncio.gather(*server.tasks), 10)


@pytest.mark.parametrize(("used", "requests"), [("fresh", 2), ("used", 3)])
async def test_a_forked_process_has_connections_of_its_own(tmp_path: Path, used: str, requests: int) -> None:
    """Parent and child never share a connection, and the child ends, whatever the parent's threads were doing."""
    async with serving(saying(OK)) as server:
        script = str(Path(__file__).with_name("transport_fork.py"))
        assert await python(tmp_path, script, server.url, used) == (0, "")
        assert (server.connections, len(server.requests)) == (2, requests)


async def test_a_forked_process_has_locks_of_its_own(tmp_path: Path) -> None:
    """A child that was forked while a thread held the locks of the cache and of the sandbox waits for neither."""
    async with serving(saying(OK)) as server:
        script = str(Path(__file__).with_name("transport_fork.py"))
        assert await python(tmp_path, script, server.url, "locks") == (0, "")
