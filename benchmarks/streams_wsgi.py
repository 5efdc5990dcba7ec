"""The application of the benchmark of streams in WSGI; `streams_asgi` is the same in ASGI."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from benchmarks.streamed import CHUNK, CHUNKS, EVENT, FILE, RECHECK_AFTER, RULES, SIZE
from taler_paywall.wsgi import PaywallMiddleware


def bare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer what the last part of the path names."""
    name = environ["PATH_INFO"].rpartition("/")[2]
    if name in {"file", "download"}:
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(SIZE))])
        if name == "download":
            return itertools.repeat(CHUNK, CHUNKS)
        file = Path(os.environ[FILE]).open("rb")  # noqa: SIM115 - the server closes it
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, len(CHUNK))
        return wrapped
    if name == "events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return itertools.repeat(EVENT)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]


def paywalled() -> PaywallMiddleware:
    """Return the application behind the paywall."""
    return PaywallMiddleware(bare, RULES, recheck_after=RECHECK_AFTER)
