"""Clients that cost so little that the server is what is measured, each request on a connection of its own.

httpx takes ten times the processor time, and with it a thousand readers would mostly wait for each other.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.server import BROWSER, SECONDS, Server
from benchmarks.table import BenchmarkError

_BUFFER: Final = bytearray(1 << 18)


@dataclass(frozen=True)
class Heard:
    """An answer.

    Args:
        status: of HTTP.
        headers: with names in lower case.
        body: all of it.
        began: when the connection was asked for, in seconds of `time.monotonic`.
        ended: when the answer was complete.
    """

    status: int
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes
    began: float
    ended: float

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began) * 1000

    @property
    def location(self) -> str:
        """Where it leads to."""
        return dict(self.headers)["location"]

    @property
    def cookie(self) -> str:
        """The cookies that it sets, as a browser sends them back."""
        return "; ".join(value.partition(";")[0] for name, value in self.headers if name == "set-cookie")


class _Exchange(asyncio.Protocol):
    """Sends one request, and hears its answer until the server closes the connection."""

    def __init__(self, request: bytes) -> None:
        self.heard: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._request = request
        self._began = time.monotonic()
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data

    def connection_lost(self, exc: Exception | None) -> None:
        ended, (head, end, body) = time.monotonic(), self._data.partition(b"\r\n\r\n")
        if self.heard.cancelled():
            return
        if exc or not end:
            self.heard.set_exception(BenchmarkError(f"no whole answer: {exc or bytes(self._data)!r}"))
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        self.heard.set_result(Heard(int(first.split()[1]), headers, bytes(body), self._began, ended))


@dataclass(frozen=True)
class Waiting:
    """A request whose answer may be long in coming."""

    transport: asyncio.BaseTransport
    heard: asyncio.Future[Heard]

    def leave(self) -> None:
        """Close the connection."""
        self.heard.cancel()
        self.transport.close()

    async def answer(self) -> Heard:
        """Wait for the answer.

        Raises:
            BenchmarkError: it does not come.
        """
        try:
            async with asyncio.timeout(SECONDS):
                return await self.heard
        except TimeoutError as error:
            raise BenchmarkError(f"there is no answer within {SECONDS} seconds") from error


async def begin(server: Server, target: str, cookie: str = "") -> Waiting:
    """Send the request of a browser's navigation on a new connection."""
    request = _request(server, target, cookie)
    transport, exchange = await asyncio.get_running_loop().create_connection(
        lambda: _Exchange(request), "127.0.0.1", server.port
    )
    return Waiting(transport, exchange.heard)


async def ask(server: Server, target: str, statuses: Container[int], cookie: str = "") -> Heard:
    """Request a path, and insist on one of some statuses.

    Raises:
        BenchmarkError: the answer is another one, or does not come.
    """
    heard = await (await begin(server, target, cookie)).answer()
    if heard.status not in statuses:
        raise BenchmarkError(f"{target}: {heard.status}: {heard.body[:200]!r}")
    return heard


async def figure(server: Server, target: str, name: str) -> int:
    """Ask for a figure that a server tells in JSON."""
    return int(json.loads((await ask(server, target, {200})).body)[name])


@dataclass(frozen=True)
class Download:
    """What an answer has cost: seconds until its body began, until all of it was there, and of the processor."""

    first: float
    all: float
    processor: float


def download(server: Server, path: str, cookie: str, size: int) -> Download:
    """Read so many bytes of a body, as they come over the wire, and leave.

    Raises:
        BenchmarkError: the answer is another one, or ends before.
    """
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
        used, began = server.seconds, time.perf_counter()
        connection.sendall(_request(server, path, cookie))
        head, end, body = b"", b"", b""
        while not end and (data := connection.recv(65_536)):
            head, end, body = (head + data).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise BenchmarkError(f"{path}: {head.decode(errors='replace')}")
        left = size - (len(body) or connection.recv_into(_BUFFER))
        first = time.perf_counter()
        while left > 0 and (count := connection.recv_into(_BUFFER)):
            left -= count
        ended, used = time.perf_counter(), server.seconds - used
    if left > 0:
        raise BenchmarkError(f"{path}: {left} bytes are missing")
    return Download(first - began, ended - began, used)


def _request(server: Server, target: str, cookie: str) -> bytes:
    # The server closes the connection when it has answered: that ends the answer, however it is framed.
    headers = BROWSER | {"host": f"127.0.0.1:{server.port}", "connection": "close"}
    headers |= {"cookie": cookie} if cookie else {}
    lines = (f"{name}: {value}" for name, value in headers.items())
    return "\r\n".join((f"GET {target} HTTP/1.1", *lines, "", "")).encode()


def many_files() -> None:
    """Let this process, and those that it starts, open as many files as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
