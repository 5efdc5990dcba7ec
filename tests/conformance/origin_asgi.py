"""The origin application in plain ASGI; `origin_wsgi` is the same in plain WSGI."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Unpack

from taler_paywall.asgi import ASGIApp, PaywallMiddleware, Receive, Scope, Send
from taler_paywall.path import without_root
from taler_paywall.payment import payment_from
from taler_paywall.settings import Options

from .answers import FILE, JOURNAL, PATIENCE, TEXT, Answer, Asked, Trouble, answer_to
from .rules import AROUND, MOUNTED, NESTED, OPTIONS, RULES, joined


async def origin(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    path = _path(scope)
    if "journal" not in path:
        JOURNAL.append(f"{scope['method']} {path}")
    if stream := STREAMS.get(path.rpartition("/")[2]):
        await stream(scope, receive, send)
        return
    asked = Asked(
        method=scope["method"],
        root=scope.get("root_path", ""),
        path=path,
        query=scope["query_string"].decode("latin-1"),
        headers={name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
        body=await _body(receive),
        payment=payment_from(scope),
    )
    answer = answer_to(asked)
    await _start(send, answer)
    await send({"type": "http.response.body", "body": b"" if asked.method == "HEAD" else answer.body})


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    raise Trouble(_path(scope))


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    await _start(send, Answer(200, (TEXT,)))
    await send({"type": "http.response.body", "body": b"the beginning", "more_body": True})
    raise Trouble(_path(scope))


async def steps(scope: Scope, receive: Receive, send: Send, media_type: str = "text/plain") -> None:
    """Send one piece, wait until the test has it, send the other."""
    await _start(send, Answer(200, (("Content-Type", media_type),)))
    await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
    await _wait_for_the_test(scope)
    await send({"type": "http.response.body", "body": b"data: two\n\n", "more_body": False})


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    await steps(scope, receive, send, "text/event-stream")


async def after(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, and work on until the test lets go."""
    await _start(send, Answer(200, (TEXT, ("Content-Length", "8"))))
    await send({"type": "http.response.body", "body": b"answered"})
    await _wait_for_the_test(scope)
    JOURNAL.append(f"worked {_path(scope)}")


async def file(scope: Scope, receive: Receive, send: Send) -> None:
    """Leave a file to the server."""
    assert "http.response.pathsend" in scope["extensions"]
    await _start(send, Answer(200, (("Content-Length", str(FILE.stat().st_size)),)))
    await send({"type": "http.response.pathsend", "path": str(FILE)})


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Send until the reader goes, as frameworks find it out: by the message."""
    try:
        await _start(send, Answer(200, (TEXT,)))
        await send({"type": "http.response.body", "body": b"for ever", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        JOURNAL.append(f"closed {_path(scope)}")


STREAMS: Final[Mapping[str, ASGIApp]] = {
    "raises": raises,
    "breaks": breaks,
    "steps": steps,
    "events": events,
    "after": after,
    "file": file,
    "endless": endless,
}


def _path(scope: Scope) -> str:
    return without_root(scope["path"], scope.get("root_path", ""))


async def _wait_for_the_test(scope: Scope) -> None:
    """Wait until the test ends a connection to the port that the query names."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(scope["query_string"]))
    await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def _start(send: Send, answer: Answer) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


def create(**options: Unpack[Options]) -> PaywallMiddleware:
    return PaywallMiddleware(origin, RULES, **joined(OPTIONS, options))


class Several:
    """The site, and others at paths of their own, mounted as frameworks do it."""

    def __init__(self, public_url: str, options: Options | None = None) -> None:
        def at(path: str, own: Options) -> Options:
            return joined(options or {}, own, {"public_url": public_url + path})

        self.site = create(**at("", {}))
        self.mounted: dict[str, PaywallMiddleware] = {}
        for prefix, (rules, own) in MOUNTED.items():
            self.mounted[prefix] = PaywallMiddleware(origin, rules, **at(prefix, own))
        app: ASGIApp = origin
        for rules, own in reversed(NESTED):
            app = self.mounted[AROUND] = PaywallMiddleware(app, rules, **at(AROUND, own))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        root = scope.get("root_path", "")
        path = without_root(scope["path"], root)
        for prefix, site in self.mounted.items():
            if path.startswith(f"{prefix}/"):
                return await site({**scope, "root_path": root + prefix}, receive, send)
        return await self.site(scope, receive, send)

    async def aclose(self) -> None:
        """Close what a mounted application's own lifespan would, where the framework ran it."""
        for site in (self.site, *self.mounted.values()):
            await site.aclose()
            if isinstance(site.app, PaywallMiddleware):
                await site.app.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})
