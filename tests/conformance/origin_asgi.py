"""The origin application in plain ASGI; `origin_wsgi` is the same in plain WSGI."""

from __future__ import annotations

from typing import Unpack

from taler_paywall.asgi import PaywallMiddleware, Receive, Scope, Send
from taler_paywall.config import Options

from .rules import RULES


async def origin(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"origin " + scope["path"].encode()})


def create(**options: Unpack[Options]) -> PaywallMiddleware:
    return PaywallMiddleware(origin, RULES, **options)
