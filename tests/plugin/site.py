"""A small site to test, whose paywall asks the backend at every request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware, Receive, Scope, Send

RULES = [
    Rule("/articles/{slug}", price="KUDOS:0.5"),
    Rule("POST /echo", price="KUDOS:0.1", page="/"),
]


async def front(request: Request) -> Response:
    """Answer with what the lifespan has left."""
    return PlainTextResponse(f"front, {request.state.greeting}")


async def article(request: Request) -> Response:
    return PlainTextResponse(f"All about {request.path_params['slug']}")


async def echo(request: Request) -> Response:
    return JSONResponse(await request.json())


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    """Count the starts and ends of the application."""
    app.state.events = ["started"]
    yield {"greeting": "hello"}
    app.state.events.append("ended")


def plain_site() -> Starlette:
    """Make the site without its paywall."""
    routes = [Route("/", front), Route("/articles/{slug}", article), Route("/echo", echo, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


def paywalled(**options: Any) -> PaywallMiddleware:
    """Make the site, by default with a paywall that believes no payment for longer than a request."""
    return PaywallMiddleware(plain_site(), RULES, **{"recheck_after": 0, "serve_known_for": 0, **options})


async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer like frameworks that know HTTP only."""
    if scope["type"] != "http":
        raise ValueError(f"{scope['type']} is not known here")
    await PlainTextResponse("content")(scope, receive, send)


async def broken_start(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail to start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
