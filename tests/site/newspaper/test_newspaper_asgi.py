"""Websockets, lifespan, streams and cookies of an application behind the paywall, under a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reader import USER_AGENT, Reader
from running import Sandbox, Site, StartSite, Wallet, eventually
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .test_newspaper_walk import bought

APP = "tests.site.newspaper.tiny:app"


@pytest.fixture(scope="module")
def tiny(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the tiny application."""
    home = tmp_path_factory.mktemp("tiny")
    started = Site(home, sandbox.url, APP, TINY_NOTES=str(home / "notes"))
    yield started
    started.process.end()


def cookie_header(reader: Reader) -> str:
    return "; ".join(f"{name}={value}" for name, value in reader.cookies().items())


def socket_url(site: Site, path: str) -> str:
    return site.url.replace("http:", "ws:") + path


def test_websockets_are_refused_before_accept(tiny: Site, sandbox: Sandbox) -> None:
    """A stranger's websocket gets 402 instead of the handshake, no order is made, and no cookie is set."""
    before = len(sandbox.orders())
    with pytest.raises(InvalidStatus) as refused, connect(socket_url(tiny, "/live/socket"), proxy=None):
        pass
    response = refused.value.response
    assert response.status_code == 402
    assert "set-cookie" not in response.headers
    assert len(sandbox.orders()) == before


def test_paid_websockets_are_accepted(tiny: Site, wallet: Wallet) -> None:
    """With the cookie of a paid order the websocket works, and the application sees the payment."""
    with Reader(tiny.url) as reader:
        bought(reader, wallet, "/live")
        headers = {"Cookie": cookie_header(reader)}
        with connect(
            socket_url(tiny, "/live/socket"), additional_headers=headers, user_agent_header=USER_AGENT, proxy=None
        ) as socket:
            assert socket.response is not None
            assert socket.response.headers["x-own"] == "kept"
            assert socket.recv(10) == "paid"
            socket.send("hello")
            assert socket.recv(10) == "hello"


def test_free_websockets_pass(tiny: Site) -> None:
    """A websocket on a path that is not for sale is nobody's business."""
    with connect(socket_url(tiny, "/open/socket"), proxy=None) as socket:
        assert socket.recv(10) == "free"


def test_a_stream_is_not_held_back(tiny: Site, wallet: Wallet) -> None:
    """The first chunk arrives before the application has produced the second."""
    with Reader(tiny.url) as reader, Reader(tiny.url) as stranger:
        bought(reader, wallet, "/live")
        with reader.http.stream("GET", "/live/stream") as answer:
            assert answer.status_code == 200
            chunks = answer.iter_raw()
            assert next(chunks) == b"first"
            assert stranger.http.post("/go-on").status_code == 200
            assert b"".join(chunks) == b"second"


def test_the_cookies_of_the_application_survive(tiny: Site, wallet: Wallet) -> None:
    """Several Set-Cookie headers stay as they are, in order; the answer becomes private and varies by cookie."""
    with Reader(tiny.url) as reader:
        bought(reader, wallet, "/live")
        answer = reader.visit("/live")
    assert answer.headers.get_list("set-cookie") == [
        "first=1; Path=/; SameSite=lax",
        "second=2; Path=/; SameSite=lax",
        "first=again; Path=/live",
    ]
    assert answer.headers.get_list("cache-control") == ["private, max-age=60"]
    assert answer.headers.get_list("vary") == ["Accept-Language, Cookie"]


def test_the_lifespan_reaches_the_application(start_site: StartSite, sandbox: Sandbox, tmp_path: Path) -> None:
    """The application hears of its start and of its end."""
    notes = tmp_path / "notes"
    site = start_site(sandbox.url, APP, TINY_NOTES=str(notes))
    with Reader(site.url) as reader:
        assert reader.visit("/live").status_code == 302
    assert notes.read_text() == "startup\n"
    site.process.end()
    eventually(lambda: notes.read_text() == "startup\nshutdown\n", "the application ends")
    assert "Traceback" not in site.process.output
    assert "unclosed" not in site.process.output
