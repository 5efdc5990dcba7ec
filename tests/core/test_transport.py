"""HTTP to the backend, against real sockets that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taler_paywall import async_transport, transport
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.errors import BackendError, BackendNonsense, BackendUnreachable
from taler_paywall.operations import BackendRequest, BackendResponse
from taler_paywall.transport import Instance

TOKEN = "secret-token:do-not-tell"
PRIVATE = BackendRequest("GET", "private/orders/ORDER", (("session_id", "S&1 é"),), private=True)
PUBLIC = BackendRequest("GET", "config")

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A tiny HTTP server that keeps every request it got and answers as the test says."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/instances/a/"

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
async def serving(handler: Handler) -> AsyncIterator[Server]:
    served = Server(handler)
    server = await asyncio.start_server(served.accept, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in served.tasks:
            task.cancel()
        await asyncio.gather(*served.tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def asking(
    url: str, public_url: str = "", token: str | Callable[[], str] = TOKEN
) -> AsyncIterator[AsyncHttpBackend]:
    backend = AsyncHttpBackend(url, public_url or url, token)
    try:
        yield backend
    finally:
        await backend.aclose()


def saying(raw: bytes) -> Handler:
    """Answer with these bytes."""

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return handler


def plain(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Content-Type: application/json", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def exchange(raw: bytes, request: BackendRequest = PRIVATE) -> tuple[BackendResponse | BackendError, Server]:
    """Send a request to a server that says this, and return what came of it."""
    async with serving(saying(raw)) as server, asking(server.url) as backend:
        try:
            return await backend.send(request), server
        except BackendError as exc:
            return exc, server


OK = plain(b'{"x": 1}')
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_request_and_its_answer() -> None:
    """One request goes out, well-formed, and the answer comes back as it is."""
    found, server = await exchange(OK)

    assert found == BackendResponse(200, "application/json", b'{"x": 1}')
    (request,) = server.requests
    assert request.startswith(b"GET /instances/a/private/orders/ORDER?session_id=S%261+%C3%A9 HTTP/1.1\r\n")
    headers = dict(headers_of(request))
    assert headers[b"accept"] == b"application/json"
    assert headers[b"accept-encoding"] == b"identity"
    assert headers[b"host"] == f"127.0.0.1:{server.port}".encode()
    assert headers[b"authorization"] == f"Bearer {TOKEN}".encode()
    assert b"content-type" not in headers
    assert len(headers) == len(headers_of(request))


async def test_a_body_is_json() -> None:
    """A body is sent as it is, with its type."""
    _, server = await exchange(OK, BackendRequest("POST", "private/orders", body=b'{"order": {}}', private=True))
    (request,) = server.requests

    assert request.startswith(b"POST /instances/a/private/orders HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"order": {}}')
    assert dict(headers_of(request))[b"content-type"] == b"application/json"


async def test_the_token_goes_with_private_requests_alone() -> None:
    """A public request carries nothing that it does not need."""
    async with serving(saying(OK)) as server, asking(server.url) as backend:
        await backend.send(PRIVATE)
        await backend.send(PUBLIC)
        await backend.send(BackendRequest("POST", "orders/ORDER/paid", body=b"{}"))

    assert [b"authorization" in dict(headers_of(request)) for request in server.requests] == [True, False, False]
    assert [TOKEN.encode() in request for request in server.requests] == [True, False, False]


async def test_a_callable_gives_the_token_in_a_thread() -> None:
    """A token that has to be waited for is waited for in a thread, and asked for on private requests alone."""
    asked: list[str] = []

    def token() -> str:
        asked.append(threading.current_thread().name)
        return TOKEN

    async with serving(saying(OK)) as server, asking(server.url, token=token) as backend:
        await backend.send(PUBLIC)
        assert asked == []
        await backend.send(PRIVATE)

    assert len(asked) == 1
    assert asked[0] != threading.main_thread().name
    assert dict(headers_of(server.requests[1]))[b"authorization"] == f"Bearer {TOKEN}".encode()


async def test_a_callable_that_cannot_tell_is_a_backend_that_is_not_there() -> None:
    """What the callable raises for the flow, the flow gets."""

    def token() -> str:
        raise BackendUnreachable("no sandbox")

    async with serving(saying(OK)) as server, asking(server.url, token=token) as backend:
        with pytest.raises(BackendUnreachable, match="no sandbox"):
            await backend.send(PRIVATE)
    assert server.requests == []


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        ("", {}),
        ("https://pay.example/instances/a/", {b"proto": b"https", b"host": b"pay.example"}),
        (
            "https://pay.example:8443/shop/instances/a/",
            {b"proto": b"https", b"host": b"pay.example:8443", b"prefix": b"/shop"},
        ),
    ],
)
async def test_the_backend_is_told_its_public_address(public: str, expected: dict[bytes, bytes]) -> None:
    """If wallets see the backend elsewhere, every request says where; otherwise none says anything."""
    async with serving(saying(OK)) as server, asking(server.url, public) as backend:
        await backend.send(PRIVATE)
        await backend.send(PUBLIC)

    for request in server.requests:
        headers = dict(headers_of(request))
        found = {n.removeprefix(b"x-forwarded-"): v for n, v in headers.items() if n.startswith(b"x-forwarded-")}
        assert found == expected
        assert headers[b"host"] == f"127.0.0.1:{server.port}".encode()


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"])
async def test_redirects_are_not_followed(status: bytes) -> None:
    """A redirect is an answer like others: the token never goes anywhere else."""
    async with serving(saying(OK)) as other:
        location = b"Location: " + f"{other.url}private/orders/ORDER".encode()
        found, server = await exchange(plain(b"{}", status, location))

        assert isinstance(found, BackendResponse)
        assert found.status == int(status[:3])
        assert len(server.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize("status", [200, 202, 204, 400, 401, 402, 404, 409, 500, 503])
async def test_every_status_is_an_answer(status: int) -> None:
    """Judging the status is not the transport's business."""
    found, _ = await exchange(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    assert found == BackendResponse(status, found.media_type if isinstance(found, BackendResponse) else "", b"")


MIB = 1 << 20


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("size", "fits"), [(MIB - 1, True), (MIB, True), (MIB + 1, False), (50 * MIB, False)])
async def test_long_answers_are_refused(size: int, fits: bool, chunked: bool) -> None:  # noqa: FBT001 - a table
    """An answer over 1 MiB is refused, without reading it to its end."""
    sent = 0

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + framing + b"\r\n\r\n")
        while sent < size:
            part = b"x" * min(1 << 16, size - sent)
            writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            sent += len(part)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")

    async with serving(handler) as server, asking(server.url) as backend:
        if fits:
            assert len((await backend.send(PRIVATE)).body) == size
        else:
            with pytest.raises(BackendNonsense):
                await backend.send(PRIVATE)
            assert sent < 25 * MIB


@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b"deflate", b"br", b"zstd", b"identity, gzip", b"x-unknown"])
async def test_compressed_answers_are_refused(coding: bytes) -> None:
    """Compression was declined, so that a bomb is never unpacked."""
    found, _ = await exchange(plain(gzip.compress(b'{"x": 1}'), b"200 OK", b"Content-Encoding: " + coding))

    assert isinstance(found, BackendNonsense)


async def test_identity_is_no_compression() -> None:
    """A backend that says it did not compress is believed."""
    found, _ = await exchange(plain(b"{}", b"200 OK", b"Content-Encoding: identity"))

    assert isinstance(found, BackendResponse)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"<html></html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\nX\x00: y\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ],
)
async def test_broken_answers_are_no_answer(raw: bytes) -> None:
    """A connection that is closed early or speaks no HTTP is a backend that cannot be reached."""

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    async with serving(handler) as server, asking(server.url) as backend:
        with pytest.raises(BackendUnreachable) as caught:
            await backend.send(PRIVATE)
    assert "do-not-tell" not in str(caught.value)
    assert "ORDER" not in str(caught.value)


@pytest.mark.parametrize(
    ("content_type", "media_type"),
    [
        (b"application/json", "application/json"),
        (b"Application/JSON", "application/json"),
        (b"application/json; charset=utf-8", "application/json"),
        (b'application/json;charset="UTF-8"', "application/json"),
        (b"application/json; charset=utf-16", ""),
        (b"application/json; charset=iso-8859-1", ""),
        (b"text/html", "text/html"),
    ],
)
async def test_media_types(content_type: bytes, media_type: str) -> None:
    """The media type comes without its parameters, and empty if the body is in another encoding."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: " + content_type + b"\r\n\r\n{}"
    found, _ = await exchange(raw)

    assert found == BackendResponse(200, media_type, b"{}")


@pytest.mark.parametrize("raw", [b"", b"Content-Type: application/json\r\nContent-Type: text/html\r\n"])
async def test_no_or_two_media_types_are_not_json(raw: bytes) -> None:
    """What is not said to be JSON, or said to be two things, is not taken for JSON."""
    found, _ = await exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + raw + b"\r\n{}")

    assert isinstance(found, BackendResponse)
    assert found.media_type != "application/json"


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60))
def test_any_content_type_can_be_read(tail: str) -> None:
    """No Content-Type raises."""
    for content_type in (tail, f"application/json;{tail}", f"application/json; charset={tail}", f"x; charset*={tail}"):
        assert isinstance(transport._media_type(content_type), str)


# Time.


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-Drip: ", plain(b"x" * 500)[:-500]])
async def test_a_dripping_answer_ends_in_time(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is for the whole exchange: bytes that keep coming do not move it."""
    monkeypatch.setattr(async_transport, "TOTAL_TIMEOUT", 0.5)

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(b"x" if head else b"")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(handler) as server, asking(server.url) as backend:
        started = time.monotonic()
        with pytest.raises(BackendUnreachable):
            await backend.send(PRIVATE)
        assert 0.4 < time.monotonic() - started < 1.5

        server.handler = saying(OK)
        assert (await backend.send(PRIVATE)).status == 200, "the pool survives"


async def test_the_whole_exchange_has_five_seconds() -> None:
    """The limits are those of the design: 2 s to connect, 5 s in all, 1 MiB."""
    assert (transport.CONNECT_TIMEOUT, transport.TOTAL_TIMEOUT, transport.MAX_ANSWER) == (2.0, 5.0, MIB)


async def test_many_slow_answers_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty requests to a backend that says nothing all end in time, and leave no connection behind."""
    monkeypatch.setattr(async_transport, "TOTAL_TIMEOUT", 0.5)
    started = time.monotonic()
    async with serving(saying(b"")) as server, asking(server.url) as backend:
        found = await asyncio.gather(*(backend.send(PRIVATE) for _ in range(150)), return_exceptions=True)
        assert all(isinstance(one, BackendUnreachable) for one in found)
        assert time.monotonic() - started < 3

        server.handler = saying(OK)
        assert (await backend.send(PRIVATE)).status == 200


async def test_a_closed_port() -> None:
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


async def test_an_unknown_host_and_a_wrong_protocol() -> None:
    """What cannot be resolved, and TLS where there is none, cannot be reached."""
    async with asking("http://name.invalid/") as backend:
        with pytest.raises(BackendUnreachable):
            await backend.send(PRIVATE)
    async with serving(saying(OK)) as server, asking(server.url.replace("http:", "https:")) as backend:
        with pytest.raises(BackendUnreachable):
            await backend.send(PRIVATE)


async def test_cancelling_a_request_cancels_it() -> None:
    """A reader who leaves takes the request along; it is not turned into an answer."""
    arrived = asyncio.Event()

    async def handler(_: bytes, __: asyncio.StreamWriter) -> None:
        arrived.set()

    async with serving(handler) as server, asking(server.url) as backend:
        task = asyncio.create_task(backend.send(PRIVATE))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        server.handler = saying(OK)
        assert (await backend.send(PRIVATE)).status == 200


# The environment, connections, loops and logs.


async def test_proxies_and_netrc_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The environment redirects no request and replaces no token."""
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("machine 127.0.0.1 login thief password x\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(saying(plain(b"{}", b"500 Proxy"))) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        found, server = await exchange(OK)

        assert isinstance(found, BackendResponse)
        assert found.status == 200
        assert proxy.requests == []
        assert dict(headers_of(server.requests[0]))[b"authorization"] == f"Bearer {TOKEN}".encode()


async def test_connections_are_used_again() -> None:
    """Several requests share a connection, cookies do not stay."""
    raw = plain(b"{}", b"200 OK", b"Set-Cookie: a=b; Path=/")
    async with serving(saying(raw)) as server, asking(server.url) as backend:
        for _ in range(5):
            await backend.send(PRIVATE)

    assert server.connections == 1
    assert not any(b"cookie" in dict(headers_of(request)) for request in server.requests)


async def test_a_connection_that_was_closed_is_replaced() -> None:
    """A backend that was started again is asked on a new connection."""

    async def handler(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()

    async with serving(handler) as server, asking(server.url) as backend:
        for _ in range(3):
            assert (await backend.send(PRIVATE)).status == 200
            await asyncio.sleep(0.05)
    assert server.connections == 3


async def test_closing_closes_and_the_next_request_opens() -> None:
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
                backends.append(AsyncHttpBackend(server.url, server.url, TOKEN))
            backends[0]._instance = Instance(server.url, server.url)
            found = await backends[0].send(PRIVATE)
            await backends[0].aclose()
            return found.status

    assert [asyncio.run(once(0)) for _ in range(3)] == [200, 200, 200]


async def test_logs_hold_no_address_and_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO nothing is logged of what was asked: neither address nor session nor token."""
    caplog.set_level(logging.INFO)
    await exchange(OK)
    await exchange(plain(b"{}", b"500 X"))
    async with asking("http://127.0.0.1:1/") as backend:
        with pytest.raises(BackendUnreachable):
            await backend.send(PRIVATE)

    for record in caplog.records:
        text = f"{record.name} {record.getMessage()}"
        assert not any(part in text for part in ("127.0.0.1", "ORDER", "session_id", "do-not-tell", "instances")), text
