"""A Starlette site with routes, mounts, websockets and files, and a FastAPI site."""

from __future__ import annotations

import os
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from taler_paywall.asgi import ASGIApp

from .sites import HEADERS, METHODS
from .tolerant import PUBLIC, SECRET

SECRET_PAGE = Response(SECRET, headers=HEADERS)
PUBLIC_PAGE = Response(PUBLIC)
SECRET_FILES = ("article", "premium/index.html", "premium/secret.html", "premium/pic.png", "premium/a/b/c", "premium/b")
PUBLIC_FILES = ("index.html", "public/x", "public/caf\u00e9", "public/a b", "static/premium/x", "favicon.ico")


async def secret_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_bytes(SECRET)
    await socket.close()


async def public_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_bytes(PUBLIC)
    await socket.close()


def write_files(folder: Path) -> None:
    """Write what is sold and what is not, as old as the secret says it is."""
    age = parsedate_to_datetime(HEADERS["Last-Modified"]).timestamp()
    for names, content in ((SECRET_FILES, SECRET), (PUBLIC_FILES, PUBLIC)):
        for name in names:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            if content is SECRET:
                os.utime(file, (age, age))


def starlette_site(guard: Callable[[ASGIApp], ASGIApp]) -> Starlette:
    """Make a site.

    Args:
        guard: what a mounted part of it stands behind, besides the site itself.
    """
    folder = Path(os.environ["HOME"], "files")
    write_files(folder)
    return Starlette(
        routes=[
            Route("/article", SECRET_PAGE),
            Route("/api/v1/paid", SECRET_PAGE),
            *(WebSocketRoute(path, secret_socket) for path in ("/article", "//article")),
            WebSocketRoute("/public/ws", public_socket),
            Mount("/shop", guard(Starlette(routes=[Route("/article", SECRET_PAGE)]))),
            Mount("/premium", StaticFiles(directory=folder / "premium", html=True)),
            Mount("/", StaticFiles(directory=folder, html=True)),
        ]
    )


async def secret(rest: str = "") -> Response:
    return Response(SECRET, headers=HEADERS)


async def public(rest: str = "") -> Response:
    return Response(PUBLIC)


def fastapi_site() -> FastAPI:
    """Make a site."""
    site = FastAPI()
    for path in ("/article", "/api/v1/paid", "/premium", "/premium/{rest:path}"):
        site.add_api_route(path, secret, methods=list(METHODS))
    site.add_api_websocket_route("/article", secret_socket)
    site.add_api_websocket_route("/public/ws", public_socket)
    for path in ("/", "/{rest:path}"):
        site.add_api_route(path, public)
    return site
