"""A site that writes down whatever anybody logs, and every traceback with its locals, as error trackers do."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterable
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

from taler_paywall import Resource, Rule
from taler_paywall.asgi import PaywallMiddleware, Receive, Scope, Send
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywallMiddleware

#: A backend that nobody plays.
DEAD: Final = "http://127.0.0.1:1/"
_asked_for: set[str] = set()


class _WithLocals(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        return "".join(traceback.TracebackException(*ei, capture_locals=True).format())


def _write_down_everything() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithLocals("%(levelname)s %(name)s %(message)s %(args)r"))
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.DEBUG)
    logging.captureWarnings(capture=True)
    for name in os.environ.get("HEARD", "").split():
        logging.getLogger(name).debug("is heard")


def no_price(resource: Resource) -> str:
    raise LookupError(f"no price of {resource.name}")


def short_lived_summary(resource: Resource) -> str:
    """Name a resource once; after that the site's table of names is gone."""
    if resource.name in _asked_for:
        raise LookupError(f"no name of {resource.name}")
    _asked_for.add(resource.name)
    return "an article"


def _sites() -> Iterable[tuple[str, list[Rule]]]:
    yield DEAD, [Rule("/dead/{name}", "KUDOS:0.5")]
    yield os.environ.get("TLS_BACKEND", DEAD), [Rule("/tls/{name}", "KUDOS:0.5")]
    yield (
        os.environ["TALER_PAYWALL_BACKEND"],
        [
            Rule("/paid/{name}", "KUDOS:0.5"),
            Rule("/dear/{name}", "KUDOS:20"),
            Rule("/named/{name}", "KUDOS:0.5", summary="All about {name}"),
            Rule("/priceless/{name}", no_price),
            Rule("/nameless/{name}", "KUDOS:0.5", summary=short_lived_summary),
        ],
    )


async def _content(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
    await send({"type": "http.response.body", "body": b"content"})


def _wsgi_content(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "7")])
    return [b"content"]


def _walled(app: Any, middleware: Any) -> Any:
    for backend, rules in _sites():
        app = middleware(
            app, rules, backend=backend, recheck_after=0, cors_origins=os.environ.get("CORS_ORIGINS", "").split()
        )
    return app


_write_down_everything()
asgi: Final = _walled(_content, PaywallMiddleware)
wsgi: Final = _walled(_wsgi_content, WsgiPaywallMiddleware)
