"""The site behind nginx in ASGI; `site_wsgi` is the same in WSGI, without the websocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from taler_paywall.asgi import PaywallMiddleware

from .rules import BELOW_NEWS, FRONT_PAGE, RECHECK_AFTER, RULES, article

heard = asyncio.Event()


async def front(_: Request) -> Response:
    return HTMLResponse(FRONT_PAGE)


async def article_page(request: Request) -> Response:
    """Show an article, with the header that the query names."""
    headers = dict(request.query_params)
    return HTMLResponse(
        article(request.path_params["name"], paid=request.scope.get("taler_paywall") is not None), headers=headers
    )


async def file(request: Request) -> Response:
    return Response(headers={"X-Accel-Redirect": f"/paid-files/{request.path_params['name']}"})


async def events(request: Request) -> Response:
    """Send a second event once the first was heard."""
    heard.clear()

    async def stream() -> AsyncIterator[str]:
        yield "data: first\n\n"
        await heard.wait()
        yield "data: second\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers=dict(request.query_params))


async def hear(_: Request) -> Response:
    heard.set()
    return PlainTextResponse("heard")


async def room(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"you said {await websocket.receive_text()}")
    await websocket.close()


async def upload(request: Request) -> Response:
    return JSONResponse(sum([len(chunk) async for chunk in request.stream()]))


async def letter(_: Request) -> Response:
    return PlainTextResponse("a letter", headers={"X-Long": "x" * 3500})


async def seen(request: Request) -> Response:
    """Tell what reaches the site."""
    return JSONResponse({"path": request.scope["path"], "headers": request.headers.items()})


site = Starlette(
    routes=[
        Route("/", front),
        Route("/articles/{name}", article_page),
        Route("/files/{name}", file),
        Route("/events/{name}", events),
        Route("/hear", hear, methods=["POST"]),
        WebSocketRoute("/rooms/{name}", room),
        Route("/uploads/{name}", upload, methods=["GET", "POST"]),
        Route("/letters/{name}", letter),
        Route("/seen", seen),
    ]
)
app = PaywallMiddleware(site, RULES, recheck_after=RECHECK_AFTER)
#: For servers that pass the prefix on and do not know it.
mounted = Starlette(routes=[Mount("/news", app)])
#: A site that routes the prefix itself.
routing = PaywallMiddleware(
    Starlette(routes=[Mount("/news", site)]),
    BELOW_NEWS,
    prefix="/news/.well-known/taler-paywall",
    recheck_after=RECHECK_AFTER,
)
