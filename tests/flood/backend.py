"""The sandbox, its state in memory, which also tells what it was asked for."""

from __future__ import annotations

import json
from typing import Any

from running import TOKEN

from taler_paywall.asgi import ASGIApp
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, Backend
from taler_paywall.sandbox.server import create_app
from taler_paywall.sandbox.state.database import Database

#: Where it tells; no path of the merchant API.
ASKED = "/asked"


def create() -> ASGIApp:
    sandbox = create_app(Backend(Database(None), currency="KUDOS", tokens={DEFAULT_INSTANCE: TOKEN}))
    asked: list[str] = []

    async def telling(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == ASKED:
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(asked).encode()})
            return
        if scope["type"] == "http":
            asked.append(f"{scope['method']} {scope['path']}")
        await sandbox(scope, receive, send)

    return telling
