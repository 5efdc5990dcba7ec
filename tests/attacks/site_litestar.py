"""A Litestar site, for which a slash at the end, and two in a row, are like one."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, MediaType, Response, WebSocket, get, route, websocket

from .sites import HEADERS
from .tolerant import PUBLIC, SECRET


@route(
    ["/article", "/api/v1/paid", "/premium", "/premium/{rest:path}"],
    http_method=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    status_code=200,
)
async def secret() -> Response[bytes]:
    return Response(SECRET, headers=HEADERS, media_type=MediaType.TEXT)


@get(["/", "/{rest:path}"])
async def public() -> Response[bytes]:
    return Response(PUBLIC, media_type=MediaType.TEXT)


@websocket(["/article", "/premium/{rest:path}"])
async def secret_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_bytes(SECRET)
    await socket.close()


@websocket("/public/ws")
async def public_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_bytes(PUBLIC)
    await socket.close()


site = Litestar([secret, public, secret_socket, public_socket], openapi_config=None)
