"""The example in Flask behind something that adds CORS headers to those that are there already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from examples.flask_site import app as site


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    def doubling(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if origin := environ.get("HTTP_ORIGIN"):
            headers = [*headers, ("Access-Control-Allow-Origin", origin)]
        return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

    return site(environ, doubling)
