"""What scripts of web pages may do here (Fetch standard, CORS)."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.failures import error_detail

_LOOPBACK: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)


class OpenToAllOrigins:
    """Lets scripts of any site use the public endpoints, as wallets in browsers must."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or _is_private(scope) or "/sandbox/" in scope["path"]:
            await self._app(scope, receive, send)
            return

        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Access-Control-Allow-Origin"] = "*"
            await send(message)

        if scope["method"] == "OPTIONS":
            allowed = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "*"}
            await Response(status_code=204, headers=allowed)(scope, receive, send_open)
        else:
            await self._app(scope, receive, send_open)


class NotForRebound:
    """Keeps pages out of the private endpoints whose name a stranger's DNS has bent to this machine.

    To the browser such a page is of the same origin as the sandbox, and the token of a sandbox is no secret.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._app
        if scope["type"] == "http" and _is_private(scope) and "origin" in Headers(scope=scope) and not _is_local(scope):
            app = error_detail(ApiError(Code.GENERIC_FORBIDDEN, "this is not for web pages of other machines"))
        await app(scope, receive, send)


class NotForWebPages:
    """Keeps all web pages out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._app
        if scope["type"] == "http" and ("origin" in Headers(scope=scope) or not _is_local(scope)):
            app = error_detail(ApiError(Code.GENERIC_FORBIDDEN, "the control endpoint is not for web pages"))
        await app(scope, receive, send)


def _is_local(scope: Scope) -> bool:
    """Tell whether a request is addressed to a name that is this machine's whatever DNS says."""
    return _LOOPBACK.fullmatch(Headers(scope=scope).get("host", "")) is not None


def _is_private(scope: Scope) -> bool:
    return "/private/" in scope["path"]
