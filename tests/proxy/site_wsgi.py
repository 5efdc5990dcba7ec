"""The site behind nginx in plain WSGI; `site_asgi` is the same in ASGI."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from threading import Event
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from taler_paywall.wsgi import PaywallMiddleware

from .rules import FRONT_PAGE, RECHECK_AFTER, RULES, article

heard = Event()


def stream() -> Iterator[bytes]:
    """Send a second event once the first was heard."""
    heard.clear()
    yield b"data: first\n\n"
    heard.wait(30)
    yield b"data: second\n\n"


def length(environ: WSGIEnvironment) -> int:
    """Read the body to its end."""
    total = 0
    while chunk := environ["wsgi.input"].read(1 << 16):
        total += len(chunk)
    return total


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    # As the routers of frameworks do, for servers that cut their prefix off within a segment.
    kind, *names = environ["PATH_INFO"].removeprefix("/").split("/")
    name = "/".join(names)
    headers = dict(parse_qsl(environ["QUERY_STRING"]))
    body: Iterable[bytes] = [b""]
    status, media_type = "200 OK", "text/plain"
    match kind:
        case "":
            body, media_type = [FRONT_PAGE.encode()], "text/html"
        case "articles":
            paid = "taler_paywall.payment" in environ
            body, media_type = [article(name, paid=paid).encode()], "text/html"
        case "files":
            headers["X-Accel-Redirect"] = f"/paid-files/{name}"
        case "events":
            body, media_type = stream(), "text/event-stream"
        case "hear":
            heard.set()
            body = [b"heard"]
        case "uploads":
            body = [b"%d" % length(environ)]
        case "letters":
            body, headers["X-Long"] = [b"a letter"], "x" * 3500
        case "seen":
            pairs = [(k[5:].replace("_", "-").lower(), v) for k, v in environ.items() if k.startswith("HTTP_")]
            body = [json.dumps({"path": environ["PATH_INFO"], "headers": pairs}).encode()]
        case _:
            status = "404 Not Found"
    start_response(status, [("Content-Type", media_type), *headers.items()])
    return body


app = PaywallMiddleware(site, RULES, recheck_after=RECHECK_AFTER)
