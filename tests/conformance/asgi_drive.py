"""Raw ASGI: tiny applications behind a paywall, called by hand as a server calls them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, Unpack

from reader import USER_AGENT, Reader
from running import SECRET_KEY, TOKEN, Sandbox

from taler_paywall.asgi import ASGIApp, Message, PaywallMiddleware, Receive, Scope, Send
from taler_paywall.settings import Options, RuleList
from taler_paywall.testing.client import serving
from taler_paywall.testing.wallet import TalerWallet

from .front import HERE

RULES: Final = {"/paid/*": "KUDOS:0.5"}
PAGE: Final = "/paid/page"
#: For what must not hang.
PATIENCE: Final = 20


@dataclass
class Wire:
    """A server's side of one exchange: what it has for the application, and what it was sent."""

    incoming: deque[Message]
    sent: list[Message] = field(default_factory=list)

    @classmethod
    def of(cls, *incoming: Message) -> Self:
        """Return one on which these messages arrive."""
        return cls(deque(incoming))

    async def receive(self) -> Message:
        return self.incoming.popleft()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]


@dataclass
class Bench:
    """Paywalls with the same options, and the cookies of a browser that has paid for `RULES` behind one of them."""

    options: Options
    cookies: dict[str, str]
    _paywalls: list[PaywallMiddleware] = field(default_factory=list)

    def around(self, app: ASGIApp, rules: RuleList = RULES, **changed: Unpack[Options]) -> PaywallMiddleware:
        """Put a paywall in front of an application."""
        options: Options = {**self.options, **changed}
        self._paywalls.append(PaywallMiddleware(app, rules, **options))
        return self._paywalls[-1]

    def scope(self, path: str = PAGE, **changed: Any) -> Scope:
        """Return the scope of a request of who has paid."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return request(path, (b"cookie", cookie.encode()), **changed)

    def drive(self, app: ASGIApp, scope: Scope, *incoming: Message) -> Wire:
        """Call an application in an event loop of its own, and close the connections of all paywalls there."""
        wire = Wire.of(*incoming)
        self.call(app, scope, wire.receive, wire.send)
        return wire

    def call(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the same with a server of one's own."""

        async def run() -> None:
            try:
                await asyncio.wait_for(_awaiting(app, scope, receive, send), PATIENCE)
            finally:
                for paywall in self._paywalls:
                    await paywall.aclose()

        asyncio.run(run())


async def _awaiting(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def request(path: str = PAGE, *headers: tuple[bytes, bytes], **changed: Any) -> Scope:
    """Return the scope of a stranger's request, as the specification has it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"user-agent", USER_AGENT.encode()), *headers],
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 8000),
        "state": {"of": "the lifespan"},
        "extensions": {"http.response.debug": {}},
    } | changed


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer everything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": b"hello"})


def saying(*messages: Message) -> ASGIApp:
    """Return an application that sends these very messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand where no unpaid request may come."""
    raise AssertionError(f"the application was called for {scope['path']}")


def status_of(wire: Wire) -> int:
    """Return the status that was sent."""
    return next(int(message["status"]) for message in wire.sent if "status" in message)


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return the values of a header, in order."""
    return [value for key, value in headers if key.lower() == name]


def buy(sandbox: Sandbox, home: Path) -> Bench:
    """Pay for `RULES` in front of a site in this process."""
    options: Options = {"backend": sandbox.url, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": HERE}
    paywall = PaywallMiddleware(hello, RULES, **options)
    with (
        serving(paywall) as transport,
        Reader(HERE, transport) as reader,
        TalerWallet(home / "wallet.sqlite") as wallet,
    ):
        asked = reader.visit(PAGE)
        assert asked.status_code == 302
        wallet.pay(asked.headers["location"])
        assert reader.visit(PAGE).text == "hello"
        return Bench(options, reader.cookies())
