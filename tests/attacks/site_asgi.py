"""All ASGI sites of one process; a request header chooses among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.core.asgi import get_asgi_application

from taler_paywall.asgi import ASGIApp, PaywallMiddleware, Receive, Scope, Send

from . import site_django
from .site_litestar import site as litestar_site
from .site_quart import site as quart_site
from .site_starlette import fastapi_site, starlette_site
from .sites import BARE, NAIVE, NO_SITE, PAYWALL, PRICES, SITE, is_sold
from .tolerant import TolerantAsgi


class Naive:
    """What this project is not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_sold(scope["path"]):
            return await refuse(scope, receive, send, 402)
        return await self.app(scope, receive, send)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, body: bytes = b"") -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close"})
    await send({"type": "http.response.start", "status": status, "headers": []})
    return await send({"type": "http.response.body", "body": body})


def without_websockets(app: ASGIApp) -> ASGIApp:
    """Return an application that projects without websockets put beside Django."""

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        return await (refuse(scope, receive, send, 404) if scope["type"] == "websocket" else app(scope, receive, send))

    return routed


def paywall(app: ASGIApp) -> PaywallMiddleware:
    guarded.append(PaywallMiddleware(app, PRICES))
    return guarded[-1]


guards: Final[dict[str, Callable[[ASGIApp], ASGIApp]]] = {BARE: lambda app: app, PAYWALL: paywall, NAIVE: Naive}
guarded: Final[list[PaywallMiddleware]] = []
sites: Final[dict[bytes, ASGIApp]] = {}
assert site_django.urlpatterns
for name, guard in guards.items():
    made: dict[str, ASGIApp] = {
        "starlette": starlette_site(guard),
        "fastapi": fastapi_site(),
        "django": without_websockets(get_asgi_application()),
        "quart": quart_site,
        "litestar": litestar_site,
        "tolerant": TolerantAsgi(),
    }
    sites.update({f"{framework} {name}".encode(): guard(site) for framework, site in made.items()})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a request to the site that it chooses, without the header that does."""
    if scope["type"] == "lifespan":
        return await live(receive, send)
    chosen = sites.get(dict(scope["headers"]).get(SITE, b""))
    if chosen is None:
        return await refuse(scope, receive, send, 404, NO_SITE)
    headers = [(name, value) for name, value in scope["headers"] if name != SITE]
    return await chosen({**scope, "headers": headers}, receive, send)


async def live(receive: Receive, send: Send) -> None:
    """Close in the end what the sites have opened."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    for site in guarded:
        await site.aclose()
    await send({"type": "lifespan.shutdown.complete"})
