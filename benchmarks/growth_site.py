"""What the benchmark of growth serves: a small site, bare and behind the paywall, and a backend that counts."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any, Final

from benchmarks.shop import BODY, TOKEN
from taler_paywall.asgi import ASGIApp, PaywallMiddleware, Receive, Scope, Send
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, Backend
from taler_paywall.sandbox.server import create_app
from taler_paywall.sandbox.state.database import Database
from taler_paywall.settings import RuleList

#: Where the backend tells its figures; no path of the merchant API.
FIGURES: Final = "/figures"
#: The price is that of the wallets in `benchmarks.crowd`.
RULES: Final[RuleList] = {"/articles/{slug}/*": "KUDOS:5"}
MAX_POLLS: Final = 1000


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer like a small view; hold every request for ``/waiting`` until its client goes."""
    if scope["path"] == "/waiting":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await _answer(send, b"%d" % os.getpid() if scope["path"] == "/pid" else BODY)


def paywalled() -> PaywallMiddleware:
    """Return the site behind the paywall."""
    return PaywallMiddleware(bare, RULES, max_polls=MAX_POLLS)


def backend() -> ASGIApp:
    """Return a sandbox in memory that tells how often it was asked, and how many long polls wait."""
    merchant = Backend(Database(None), currency="KUDOS", tokens={DEFAULT_INSTANCE: TOKEN})
    sandbox = create_app(merchant)
    asked = 0

    async def counting(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        nonlocal asked
        if scope["type"] == "http" and scope["path"] == FIGURES:
            await _answer(send, b'{"asked": %d, "waiting": %d}' % (asked, merchant.bell.waiting))
        else:
            asked += scope["type"] == "http"
            await sandbox(scope, receive, send)

    return counting


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
