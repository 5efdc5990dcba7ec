"""Switchable faults: what can go wrong with a backend, made to go wrong on purpose.

One fault at a time is switched on, by the control endpoint, and strikes the requests to the merchant API.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taler_paywall.sandbox.backend import Backend
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.departure import departure, unless_gone
from taler_paywall.sandbox.failures import error_detail
from taler_paywall.sandbox.faults import meddling

#: The fault whose name this is does not strike requests: they do not get that far.
REFUSE: Final = "refuse"

_HEADER: Final = "Taler-Paywall-Sandbox-Fault"
_DRIP_RATE: Final = 20.0
_HAVE_NO_BODY: Final = (204, 304)


@dataclass
class Fault:
    """A fault that is switched on.

    Args:
        only: the path of the requests that it strikes contains this.
        method: of the requests that it strikes, None for any.
        times: how many requests it strikes, None for any number.
        hits: how many it has struck.
        lifted: set in the end.
    """

    name: str
    only: str = ""
    method: str | None = None
    times: int | None = None
    hits: int = 0
    lifted: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, scope: Scope) -> bool:
        """Tell whether it may strike a request."""
        is_api = scope["type"] == "http" and not scope["path"].startswith("/sandbox/")
        if not is_api or self.hits == self.times:
            return False
        return self.only in scope["path"] and self.method in (None, scope["method"])

    @property
    def state(self) -> dict[str, Any]:
        """What the control endpoint shows of it."""
        return {name: getattr(self, name) for name in ("name", "only", "method", "times", "hits")}


class Door(Protocol):
    """Where connections come in."""

    def shut(self) -> None:
        """Refuse connections, and cut those that stand."""

    async def open(self) -> None:
        """Accept connections again."""

    def cut(self, client: tuple[str, int]) -> bool:
        """Cut the connection of a client; tell whether it has one."""


class Faults:
    """The switch.

    Args:
        backend: whose orders some faults change.
        door: of the server.
    """

    def __init__(self, backend: Backend, door: Door) -> None:
        self.backend = backend
        self.door = door
        self.active: Fault | None = None

    async def switch_on(self, fault: Fault) -> None:
        """Let a fault strike from now on, instead of the one before."""
        await self.lift()
        self.active = fault
        if fault.name == REFUSE:
            self.door.shut()

    async def lift(self) -> None:
        """End the fault that is switched on: requests that it holds up are answered at once."""
        fault, self.active = self.active, None
        if fault is None:
            return
        fault.lifted.set()
        if fault.name == REFUSE:
            await self.door.open()


@dataclass(frozen=True)
class _Call:
    """A request that a fault has struck."""

    app: ASGIApp
    fault: Fault
    door: Door
    scope: Scope
    receive: Receive
    send: Send

    async def real_answer(self) -> tuple[Message, bytes] | None:
        """Return what the request is really answered with: start and body, None if its client has gone."""
        start: Message = {}
        body = bytearray()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self.app(self.scope, self.receive, keep)
        return (start, bytes(body)) if start else None


class FaultMiddleware:
    """Lets the fault that is switched on strike; it must be the outermost middleware."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, well or badly."""
        fault = self._faults.active
        if fault is None or not fault.fits(scope) or not self._changes_something(fault, scope):
            await self._app(scope, receive, send)
            return
        fault.hits += 1

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[_HEADER] = fault.name
            await send(message)

        await STRIKES[fault.name](_Call(self._app, fault, self._faults.door, scope, receive, send_marked))

    def _changes_something(self, fault: Fault, scope: Scope) -> bool:
        change = CHANGES.get(fault.name)
        return change is None or change(self._faults.backend, scope["method"], scope["path"])


async def _pass(call: _Call) -> None:
    await call.app(call.scope, call.receive, call.send)


async def _hang(call: _Call) -> None:
    """Answer nothing until the fault is lifted or the client goes."""
    received: list[Message] = []

    async def receive() -> Message:
        received.append(await call.receive())
        return received[-1]

    async def receive_again() -> Message:
        return received.pop(0) if received else await call.receive()

    await unless_gone(receive, call.fault.lifted.wait)
    if call.fault.lifted.is_set():
        await call.app(call.scope, receive_again, call.send)


async def _slow(call: _Call) -> None:
    """Send the real answer byte by byte; what is left when the fault is lifted, at once."""
    answer = await call.real_answer()
    if answer is None:
        return
    start, body = answer
    sent = 0
    await call.send(start)

    async def drip() -> None:
        nonlocal sent
        while sent < len(body) and not call.fault.lifted.is_set():
            await call.send({"type": "http.response.body", "body": body[sent : sent + 1], "more_body": True})
            sent += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1 / _DRIP_RATE):
                    await call.fault.lifted.wait()

    await unless_gone(call.receive, drip)
    await call.send({"type": "http.response.body", "body": body[sent:]})


async def _truncated(call: _Call) -> None:
    """Send half of the real answer as if it were the whole."""
    answer = await call.real_answer()
    if answer:
        half = answer[1][: len(answer[1]) // 2] or b"{"
        await Response(half, 200, media_type="application/json")(call.scope, call.receive, call.send)


async def _broken(call: _Call) -> None:
    """Cut the connection in the middle of the real answer."""
    answer = await call.real_answer()
    if answer is None:
        return
    start, body = answer
    headers = MutableHeaders(scope=start)
    headers["content-length"] = str(max(len(body), 1))
    await call.send({**start, "status": 200 if start["status"] in _HAVE_NO_BODY else start["status"]})
    await call.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    # The play wallet behind the pages has no connection to cut: it gets the rest.
    if call.door.cut(call.scope["client"]):
        await departure(call.receive)
    await call.send({"type": "http.response.body", "body": body[len(body) // 2 :]})


async def _wrong_types(call: _Call) -> None:
    """Send the real answer with a value of another type in every member."""
    answer = await call.real_answer()
    if answer is None:
        return
    start, body = answer
    headers = MutableHeaders(scope=start)
    if headers.get("content-type") == "application/json":
        body = json.dumps({name: _of_other_type(value) for name, value in json.loads(body).items()}).encode()
        headers["content-length"] = str(len(body))
    await call.send(start)
    await call.send({"type": "http.response.body", "body": body})


def _of_other_type(value: object) -> object:
    """Make a list of a text, a number of an object or list, and a text of everything else."""
    if isinstance(value, str):
        return [value]
    return len(value) if isinstance(value, dict | list) else json.dumps(value)


def _instead(make: Callable[[Scope], Response]) -> Callable[[_Call], Awaitable[None]]:
    """Make a fault that answers instead of the backend, which never hears of the request."""

    async def strike(call: _Call) -> None:
        await make(call.scope)(call.scope, call.receive, call.send)

    return strike


def _page(status: int, title: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    # As web servers and proxies make them, who know nothing of the merchant API.
    text = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>\r\n"
    return HTMLResponse(text, status, headers)


def _error(code: Code) -> Response:
    return error_detail(ApiError(code, "a fault of the sandbox is switched on"))


#: What each fault does with the requests that it strikes.
STRIKES: Final[Mapping[str, Callable[[_Call], Awaitable[None]]]] = {
    "hang": _hang,
    "slow": _slow,
    "truncated": _truncated,
    "broken": _broken,
    "wrong-types": _wrong_types,
    "error-html": _instead(lambda _: _page(500, "Internal Server Error")),
    "error-json": _instead(lambda _: _error(Code.GENERIC_DB_COMMIT_FAILED)),
    "unavailable": _instead(lambda _: _page(503, "Service Temporarily Unavailable", {"Retry-After": "120"})),
    "unauthorized": _instead(lambda _: _error(Code.GENERIC_UNAUTHORIZED)),
    "not-found": _instead(lambda _: _error(Code.MERCHANT_GENERIC_ORDER_UNKNOWN)),
    "redirect": _instead(lambda scope: RedirectResponse(f"http://elsewhere.sandbox.invalid{scope['path']}", 302)),
    "claimed": _pass,
    "refunded": _pass,
    REFUSE: _pass,
}
#: What some faults do to an order before the request for it is answered; they strike where it makes a difference.
CHANGES: Final[Mapping[str, Callable[[Backend, str, str], bool]]] = {
    "claimed": meddling.claim_before,
    "refunded": meddling.refund_before,
    # Those that got in before the door was shut are past it.
    REFUSE: lambda *_: False,
}
