"""Sites for `check` to look at: one that is right, and the mistakes that can be made."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.wsgi import PaywallMiddleware as WSGIPaywallMiddleware

from .shop import Desk, broken_price, everybody

RULES = [
    Rule("/articles/sample", None),
    Rule("/articles/{slug}/*", "KUDOS:0.5"),
    Rule("POST /translate", "KUDOS:0.1", page="/prices"),
]


async def article(_: Request) -> PlainTextResponse:
    return PlainTextResponse("All about bees")


ROUTES = [
    Route("/articles/{slug}", article),
    Route("/articles/{slug}/{picture}", article),
    Route("/translate", article, methods=["POST"]),
]


def right() -> PaywallMiddleware:
    return PaywallMiddleware(Starlette(routes=ROUTES), RULES)


def talkative() -> PaywallMiddleware:
    """Prints while it is loaded, and while it starts."""
    print("hello")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        print("good day")
        yield

    return PaywallMiddleware(Starlette(routes=ROUTES, lifespan=lifespan), RULES)


def ended() -> PaywallMiddleware:
    """Ends the process in place of saying what is wrong."""
    sys.exit()


async def awaited() -> PaywallMiddleware:
    return right()


def strict() -> Starlette:
    """The mounted site is strict, and one of its rules has no route."""
    inside = PaywallMiddleware(Starlette(routes=ROUTES), {"/article/{slug}": "KUDOS:0.5"}, strict=True)
    return Starlette(routes=[Mount("/news", app=inside)])


def added() -> Starlette:
    """The paywall is among the middleware of the application itself."""
    return Starlette(routes=ROUTES, middleware=[Middleware(PaywallMiddleware, rules=RULES)])


def mounted() -> Starlette:
    """The paywalled site is a part of another; public_url has to say so."""
    return Starlette(routes=[Mount("/news", app=right())])


def blocking() -> Flask:
    app = Flask("site")
    app.add_url_rule("/articles/<slug>", view_func=lambda slug: slug, endpoint="article")
    app.add_url_rule("/articles/<slug>/<picture>", view_func=lambda **_: "", endpoint="picture")
    app.add_url_rule("/translate", view_func=lambda: "", methods=["POST"], endpoint="translate")
    app.wsgi_app = WSGIPaywallMiddleware(app.wsgi_app, RULES)  # type: ignore[method-assign]
    return app


def wrapped() -> Any:
    """The paywall is inside a plain function."""
    inside = spare = right()

    async def outermost(scope: Any, receive: Any, send: Any) -> None:
        await (inside or spare)(scope, receive, send)  # noqa: F821 - as it is meant

    # What it refers to need not be there any more.
    del spare
    return outermost


def beside() -> Starlette:
    """One of the routes is outside."""
    return Starlette(routes=[Route("/articles/{slug}", article), Mount("/", app=right())])


def endless() -> Starlette:
    """What answers outside never ends."""

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"bees"
            await anyio.sleep(0.05)

    async def stream(_: Request) -> StreamingResponse:
        return StreamingResponse(forever())

    return Starlette(routes=[Route("/articles/{slug}", stream), Mount("/", app=right())])


def exempting() -> PaywallMiddleware:
    return PaywallMiddleware(Starlette(routes=ROUTES), RULES, exempt=everybody)


def guarded() -> Any:
    """Something in front refuses whatever it does not know: the articles, and the paywall's own addresses."""
    inside = right()

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/translate"):
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"who are you?"})
        else:
            await inside(scope, receive, send)

    return guard


def catching() -> Any:
    """Something in front answers for the paywall's own addresses with pages, and errors, of its own."""
    inside = right()

    async def catch(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/.well-known/"):
            status = {"poll-payment": 400, "webhook": 403}.get(scope["path"].rpartition("/")[2], 200)
            headers = [(b"content-type", b"text/html")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"<h1>welcome</h1>"})
        else:
            await inside(scope, receive, send)

    return catch


def priced() -> PaywallMiddleware:
    return PaywallMiddleware(Starlette(routes=ROUTES), [Rule("/articles/{slug}/*", Desk.price_of)])


def mispriced() -> PaywallMiddleware:
    return PaywallMiddleware(Starlette(routes=ROUTES), [Rule("/articles/{slug}/*", broken_price)])


def misspelt() -> PaywallMiddleware:
    return PaywallMiddleware(Starlette(routes=ROUTES), {"/article/{slug}": "KUDOS:0.5"})


def misconfigured() -> Starlette:
    rules = [Rule("articles", "KUDOS:0.5"), Rule("/books", "half a KUDOS")]
    return Starlette(routes=ROUTES, middleware=[Middleware(PaywallMiddleware, rules=rules)])


def twice() -> PaywallMiddleware:
    return PaywallMiddleware(PaywallMiddleware(Starlette(routes=ROUTES), {"/books": "KUDOS:1"}), RULES)


def bare() -> Starlette:
    return Starlette(routes=ROUTES)


def broken() -> PaywallMiddleware:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    return PaywallMiddleware(Starlette(routes=ROUTES, lifespan=lifespan), RULES)
