"""A client that costs little: each request on a connection of its own, as many at once as are asked for."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from benchmarks.server import Server
from benchmarks.shop import scope_of


class WireError(Exception):
    """A server has answered what it should not; the message says what."""


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
            self.heard.set_exception(WireError(f"no whole answer: {exc or bytes(self._data)!r}"))
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


async def begin(server: Server, target: str, cookie: str = "") -> Waiting:
    """Send the request of a browser's navigation on a new connection."""
    lines = [f"{name.decode()}: {value.decode()}" for name, value in _HEADERS]
    lines += [f"host: 127.0.0.1:{server.port}", *([f"cookie: {cookie}"] if cookie else [])]
    request = "\r\n".join((f"GET {target} HTTP/1.1", *lines, "", "")).encode()
    transport, exchange = await asyncio.get_running_loop().create_connection(
        lambda: _Exchange(request), "127.0.0.1", server.port
    )
    return Waiting(transport, exchange.heard)


async def fetch(server: Server, target: str, statuses: Container[int], cookie: str = "") -> Heard:
    """Request a path, and insist on one of some statuses.

    Raises:
        WireError: the answer is another one.
    """
    heard = await (await begin(server, target, cookie)).heard
    if heard.status not in statuses:
        raise WireError(f"{target}: {heard.status}: {heard.body[:200]!r}")
    return heard


def many_files() -> None:
    """Let this process, and those that it starts, open as many files as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# The server closes the connection when it has answered: that ends the answer, however it is framed.
_HEADERS = [
    *(pair for pair in scope_of("/")["headers"] if pair[0] not in {b"host", b"connection"}),
    (b"connection", b"close"),
]
