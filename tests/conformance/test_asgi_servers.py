"""What ASGI has beyond requests and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from reader import USER_AGENT, Reader
from running import SECRET_KEY, TOKEN, Sandbox, eventually
from servers import BY_NAME, serve
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from taler_paywall.testing.wallet import TalerWallet

from .asgi_http2 import get
from .front import ASGI, ASGI_HERE, Front

SERVERS: Final = [name for name in ASGI if name != ASGI_HERE]
APP: Final = "tests.conformance.asgi_origin:app"

under_every_server = pytest.mark.parametrize("front", SERVERS, indirect=True)


@dataclass(frozen=True)
class Paid(Front):
    """A site where one browser has paid.

    Args:
        cookies: of that browser.
        notes: the file into which the application writes what happens to it.
    """

    cookies: dict[str, str]
    notes: Path

    def paid(self) -> Reader:
        """Open the browser that has paid; the caller closes it."""
        reader = self.reader()
        reader.hold(self.cookies)
        return reader

    def socket(self, path: str, cookies: dict[str, str], *protocols: str) -> AbstractContextManager[ClientConnection]:
        """Open a websocket."""
        return connect(
            self.url.replace("http:", "ws:") + path,
            additional_headers={"Cookie": cookie_header(cookies)} if cookies else None,
            user_agent_header=USER_AGENT,
            subprotocols=[Subprotocol(name) for name in protocols] or None,
            proxy=None,
        )

    def saw(self, event: str) -> bool:
        """Tell whether something has happened to the application."""
        return event in self.notes.read_text().splitlines()


def cookie_header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def open_site(name: str, home: Path, sandbox: Sandbox, stack: ExitStack, **settings: str) -> Paid:
    """Start the application under a server, and pay there."""
    notes = home / "notes"
    notes.touch()
    configured = {
        "TALER_PAYWALL_BACKEND": sandbox.url,
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
        "ASGI_NOTES": str(notes),
    }
    process, url = serve(BY_NAME[name], home, APP, **configured | settings)
    stack.callback(process.end)
    with Reader(url) as reader, TalerWallet(home / "wallet.sqlite") as wallet:
        asked = reader.visit("/paid/page")
        assert asked.status_code == 302
        wallet.pay(asked.headers["location"])
        assert reader.visit("/paid/page").text == "origin /paid/page"
        return Paid(name, "asgi", url, process, None, reader.cookies(), notes)


@pytest.fixture(scope="module")
def sites(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Paid]]:
    """Start each site once, when it is first asked for."""
    opened: dict[str, Paid] = {}
    with ExitStack() as stack:

        def site(name: str) -> Paid:
            if name not in opened:
                opened[name] = open_site(name, tmp_path_factory.mktemp("asgi"), sandbox, stack)
            return opened[name]

        yield site


@pytest.fixture
def front(request: pytest.FixtureRequest, sites: Callable[[str], Paid]) -> Paid:
    """Return the site under one server, instead of the one that other modules share."""
    return sites(request.param)


def refusal(front: Paid, path: str, cookies: dict[str, str]) -> Response:
    """Return the answer to a websocket that is not accepted."""
    with pytest.raises(InvalidStatus) as refused, front.socket(path, cookies):
        pass
    return refused.value.response


@under_every_server
def test_a_websocket_that_is_not_paid(front: Paid, sandbox: Sandbox) -> None:
    """A websocket that is not paid is answered 402: no order, no cookie, nothing of the application runs.

    All these servers have the extension for it.
    """
    before = len(sandbox.orders())
    answer = refusal(front, "/paid/not-paid", {})
    assert answer.status_code == 402
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert b"KUDOS:0.5" in (answer.body or b"")
    assert len(sandbox.orders()) == before
    assert not front.saw("socket /paid/not-paid")


@under_every_server
def test_a_websocket_that_is_not_paid_without_the_extension(front: Paid, sandbox: Sandbox) -> None:
    """Where the server does not offer that, the websocket is closed before it is accepted, which readers see as 403."""
    before = len(sandbox.orders())
    answer = refusal(front, "/paid/closed?old", {})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert len(sandbox.orders()) == before
    assert not front.saw("socket /paid/closed")


@under_every_server
def test_a_websocket_that_is_paid(front: Paid) -> None:
    """A paid websocket works: the subprotocol, the payment, text, bytes, and the end."""
    with front.socket("/paid/socket", front.cookies, "other", "chat") as socket:
        assert socket.subprotocol == "chat"
        assert socket.recv(10) == "paid KUDOS:0.5"
        for said in ("hello", b"\x00\xff", "x" * 100_000):
            socket.send(said)
            assert socket.recv(10) == said
    eventually(lambda: front.saw("socket closed"), "the application hears of the end")


@pytest.mark.parametrize("front", [name for name in SERVERS if name != "granian"], indirect=True)
def test_headers_of_an_accepted_websocket(front: Paid) -> None:
    """The headers with which the application accepts a paid websocket arrive, in order."""
    with front.socket("/paid/socket", front.cookies) as socket:
        assert socket.response is not None
        assert socket.response.headers.get_all("x-own") == ["1", "2"]
        assert socket.response.headers["cache-control"] == "private"


@under_every_server
def test_a_websocket_that_the_application_refuses(front: Paid) -> None:
    """The application may refuse a paid websocket with an answer of its own."""
    answer = refusal(front, "/paid/denied", front.cookies)
    assert (answer.status_code, answer.headers["x-own"]) == (403, "denied")
    assert bytes(answer.body or b"") == b"not today"


@under_every_server
def test_a_free_websocket(front: Paid) -> None:
    """A websocket that is not sold is nobody's business."""
    with front.socket("/free/socket", {}) as socket:
        assert socket.recv(10) == "free"


@under_every_server
def test_a_reader_who_goes_away(front: Paid) -> None:
    """The application receives http.disconnect when its reader goes away in the middle of a paid answer."""
    with front.paid() as reader, reader.http.stream("GET", "/paid/endless") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"begun"
        assert not front.saw("disconnect")
    eventually(lambda: front.saw("disconnect"), "the application hears of it")


@pytest.mark.parametrize("front", ["hypercorn"], indirect=True)
def test_early_hints_and_trailers(front: Paid) -> None:
    """Early hints come before a paid answer and trailers after it."""
    headers = [("te", "trailers"), ("cookie", cookie_header(front.cookies))]
    answer = get(f"{front.url}/paid/trailers", headers)
    assert [hint["link"] for hint in answer.informational] == ["</style.css>; rel=preload"]
    assert (answer.headers[":status"], answer.headers["cache-control"]) == ("200", "private")
    assert (answer.body, answer.trailers) == (b"body", {"x-sum": "42"})

    refused = get(f"{front.url}/paid/trailers", [("te", "trailers")])
    assert (refused.headers[":status"], refused.informational, refused.trailers) == ("402", [], {})


@under_every_server
def test_the_lifespan(front: Paid, sandbox: Sandbox, tmp_path: Path) -> None:
    """The application hears of its start and of its end, and the log tells of no trouble."""
    with ExitStack() as stack:
        site = open_site(front.name, tmp_path, sandbox, stack, PYTHONWARNINGS="always::ResourceWarning")
        assert site.notes.read_text() == "startup\n"
        assert site.process is not None
        site.process.end()
    assert site.notes.read_text() == "startup\nshutdown\n"
    assert "Traceback" not in site.process.output
    assert "unclosed" not in site.process.output
