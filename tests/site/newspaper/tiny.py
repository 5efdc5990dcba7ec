"""A tiny application for what the newspaper does not have: websockets, lifespan, streams, many cookies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from taler_paywall.asgi import PaywallMiddleware

second_chunk = asyncio.Event()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Write down when the application starts and ends."""
    note("startup")
    yield
    note("shutdown")


def note(event: str) -> None:
    with Path(os.environ["TINY_NOTES"]).open("a") as notes:
        notes.write(f"{event}\n")


async def front(_: Request) -> Response:
    return PlainTextResponse("front")


async def go_on(_: Request) -> Response:
    """Let the stream go on."""
    second_chunk.set()
    return PlainTextResponse("going on")


async def live(_: Request) -> Response:
    """Set cookies of the application's own."""
    response = PlainTextResponse("live", headers={"Cache-Control": "public, max-age=60", "Vary": "Accept-Language"})
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    response.raw_headers.append((b"set-cookie", b"first=again; Path=/live"))
    return response


async def stream(_: Request) -> Response:
    """Send one chunk at once and the other when told to."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await second_chunk.wait()
        yield b"second"

    return StreamingResponse(chunks(), media_type="text/plain")


async def echo(websocket: WebSocket) -> None:
    """Say everything again, and whether it was paid for."""
    await websocket.accept(headers=[(b"x-own", b"kept")])
    await websocket.send_text("paid" if "taler_paywall" in websocket.scope else "free")
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = PaywallMiddleware(
    Starlette(
        routes=[
            Route("/", front),
            Route("/go-on", go_on, methods=["POST"]),
            Route("/live", live),
            Route("/live/stream", stream),
            WebSocketRoute("/live/socket", echo),
            WebSocketRoute("/open/socket", echo),
        ],
        lifespan=lifespan,
    ),
    {"/live/*": "KUDOS:1"},
)
