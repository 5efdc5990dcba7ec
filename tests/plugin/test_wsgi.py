"""The fixtures in front of WSGI sites, and whatever else servers can serve."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import fastapi
import flask
import litestar
import pytest
import quart

from taler_paywall import Rule, payment_from
from taler_paywall.asgi import ASGIApp, Receive, Scope, Send
from taler_paywall.asgi import PaywallMiddleware as ASGIPaywallMiddleware
from taler_paywall.settings import Options
from taler_paywall.testing.client import OpenClient, SiteError
from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet
from taler_paywall.wsgi import PaywallMiddleware

from .site import without_lifespan

RULES = [Rule("/articles/{slug}", price="KUDOS:0.5"), Rule("POST /echo", price="KUDOS:0.1", page="/")]


def flask_site(**options: Any) -> flask.Flask:
    """Make a site whose paywall is where Flask's manual puts middleware."""
    site = flask.Flask(__name__)

    @site.get("/")
    def front() -> str:
        return "front"

    @site.get("/articles/<slug>")
    def article(slug: str) -> str:
        payment = payment_from(flask.request.environ)
        return f"All about {slug} for {payment and payment.amount}"

    @site.post("/echo")
    def echo() -> flask.Response:
        return flask.jsonify(flask.request.get_json())

    site.wsgi_app = PaywallMiddleware(site.wsgi_app, RULES, **options)  # type: ignore[method-assign] # as Flask has it
    return site


def plain(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Tell the path, byte by byte as it came."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [environ["PATH_INFO"].encode("latin-1")]


class PerRequest:
    """An application that is a class, whose instances are answers."""

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self.path = environ["PATH_INFO"]
        start_response("200 OK", [])

    def __iter__(self) -> Iterator[bytes]:
        yield self.path.encode("latin-1")


class Handing:
    """An application of ASGI that is not `async` itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.app(scope, receive, send)


def test_flask(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A browser buys and reads a page of Flask, with the cookies and the payment that go with it."""
    reader = paywalled_client(flask_site(**taler_sandbox.options))
    assert reader.get("/").text == "front"
    assert reader.get("/articles/bees").headers["location"].startswith(taler_sandbox.url)
    assert reader.buy("/articles/bees?page=2").text == "All about bees for KUDOS:0.5"
    assert reader.get("/articles/bees").status_code == 200
    taler_sandbox.refund(taler_sandbox.orders()[0]["order_id"])


def test_flask_for_programs(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A program is asked for money, pays, and sends its body again."""
    program = paywalled_client(flask_site(**taler_sandbox.options), browser=False)
    assert program.post("/echo", json={"text": "grüße"}).status_code == 402
    assert program.buy("/echo", method="POST", json={"text": "grüße"}).json() == {"text": "grüße"}


def test_refunds(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """A browser presses "Buy again" of a WSGI site, too."""
    reader = paywalled_client(flask_site(**taler_sandbox.options, recheck_after=0))
    for _ in range(2):
        assert reader.buy("/articles/bees").status_code == 200
        taler_sandbox.refund(taler_sandbox.orders()[-1]["order_id"])
        assert reader.get("/articles/bees").status_code == 402
    with taler_sandbox.fault("refuse"):
        assert reader.get("/articles/bees").status_code == 503


@pytest.mark.parametrize("app", [plain, partial(plain), PerRequest], ids=["function", "partial", "class"])
def test_wsgi_applications(app: WSGIApplication, taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """Whatever is called as PEP 3333 says is served, with paths of any script, with a paywall and without."""
    assert paywalled_client(app).get("/articles/gr%C3%BC%C3%9Fe").text == "/articles/grüße"
    reader = paywalled_client(PaywallMiddleware(app, RULES, **taler_sandbox.options))
    for slug in ("bees", "grüße", "蜜蜂", "50%25"):
        assert reader.buy(f"/articles/{slug}").text == f"/articles/{slug.replace('%25', '%')}"
    assert len({order["summary"] for order in taler_sandbox.orders()}) == 4


def asgi_applications(options: Options) -> dict[str, Callable[..., Any]]:
    """Return what servers of ASGI take, and what frameworks make."""
    behind = ASGIPaywallMiddleware(without_lifespan, RULES, **options)
    return {
        "partial": partial(behind),
        "not async": Handing(behind),
        "any arguments": _any_arguments,
        "fastapi": fastapi.FastAPI(),
        "quart": quart.Quart(__name__),
        # Its own logging would stay for the tests that follow.
        "litestar": litestar.Litestar(logging_config=None),
    }


async def _any_arguments(*arguments: Any) -> None:
    await without_lifespan(*arguments)


@pytest.mark.parametrize("name", ["partial", "not async", "any arguments", "fastapi", "quart", "litestar"])
def test_asgi_applications(name: str, taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """What is called as ASGI says is not mistaken for WSGI, however it is written."""
    app = asgi_applications(taler_sandbox.options)[name]
    answer = paywalled_client(app).get("/free")
    # The frameworks know no such page.
    assert (answer.status_code, answer.text == "content") in {(200, True), (404, False)}


def test_what_is_no_application(paywalled_client: OpenClient) -> None:
    """What makes an application has to be called by the test; it is told so."""
    with pytest.raises(SiteError, match="no application of ASGI or WSGI; what makes one has to be called first"):
        paywalled_client(lambda: plain)  # type: ignore[arg-type] # the very mistake


def test_exceptions_reach_the_test(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """What the site raises is raised where the test asks, at once or in the middle of the answer."""

    def at_once(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ZeroDivisionError

    def later(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"piece"
        raise ZeroDivisionError

    for app in (at_once, later):
        reader = paywalled_client(PaywallMiddleware(app, RULES, **taler_sandbox.options))
        with pytest.raises(ZeroDivisionError):
            reader.get("/")
        with pytest.raises(ZeroDivisionError):
            reader.buy("/articles/bees")


def test_error_pages(paywalled_client: OpenClient) -> None:
    """An answer that the site takes back in favour of an error page is not seen; one that has begun is broken off."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/late":
            yield b"piece"
        try:
            divmod(1, 0)
        except ZeroDivisionError:
            start_response("500 Internal Server Error", [], sys.exc_info())
        yield b"error page"

    answer = paywalled_client(app).get("/early")
    assert (answer.status_code, answer.text) == (500, "error page")
    with pytest.raises(ZeroDivisionError):
        paywalled_client(app).get("/late")


def test_mistakes_of_applications(paywalled_client: OpenClient) -> None:
    """An application that begins no answer, or two, fails the test."""

    def none(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return []

    def two(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(AssertionError, match="has not called start_response"):
        paywalled_client(none).get("/")
    with pytest.raises(AssertionError, match="has called start_response twice"):
        paywalled_client(two).get("/")


def test_answers_arrive_piece_by_piece(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """An endless paid answer can be read as far as a test wants, and then the application is told to stop."""
    events: list[str] = []

    def endless(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            write = start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
            write(b"written ")
            yield b""
            number = 0
            while True:
                events.append(f"piece {number}")
                yield b"%d" % number
                number += 1
        finally:
            events.append("closed")

    reader = paywalled_client(PaywallMiddleware(endless, RULES, **taler_sandbox.options))
    reader.wallet.pay(reader.get("/articles/bees").headers["location"])
    with reader.stream("GET", "/articles/bees") as answer:
        pieces = answer.iter_raw()
        assert [next(pieces) for _ in range(3)] == [b"written ", b"0", b"1"]
        assert [cookie.partition(";")[0] for cookie in answer.headers.get_list("set-cookie")][:2] == ["a=1", "b=2"]
    assert events == ["piece 0", "piece 1", "closed"]


def test_nothing_stays_open(taler_sandbox: TalerSandbox, taler_wallet: TalerWallet) -> None:
    """A test leaves no connection of its WSGI site behind."""
    open_before = len(list(Path("/dev/fd").iterdir()))
    for number in range(5):
        app = PaywallMiddleware(plain, RULES, **taler_sandbox.options)
        with OpenClient(taler_sandbox.url, taler_wallet) as open_client:
            assert open_client(app).get(f"/articles/{number}").status_code == 302
    assert len(list(Path("/dev/fd").iterdir())) <= open_before
