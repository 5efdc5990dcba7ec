"""The site of the fault suite, of ASGI and of WSGI; configured by the environment.

`MARKERS` is the seed of the markers, `OPTIONS` are keywords of the middleware as JSON, `LOG` is the file that the log
of the site goes to; for every line that cannot be written there the file `UNWRITTEN` grows by a byte. `CLOCK` is a link
to the number of seconds that the machine's clock is ahead.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from logging.handlers import WatchedFileHandler
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from taler_paywall.asgi import PaywallMiddleware as AsgiPaywall
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

from . import goods

_true_time = time.time
# A link can be read where no file can be opened any more. What counts seconds goes on, as when a real clock is set.
time.time = lambda: _true_time() + int(str(Path(os.environ["CLOCK"]).readlink()))

SEED = os.environ["MARKERS"]
OPTIONS = json.loads(os.environ["OPTIONS"])
#: Between the pieces of a stream, in seconds.
PAUSE = 0.05


class Log(WatchedFileHandler):
    """The operator's log, on a disk that may be full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        with Path(os.environ["UNWRITTEN"]).open("ab") as unwritten:
            unwritten.write(b".")


logging.getLogger().addHandler(Log(os.environ["LOG"]))
logging.getLogger("taler_paywall").setLevel(logging.INFO)


async def page(request: Request) -> Response:
    return HTMLResponse(goods.text(SEED, request.url.path), headers={goods.WORKER: str(os.getpid())})


async def stream(request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for piece in goods.pieces(SEED, request.url.path):
            yield piece
            await asyncio.sleep(PAUSE)

    return StreamingResponse(body(), media_type="text/html", headers={goods.WORKER: str(os.getpid())})


def origin(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the routes of the other site do."""
    path = environ["PATH_INFO"]
    found = path.startswith(("/free/", "/articles/", "/streams/")) or path == "/"
    headers = [("Content-Type", "text/html"), (goods.WORKER, str(os.getpid()))]
    start_response("200 OK" if found else "404 Not Found", headers)
    if path.startswith("/streams/"):
        return slowly(path)
    return [goods.text(SEED, path) if found else b"nothing here"]


def slowly(path: str) -> Iterator[bytes]:
    for piece in goods.pieces(SEED, path):
        yield piece
        time.sleep(PAUSE)


routes = [
    Route("/", page),
    Route("/free/{slug}", page),
    Route("/articles/{slug}", page),
    Route("/streams/{slug}", stream),
]
asgi = AsgiPaywall(Starlette(routes=routes), goods.PRICES, **OPTIONS)
wsgi = WsgiPaywall(origin, goods.PRICES, **OPTIONS)
