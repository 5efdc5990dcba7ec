"""One site as two applications, ASGI and WSGI, that share what they know through Redis; configured by the environment.

Each page tells its path, which a search for it in other answers would find.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from starlette.requests import Request
from starlette.responses import PlainTextResponse

from taler_paywall import asgi, wsgi
from taler_paywall.settings import Options

from .shelf import be_patient

_RULES = {"/articles/{name}": "KUDOS:0.5"}
_OPTIONS: Options = {
    "cache": os.environ["CACHE"],
    "secret_key": os.environ["SECRETS"].split(),
    "serve_known_for": float(os.environ["KNOWN_FOR"]),
    "recheck_after": float(os.environ["RECHECK_AFTER"]),
}


def _text(path: str) -> str:
    return f"content of {path} by {os.getpid()}"


async def _asgi(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await PlainTextResponse(_text(Request(scope).url.path))(scope, receive, send)


def _wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [_text(environ["PATH_INFO"]).encode()]


if "PATIENT" in os.environ:
    be_patient()
asgi_app = asgi.PaywallMiddleware(_asgi, _RULES, **_OPTIONS)
wsgi_app = wsgi.PaywallMiddleware(_wsgi, _RULES, **_OPTIONS)
