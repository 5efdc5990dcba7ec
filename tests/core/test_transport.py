"""HTTP to the backend, against real sockets that misbehave: what goes out, and what may come back."""

from __future__ import annotations

import asyncio
import gzip
import logging
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.transport_server import (
    OK,
    PRIVATE,
    PUBLIC,
    TOKEN,
    Asking,
    both,
    exchange,
    headers_of,
    plain,
    saying,
    serving,
)
from taler_paywall import transport
from taler_paywall.errors import BackendNonsense, BackendUnreachable
from taler_paywall.operations import BackendRequest, BackendResponse

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@both
async def test_a_request_and_its_answer(asking: Asking) -> None:
    """One request goes out, well-formed, and the answer comes back as it is."""
    found, server = await exchange(asking, OK)

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


@both
async def test_a_body_is_json(asking: Asking) -> None:
    """A body is sent as it is, with its type."""
    _, server = await exchange(
        asking, OK, BackendRequest("POST", "private/orders", body=b'{"order": {}}', private=True)
    )
    (request,) = server.requests

    assert request.startswith(b"POST /instances/a/private/orders HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"order": {}}')
    assert dict(headers_of(request))[b"content-type"] == b"application/json"


@both
async def test_the_token_goes_with_private_requests_alone(asking: Asking) -> None:
    """A public request carries nothing that it does not need."""
    async with serving(saying(OK)) as server, asking(server.url) as backend:
        await backend.send(PRIVATE)
        await backend.send(PUBLIC)
        await backend.send(BackendRequest("POST", "orders/ORDER/paid", body=b"{}"))

    assert [b"authorization" in dict(headers_of(request)) for request in server.requests] == [True, False, False]
    assert [TOKEN.encode() in request for request in server.requests] == [True, False, False]


@both
async def test_a_callable_gives_the_token_in_a_thread(asking: Asking) -> None:
    """A token that has to be waited for never stops the event loop, and is asked for on private requests alone."""
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


@both
async def test_a_callable_that_cannot_tell_is_a_backend_that_is_not_there(asking: Asking) -> None:
    """What the callable raises for the flow, the flow gets."""

    def token() -> str:
        raise BackendUnreachable("no sandbox")

    async with serving(saying(OK)) as server, asking(server.url, token=token) as backend:
        with pytest.raises(BackendUnreachable, match="no sandbox"):
            await backend.send(PRIVATE)
    assert server.requests == []


@both
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
async def test_the_backend_is_told_its_public_address(
    asking: Asking, public: str, expected: dict[bytes, bytes]
) -> None:
    """If wallets see the backend elsewhere, every request says where; otherwise none says anything."""
    async with serving(saying(OK)) as server, asking(server.url, public) as backend:
        await backend.send(PRIVATE)
        await backend.send(PUBLIC)

    for request in server.requests:
        headers = dict(headers_of(request))
        found = {n.removeprefix(b"x-forwarded-"): v for n, v in headers.items() if n.startswith(b"x-forwarded-")}
        assert found == expected
        assert headers[b"host"] == f"127.0.0.1:{server.port}".encode()


@both
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"])
async def test_redirects_are_not_followed(asking: Asking, status: bytes) -> None:
    """A redirect is an answer like others: the token never goes anywhere else."""
    async with serving(saying(OK)) as other:
        location = b"Location: " + f"{other.url}private/orders/ORDER".encode()
        found, server = await exchange(asking, plain(b"{}", status, location))

        assert isinstance(found, BackendResponse)
        assert found.status == int(status[:3])
        assert len(server.requests) == 1
        assert other.requests == []


@both
@pytest.mark.parametrize("status", [200, 202, 204, 400, 401, 402, 404, 409, 500, 503])
async def test_every_status_is_an_answer(asking: Asking, status: int) -> None:
    """Judging the status is not the transport's business."""
    found, _ = await exchange(asking, b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    assert found == BackendResponse(status, found.media_type if isinstance(found, BackendResponse) else "", b"")


MIB = 1 << 20


@both
@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("size", "fits"), [(MIB - 1, True), (MIB, True), (MIB + 1, False), (50 * MIB, False)])
async def test_long_answers_are_refused(asking: Asking, size: int, fits: bool, chunked: bool) -> None:  # noqa: FBT001 - a table
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


@both
@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b"deflate", b"br", b"zstd", b"identity, gzip", b"x-unknown"])
async def test_compressed_answers_are_refused(asking: Asking, coding: bytes) -> None:
    """Compression was declined, so that a bomb is never unpacked."""
    found, _ = await exchange(asking, plain(gzip.compress(b'{"x": 1}'), b"200 OK", b"Content-Encoding: " + coding))

    assert isinstance(found, BackendNonsense)


@both
async def test_identity_is_no_compression(asking: Asking) -> None:
    """A backend that says it did not compress is believed."""
    found, _ = await exchange(asking, plain(b"{}", b"200 OK", b"Content-Encoding: identity"))

    assert isinstance(found, BackendResponse)


@both
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
async def test_broken_answers_are_no_answer(asking: Asking, raw: bytes) -> None:
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


@both
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
async def test_media_types(asking: Asking, content_type: bytes, media_type: str) -> None:
    """The media type comes without its parameters, and empty if the body is in another encoding."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: " + content_type + b"\r\n\r\n{}"
    found, _ = await exchange(asking, raw)

    assert found == BackendResponse(200, media_type, b"{}")


@both
@pytest.mark.parametrize("raw", [b"", b"Content-Type: application/json\r\nContent-Type: text/html\r\n"])
async def test_no_or_two_media_types_are_not_json(asking: Asking, raw: bytes) -> None:
    """What is not said to be JSON, or said to be two things, is not taken for JSON."""
    found, _ = await exchange(asking, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + raw + b"\r\n{}")

    assert isinstance(found, BackendResponse)
    assert found.media_type != "application/json"


@example(";" * 95_000)
@example("charset*=a; charset*0=b")
@example("charset*" + "1" * 5000 + "=x")
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60))
def test_any_content_type_can_be_read(tail: str) -> None:
    """No Content-Type raises."""
    for content_type in (tail, f"application/json;{tail}", f"application/json; charset={tail}", f"x; charset*={tail}"):
        assert isinstance(transport._media_type(content_type), str)


@both
async def test_proxies_and_netrc_are_ignored(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
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
        found, server = await exchange(asking, OK)

        assert isinstance(found, BackendResponse)
        assert found.status == 200
        assert proxy.requests == []
        assert dict(headers_of(server.requests[0]))[b"authorization"] == f"Bearer {TOKEN}".encode()


@both
async def test_logs_hold_no_address_and_no_token(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO nothing is logged of what was asked: neither address nor session nor token."""
    caplog.set_level(logging.INFO)
    await exchange(asking, OK)
    await exchange(asking, plain(b"{}", b"500 X"))
    async with asking("http://127.0.0.1:1/") as backend:
        with pytest.raises(BackendUnreachable):
            await backend.send(PRIVATE)

    for record in caplog.records:
        text = f"{record.name} {record.getMessage()}"
        assert not any(part in text for part in ("127.0.0.1", "ORDER", "session_id", "do-not-tell", "instances")), text
