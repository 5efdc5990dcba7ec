"""A small site, of ASGI and of WSGI; configured by the environment.

`OPTIONS` are keywords of the middleware as JSON. `CLOCK` is how many seconds the machine's clock is ahead.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from taler_paywall.asgi import PaywallMiddleware as AsgiPaywall
from taler_paywall.settings import Options
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

from .pages import text_of

_true_time = time.time
_ahead = int(os.environ.get("CLOCK", "0"))
if _ahead:
    time.time = lambda: _true_time() + _ahead

logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
logging.getLogger("taler_paywall").setLevel(logging.INFO)

OPTIONS: Options = json.loads(os.environ.get("OPTIONS", "{}"))
RULES = {"/articles/{slug}": "KUDOS:0.5"}


async def _origin(scope: Any, _: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body = text_of(scope["path"])
    headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _wsgi_origin(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = text_of(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
    return [body]


asgi = AsgiPaywall(_origin, RULES, **OPTIONS)
wsgi = WsgiPaywall(_wsgi_origin, RULES, **OPTIONS)
