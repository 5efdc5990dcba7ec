"""The origin application in plain WSGI; `origin_asgi` is the same in plain ASGI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from taler_paywall.config import Options
from taler_paywall.wsgi import Environ, PaywallMiddleware, StartResponse

from .rules import RULES


def origin(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"origin " + environ["PATH_INFO"].encode("latin-1")]


def create(**options: Unpack[Options]) -> PaywallMiddleware:
    return PaywallMiddleware(origin, RULES, **options)
