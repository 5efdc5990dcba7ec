"""The way to a site: through its outermost application in this process, or over the network.

In this process nothing of the site's that is behind the paywall is run: a stand-in is there while requests are sent,
and tells when one of them got through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from inspect import iscoroutinefunction
from math import inf
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import anyio
import httpx

from taler_paywall import asgi
from taler_paywall.asgi import Message, Receive, Scope, Send
from taler_paywall.connections import tls_context
from taler_paywall.operator.target import Found
from taler_paywall.testing.client import serving

#: For an answer of the site, in seconds.
SECONDS = 10.0
#: As much of an answer is looked at, in bytes; ours are shorter.
MAX_BODY = 1 << 17

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    # Nobody looks at the answer yet: no order is made.
    "Sec-Purpose": "prefetch",
    "User-Agent": "taler-paywall check",
}
#: Where a site on play money is that was not told its address.
_LOOPBACK = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        status: of the answer, 0 if there was none.
        media_type: as it came.
        body: as far as it was looked at.
        passed: whether the request got through the paywall to the application behind it.
        failure: why there was none.
    """

    status: int
    media_type: str = ""
    body: bytes = field(default=b"", repr=False)
    passed: bool = False
    failure: str = ""

    @property
    def json(self) -> dict[str, Any]:
        """The body's JSON object, empty if it holds none."""
        try:
            members = json.loads(self.body)
        except ValueError:
            return {}
        return members if isinstance(members, dict) else {}


class Way:
    """The way to a site.

    Args:
        client: sends.
        base: what paths of the application come after.
        passed: filled by whatever stands behind the paywall.
    """

    def __init__(self, client: httpx.Client, base: str, passed: list[str]) -> None:
        self._client = client
        self._base = base
        self._passed = passed

    def ask(self, method: str, target: str) -> Answer:
        """Send a request without cookies.

        Args:
            method: of the request.
            target: path and query of the application, quoted.
        """
        self._passed.clear()
        self._client.cookies.clear()
        try:
            with self._client.stream(method, self._base + target, headers=_HEADERS) as response:
                body = b""
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > MAX_BODY:
                        break
        except Exception as error:  # noqa: BLE001 - an application in this process may raise anything
            return Answer(0, passed=bool(self._passed), failure=f"{type(error).__name__}: {error}")
        return Answer(response.status_code, response.headers.get("content-type", ""), body, bool(self._passed))


@contextmanager
def over_the_network(url: str) -> Iterator[Way]:
    """Give the way to a running site.

    Args:
        url: where it is.
    """
    with httpx.Client(trust_env=False, verify=tls_context(), timeout=SECONDS) as client:
        yield Way(client, url.rstrip("/"), [])


@contextmanager
def in_this_process(app: Any, found: Found) -> Iterator[Way]:
    """Run an application, its lifespan included, and give the way through it to its paywall.

    Args:
        app: the outermost application.
        found: the paywall in it.

    Raises:
        SiteError: the start-up failed.
        ConfigError: with `strict`, rules match no route.
    """
    url = urlsplit(found.settings.public_url or _LOOPBACK)
    passed: list[str] = []
    with serving(_bounded(app)) as transport, httpx.Client(transport=transport, timeout=SECONDS) as client:
        found.check_routes()
        behind: Any = found.middleware.app
        found.middleware.app = _stand_in(found, passed)
        try:
            yield Way(client, f"{url.scheme}://{url.netloc}{found.mount}", passed)
        finally:
            found.middleware.app = behind


def _stand_in(found: Found, passed: list[str]) -> Any:
    """Return an application that notes what comes through, and has nothing to say."""

    async def asynchronous(scope: Scope, _: Receive, send: Send) -> None:
        passed.append(scope["type"])
        await _finish(send, HTTPStatus.NO_CONTENT)

    def blocking(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        passed.append(environ["REQUEST_METHOD"])
        start_response("204 No Content", [])
        return []

    return asynchronous if isinstance(found.middleware, asgi.PaywallMiddleware) else blocking


def _bounded(app: Any) -> Any:
    """Let an ASGI application answer no longer than `SECONDS`: what answers in place of the paywall may never end."""
    if not (iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__)):
        return app

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watching(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        with anyio.move_on_after(inf if scope["type"] == "lifespan" else SECONDS) as limit:
            await app(scope, receive, watching)
        if limit.cancelled_caught:
            await _finish(send, None if begun else HTTPStatus.GATEWAY_TIMEOUT)

    return bounded


async def _finish(send: Send, status: int | None) -> None:
    """End an answer, of this status if it has none yet."""
    if status:
        await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
