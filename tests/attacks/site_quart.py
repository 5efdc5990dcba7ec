"""A Quart site: slashes at the end are optional, any method is answered, and there are websockets."""

from __future__ import annotations

from quart import Quart, Response, websocket

from .sites import HEADERS, METHODS
from .tolerant import PUBLIC, SECRET

site = Quart(__name__)
site.url_map.strict_slashes = False


async def secret(**_: str) -> Response:
    return Response(SECRET, headers=HEADERS)


async def public(**_: str) -> Response:
    return Response(PUBLIC)


async def secret_socket(**_: str) -> None:
    await websocket.send(SECRET)


async def public_socket() -> None:
    await websocket.send(PUBLIC)


for rule in ("/article", "/api/v1/paid", "/premium", "/premium/<path:rest>"):
    site.add_url_rule(rule, "secret", secret, methods=METHODS, provide_automatic_options=False)
    site.add_websocket(rule, "secret_socket", secret_socket)
for rule in ("/", "/<path:rest>"):
    site.add_url_rule(rule, "public", public)
site.add_websocket("/public/ws", "public_socket", public_socket)
