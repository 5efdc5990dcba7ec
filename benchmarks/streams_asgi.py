"""The application of the benchmark of streams in ASGI; `streams_wsgi` is the same in WSGI."""

from __future__ import annotations

import asyncio
import os

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from benchmarks.streamed import CHUNK, CHUNKS, EVENT, FILE, RECHECK_AFTER, RULES, SIZE
from taler_paywall.asgi import PaywallMiddleware


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what the last part of the path names."""
    name = scope["path"].rpartition("/")[2]
    if name == "file":
        await FileResponse(os.environ[FILE], media_type="application/octet-stream")(scope, receive, send)
    elif name == "download":
        await _start(send, b"application/octet-stream", (b"content-length", b"%d" % SIZE))
        for _ in range(CHUNKS):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        await send({"type": "http.response.body"})
    elif name == "events":
        await _start(send, b"text/event-stream")
        await _events(receive, send)
    else:
        await _start(send, b"text/plain")
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})


async def _start(send: Send, media_type: bytes, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media_type), *headers]})


async def _events(receive: Receive, send: Send) -> None:
    """Send events until the client has gone."""

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.create_task(leave())
    while not gone.done():
        for _ in range(100):
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
        # Without a pause nobody hears that the client has gone.
        await asyncio.sleep(0)


def paywalled() -> PaywallMiddleware:
    """Return the application behind the paywall."""
    return PaywallMiddleware(bare, RULES, recheck_after=RECHECK_AFTER)
