"""A small paywalled site as servers import it, configured by the environment."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from taler_paywall.wsgi import PaywallMiddleware


def origin(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"origin at {environ['SCRIPT_NAME']} sees {environ['PATH_INFO']}".encode()]


app = PaywallMiddleware(origin, {"/paid/{name}/*": "KUDOS:0.5"})
