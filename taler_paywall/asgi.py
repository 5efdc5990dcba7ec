"""The paywall as pure ASGI middleware: it buffers nothing and rebuilds nothing of the application's answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar, Unpack

import anyio

from taler_paywall.async_transport import MAX_CALLS, AsyncHttpBackend
from taler_paywall.drive import aperform, arun
from taler_paywall.errors import ConfigError
from taler_paywall.forms import MAX_FORM
from taler_paywall.http import Request, Response
from taler_paywall.operations import Op
from taler_paywall.payment import SCOPE_KEY
from taler_paywall.paywall import Case, Granted, SitePaywall
from taler_paywall.reserved import Errand
from taler_paywall.routes import mount_problem
from taler_paywall.settings import Options, RuleList
from taler_paywall.site import Site
from taler_paywall.transport import TOTAL_TIMEOUT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Frameworks give the three arguments types of their own, which exclude each other.
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
T = TypeVar("T")

#: Nothing is sent to a client that has gone.
_GONE: Final = Response(499)


class PaywallMiddleware:
    """Ask for a payment with GNU Taler before the application answers an HTTP request or accepts a websocket.

    Args:
        app: any ASGI application.
        rules: what is sold: a list of `taler_paywall.Rule`, or ``{pattern: price}``; the first that matches wins.
        options: see `taler_paywall.config.Options` and the README; ``backend``, ``token``, ``secret_key`` and
            ``public_url`` may come from the environment (``TALER_PAYWALL_BACKEND`` and so on).

    Raises:
        ConfigError: every mistake in the configuration, each with its fix.
    """

    def __init__(self, app: ASGIApp, rules: RuleList, **options: Unpack[Options]) -> None:
        self.app = app
        self.site = Site(rules, options)
        settings = self.site.settings
        if settings.enabled and (problem := mount_problem(app)):
            raise ConfigError([problem])
        backend, public_url = settings.backend, settings.backend_public_url
        self._backend = AsyncHttpBackend(
            *(backend, public_url, self.site.token, self.site.breaker),
            max_calls=settings.max_backend_calls or MAX_CALLS,
            max_polls=settings.max_polls,
        )
        self._perform = partial(aperform, backend=self._backend, memory=self.site.memory)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request pass, answer it, or let it pass once it is paid."""
        if scope["type"] == "lifespan":
            return await self._live(scope, receive, send)
        if not self.site.enabled or "path" not in scope:
            return await self.app(scope, receive, send)
        paywall = self.site.paywall or self._paywall_of(scope)
        if not paywall.concerns(scope["path"], scope.get("raw_path"), scope.get("root_path", "")):
            return await self.app(scope, receive, send)
        if scope["type"] not in {"http", "websocket"}:
            raise NotImplementedError(f"a path that may be sold, and no way to say no in {scope['type']!r}")
        request = _request_of(scope)
        answer = await self._answer(paywall, request, receive)
        if answer is None:
            return await self.app(scope, receive, send)
        if isinstance(answer, Response):
            return None if answer is _GONE else await _respond(answer, scope, send)
        if answer.payment:
            scope = {**scope, SCOPE_KEY: answer.payment}
        return await self.app(scope, receive, _granting(send, answer))

    async def aclose(self) -> None:
        """Close all connections; only needed where no server runs the lifespan, once per event loop."""
        await self._backend.aclose()
        closing = self.site.memory.payments.close()
        if closing:
            await closing

    async def _answer(self, paywall: SitePaywall, request: Request, receive: Receive) -> Granted | Response | None:
        """Run one request through the flow; whatever breaks in it, nothing is given away."""
        try:
            body = await _read_form(receive) if paywall.is_form(request) else b""
            case = paywall.begin(request, body)
            if not isinstance(case, (Case, Errand)):
                return case
            running = self._run(case.flow, case.wait + TOTAL_TIMEOUT)
            outcome = await (_unless_gone(receive, running) if case.wait else running)
            return paywall.finish(case, outcome) if outcome else _GONE
        except Exception:  # noqa: BLE001 - the one guard: a bug, or a price callable that raises, closes the gate
            return paywall.failed(request)

    def _run(self, flow: Generator[Op[Any], Any, T], seconds: float) -> Coroutine[Any, Any, T]:
        return arun(flow, partial(self._perform, deadline=time.monotonic() + seconds))

    def _paywall_of(self, scope: Scope) -> SitePaywall:
        """Return the paywall at the first request, if no lifespan came before it, and that of a site on loopback."""
        host = next((value for name, value in scope.get("headers", ()) if name == b"host"), b"").decode("latin-1")
        _, port = scope.get("server") or ("", None)
        return self.site.opened(self.app, host, port, scope.get("root_path", ""))

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the rules when the application has started; close the connections when it has shut down."""

        async def watching(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._check(scope)
            elif message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await self.aclose()
            await send(message)

        try:
            if self.site.settings.strict:
                self._check(scope)
        except ConfigError as error:
            # Only the server's own words for it end every server.
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        try:
            await self.app(scope, receive, watching)
        finally:
            # Django knows no lifespan.
            self._check(scope)

    def _check(self, scope: Scope) -> None:
        self.site.check(self.app, scope.get("root_path", ""))


def _request_of(scope: Scope) -> Request:
    """Return what the paywall may know of an ASGI request; optional members of the scope may be missing."""
    return Request(
        method=scope.get("method", "GET"),
        path=scope["path"],
        raw_path=scope.get("raw_path"),
        root_path=scope.get("root_path", ""),
        query=scope.get("query_string", b""),
        headers=scope.get("headers", ()),
        websocket=scope["type"] == "websocket",
        peer=(scope.get("client") or ("",))[0],
    )


async def _respond(response: Response, scope: Scope, send: Send) -> None:
    """Send an answer of the paywall's own; a websocket gets it before it is accepted, or is closed."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            return await send({"type": "websocket.close", "code": 1008, "reason": HTTPStatus(response.status).phrase})
        kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": response.status, "headers": list(response.headers)})
    return await send({"type": f"{kind}.body", "body": response.body})


def _granting(send: Send, granted: Granted) -> Send:
    """Add the headers of a granted answer; every other message passes as it is."""

    # No coroutine of its own: a stream has a message for every event.
    def granting(message: Message) -> Awaitable[None]:
        if message["type"] in {"http.response.start", "websocket.accept", "websocket.http.response.start"}:
            message = {**message, "headers": granted.headers(message.get("headers", ()))}
        return send(message)

    return granting


async def _unless_gone(receive: Receive, running: Coroutine[Any, Any, T]) -> T | None:
    """Wait for an outcome as long as the client does; None if it has gone."""
    outcome = None

    async def watch() -> None:
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
        if message["type"] == "http.request":
            message = await receive()
        if message["type"] == "http.disconnect":
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        outcome = await running
        tasks.cancel_scope.cancel()
    return outcome


async def _read_form(receive: Receive) -> bytes | None:
    """Read the body of a form of ours, None if it is too long, or cut off."""
    body = b""
    while len(body) <= MAX_FORM:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body if len(body) <= MAX_FORM else None
    return None
