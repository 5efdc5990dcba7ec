"""HTTP to the backend: deadlines that hold against whatever drips, hangs or says nothing, and TLS that is checked."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import certifi
import pytest
import trustme

from core.transport_server import (
    OK,
    PRIVATE,
    Asking,
    Client,
    async_asking,
    blocking_asking,
    both,
    plain,
    saying,
    serving,
)
from taler_paywall import async_transport, blocking_transport, transport
from taler_paywall.errors import BackendBusy, BackendUnreachable

pytestmark = pytest.mark.anyio

SECONDS = 0.5
SLACK = 3


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a whole exchange half a second."""
    monkeypatch.setattr(transport, "TOTAL_TIMEOUT", SECONDS)
    monkeypatch.setattr(transport, "ENOUGH", SECONDS / 5)


async def seconds_in_vain(backend: Client, deadline: float | None = None) -> float:
    """Send a request that gets no answer, and return how long that took."""
    started = time.monotonic()
    with pytest.raises((BackendUnreachable, BackendBusy)):
        await backend.send(PRIVATE, deadline)
    return time.monotonic() - started


@both
@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"", b""),
        (b"HTTP/1.1 200", b"0"),
        (b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Drip: x\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (plain(b"x" * 500)[:-500], b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
)
@pytest.mark.usefixtures("short")
async def test_a_dripping_answer_ends_in_time(asking: Asking, head: bytes, drop: bytes) -> None:
    """The deadline is for the whole exchange: bytes that keep coming do not move it."""

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(handler) as server, asking(server.url) as backend:
        assert 0.8 * SECONDS < await seconds_in_vain(backend) < SLACK * SECONDS
        server.handler = saying(OK)
        assert (await backend.send(PRIVATE)).status == 200, "the pool survives"


@both
async def test_the_deadline_of_a_visit_is_that_of_its_requests(asking: Asking) -> None:
    """A request that comes late in a visit has what is left, and nothing when all is gone."""
    async with serving(saying(b"")) as server, asking(server.url) as backend:
        assert 0.2 < await seconds_in_vain(backend, time.monotonic() + 0.3) < SLACK * 0.3
        assert await seconds_in_vain(backend, time.monotonic() - 1) < 0.3
        server.handler = saying(OK)
        assert (await backend.send(PRIVATE, time.monotonic() + 5)).status == 200


async def test_the_whole_exchange_has_five_seconds() -> None:
    """The limits are those of the design: 2 s to connect, 5 s in all, 1 MiB."""
    assert (transport.CONNECT_TIMEOUT, transport.TOTAL_TIMEOUT, transport.MAX_ANSWER) == (2.0, 5.0, 1 << 20)


@both
@pytest.mark.usefixtures("short")
async def test_many_slow_answers_do_not_wait_for_each_other(asking: Asking) -> None:
    """Two hundred requests share a hundred places before a backend that says nothing: all end in time."""
    async with serving(saying(b"")) as server, asking(server.url) as backend:
        waited = await asyncio.gather(*(seconds_in_vain(backend) for _ in range(200)))
        assert max(waited) < SLACK * SECONDS

        server.handler = saying(OK)
        assert (await backend.send(PRIVATE)).status == 200, "every place is free again"


@both
async def test_a_place_goes_to_the_next_in_time(asking: Asking) -> None:
    """Two hundred requests at once all get their answers, and never more than a hundred are on their way."""
    full = asyncio.Event()
    at_once = 0

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once
        if len(server.requests) == async_transport.MAX_CALLS:
            at_once = server.connections
            full.set()
        await full.wait()
        writer.write(OK)

    async with serving(handler) as server, asking(server.url) as backend:
        deadline = time.monotonic() + 30
        answers = await asyncio.gather(*(backend.send(PRIVATE, deadline) for _ in range(200)))
        assert [answer.status for answer in answers] == [200] * 200
        assert at_once == async_transport.MAX_CALLS


@both
async def test_a_closed_port(asking: Asking) -> None:
    """Nobody there is told at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    started = time.monotonic()
    async with asking(url) as backend:
        with pytest.raises(BackendUnreachable) as caught:
            await backend.send(PRIVATE)
    assert time.monotonic() - started < 2
    assert url not in str(caught.value)


@contextmanager
def full_port() -> Iterator[int]:
    """Listen at a port without ever accepting, its queue full: who connects hears nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


@both
async def test_a_backend_that_does_not_accept(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with many addresses of which none accepts costs no more time than one address."""
    lookup = socket.getaddrinfo

    def many(*args: Any, **kwargs: Any) -> list[Any]:
        return lookup(*args, **kwargs)[:1] * 8

    monkeypatch.setattr(socket, "getaddrinfo", many)
    with full_port() as port:
        async with asking(f"http://127.0.0.1:{port}/") as backend:
            assert await seconds_in_vain(backend, time.monotonic() + SECONDS) < SLACK * SECONDS


@both
async def test_an_unknown_host_and_a_wrong_protocol(asking: Asking) -> None:
    """What cannot be resolved, and TLS where there is none, cannot be reached."""
    for host in ("name.invalid", "a..b", f"{'a' * 64}.invalid"):
        async with asking(f"http://{host}/") as backend:
            await seconds_in_vain(backend)
    async with serving(saying(OK)) as server, asking(server.url.replace("http:", "https:")) as backend:
        await seconds_in_vain(backend)


async def test_cancelling_a_request_cancels_it() -> None:
    """A reader who leaves takes the request along; it is not turned into an answer."""
    arrived = asyncio.Event()

    async def handler(_: bytes, __: asyncio.StreamWriter) -> None:
        arrived.set()

    async with serving(handler) as server, async_asking(server.url) as backend:
        task = asyncio.create_task(backend.send(PRIVATE))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        server.handler = saying(OK)
        assert (await backend.send(PRIVATE)).status == 200


# TLS.


@asynccontextmanager
async def mute(start: bytes) -> AsyncIterator[str]:
    """Accept connections, say how a TLS record starts, and let the rest drip."""
    tasks: list[asyncio.Task[None]] = []

    async def drip(writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(start)
            while True:
                await asyncio.sleep(0.05)
                writer.write(start and b"\0")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(drip(writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@both
@pytest.mark.parametrize("start", [b"", b"\x16\x03\x03\x40\x00"], ids=["silent", "dripping"])
async def test_a_slow_handshake_ends_in_time(asking: Asking, start: bytes) -> None:
    """A server that accepts and never finishes the TLS handshake holds nobody past the deadline."""
    async with mute(start) as url, asking(url) as backend:
        assert await seconds_in_vain(backend) < SLACK * transport.CONNECT_TIMEOUT


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_connecting_has_a_time_of_its_own(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - drawn
    """To connect, and to agree on TLS, the blocking client takes no more than its share of a longer visit."""
    monkeypatch.setattr(blocking_transport, "CONNECT_TIMEOUT", SECONDS)
    with full_port() as port:
        async with mute(b"") as url, blocking_asking(url if tls else f"http://127.0.0.1:{port}/") as backend:
            assert 0.8 * SECONDS < await seconds_in_vain(backend, time.monotonic() + 30) < SLACK * SECONDS


@both
@pytest.mark.parametrize("host", ["127.0.0.1", "other.example"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_certificates_are_checked(
    asking: Asking,
    host: str,
    trusted: bool,  # noqa: FBT001 - a table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A backend is believed only with a certificate of its own name from an authority that is trusted."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(tls)
    with authority.cert_pem.tempfile() as root:
        if trusted:
            monkeypatch.setattr(certifi, "where", lambda: root)
        async with serving(saying(OK), tls) as server, asking(server.url) as backend:
            if trusted and host == "127.0.0.1":
                assert (await backend.send(PRIVATE)).status == 200
                assert (await backend.send(PRIVATE)).status == 200
                assert server.connections == 1
            else:
                with pytest.raises(BackendUnreachable):
                    await backend.send(PRIVATE)
                assert server.requests == []
