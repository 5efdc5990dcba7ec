"""Two ASGI sites of the benchmark, without the paywall: the least that can be served, and a view of Starlette."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.types import Receive, Scope, Send

from benchmarks.article import ARTICLE

_PAGE: Final = (b"%d" % os.getpid()).ljust(1000)
_HEADERS: Final = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_PAGE))]
_TEMPLATES: Final = Jinja2Templates(Path(__file__).with_name("templates"))


async def small(scope: Scope, _: Receive, send: Send) -> None:
    """Answer every path with the process ID and spaces, 1,000 bytes in all."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _PAGE})


async def _article(request: Request) -> Response:
    return _TEMPLATES.TemplateResponse(request, "article.html", ARTICLE | {"slug": request.path_params["slug"]})


#: A view that renders a template.
templated: Final = Starlette(routes=[Route("/{section}/{slug}", _article)])
