"""A tiny server that answers as a test says, and the two clients of the backend that are held against it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final, Protocol

import anyio
import anyio.to_thread
import pytest

from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.errors import BackendError
from taler_paywall.operations import BackendRequest, BackendResponse
from taler_paywall.transport import Token

TOKEN: Final = "secret-token:do-not-tell"
PRIVATE: Final = BackendRequest("GET", "private/orders/ORDER", (("session_id", "S&1 é"),), private=True)
PUBLIC: Final = BackendRequest("GET", "config")

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A tiny HTTP server that keeps every request it got and answers as the test says."""

    def __init__(self, handler: Handler, scheme: str) -> None:
        self.handler = handler
        self.scheme = scheme
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/instances/a/"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(v) for n, v in headers_of(head) if n == b"content-length"), 0)
                request = head + await reader.readexactly(length)
                self.requests.append(request)
                await self.handler(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def headers_of(request: bytes) -> list[tuple[bytes, bytes]]:
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    served = Server(handler, "https" if tls else "http")
    server = await asyncio.start_server(served.accept, "127.0.0.1", 0, ssl=tls, backlog=300)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in served.tasks:
            task.cancel()
        await asyncio.gather(*served.tasks, return_exceptions=True)
        await server.wait_closed()


def saying(raw: bytes) -> Handler:
    """Answer with these bytes."""

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return handler


def plain(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Content-Type: application/json", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


OK: Final = plain(b'{"x": 1}')


class ThreadedBackend:
    """The blocking client, each request in a thread of its own, so that the tests need not know the difference."""

    def __init__(self, base_url: str, public_url: str, token: Token, breaker: Breaker) -> None:
        self.blocking = HttpBackend(base_url, public_url, token, breaker, max_calls=100)
        self._threads = anyio.CapacityLimiter(300)

    async def send(self, request: BackendRequest, deadline: float | None = None) -> BackendResponse:
        return await anyio.to_thread.run_sync(self.blocking.send, request, deadline, limiter=self._threads)

    async def aclose(self) -> None:
        self.blocking.close()


Client = AsyncHttpBackend | ThreadedBackend


class Asking(Protocol):
    """Opens a client of the backend at an address."""

    def __call__(self, url: str, public_url: str = "", token: Token = TOKEN) -> AbstractAsyncContextManager[Client]: ...


class Unbroken(Breaker):
    """Never opens, so that each failure is seen by itself."""

    def heard(self, outcome: BackendResponse | BackendError) -> None:
        """Take no note of it."""


@asynccontextmanager
async def _asking(
    kind: Callable[[str, str, Token, Breaker], Client], url: str, public_url: str = "", token: Token = TOKEN
) -> AsyncIterator[Client]:
    backend = kind(url, public_url or url, token, Unbroken(lambda: False))
    try:
        yield backend
    finally:
        await backend.aclose()


async_asking: Asking = partial(_asking, AsyncHttpBackend)
blocking_asking: Asking = partial(_asking, ThreadedBackend)
#: What both clients do alike.
both = pytest.mark.parametrize("asking", [async_asking, blocking_asking], ids=["async", "blocking"])


async def exchange(
    asking: Asking, raw: bytes, request: BackendRequest = PRIVATE
) -> tuple[BackendResponse | BackendError, Server]:
    """Send a request to a server that says this, and return what came of it."""
    async with serving(saying(raw)) as server, asking(server.url) as backend:
        try:
            return await backend.send(request), server
        except BackendError as exc:
            return exc, server
