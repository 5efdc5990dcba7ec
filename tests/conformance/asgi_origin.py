"""An application in plain ASGI that uses what the protocol has beyond requests and answers, behind a paywall."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from taler_paywall import payment_from
from taler_paywall.asgi import ASGIApp, Message, PaywallMiddleware, Receive, Scope, Send


def write_down(event: str) -> None:
    """Keep what happened in a file, which is there when the server has ended."""
    with Path(os.environ["ASGI_NOTES"]).open("a") as notes:
        notes.write(f"{event}\n")


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Write down the beginning and the end."""
    for event in ("startup", "shutdown"):
        message = await receive()
        assert message["type"] == f"lifespan.{event}"
        write_down(event)
        await send({"type": f"lifespan.{event}.complete"})


def start(**more: object) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": []} | more


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Name the path."""
    await send(start())
    await send({"type": "http.response.body", "body": b"origin " + scope["path"].encode()})


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin an answer and write down when the reader goes away."""
    await send(start())
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    write_down("disconnect")


async def trailers(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a hint before the answer and a trailer after it."""
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await send(start(trailers=True))
    await send({"type": "http.response.body", "body": b"body"})
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")], "more_trailers": False})


async def socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Say what was paid, then everything again, and write down the end."""
    write_down(f"socket {scope['path']}")
    await receive()
    payment = payment_from(scope)
    headers = [(b"x-own", b"1"), (b"x-own", b"2")]
    protocol = "chat" if "chat" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": protocol, "headers": headers})
    await send({"type": "websocket.send", "text": f"paid {payment.amount}" if payment else "free"})
    while (message := await receive())["type"] == "websocket.receive":
        echo = "text" if message.get("text") is not None else "bytes"
        await send({"type": "websocket.send", echo: message[echo]})
    write_down("socket closed")


async def denied(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse who has paid, with an answer of the application's own."""
    await receive()
    headers = [(b"x-own", b"denied"), (b"content-length", b"9")]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"not today"})


HTTP: Final[dict[str, ASGIApp]] = {
    "/paid/endless": endless,
    "/paid/trailers": trailers,
}


async def origin(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a request where it belongs."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await (denied if scope["path"].endswith("/denied") else socket)(scope, receive, send)
    else:
        await HTTP.get(scope["path"], plain)(scope, receive, send)


class WithoutDenial:
    """Hides that the server can answer a websocket with a page, as servers are that cannot."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and b"old" in scope["query_string"]:
            scope = {**scope, "extensions": {}}
        await self.app(scope, receive, send)


app = WithoutDenial(PaywallMiddleware(origin, {"/paid/*": "KUDOS:0.5"}))
