"""The edge of a sandbox that speaks like an older merchant backend: requests and answers are translated here.

Behind it is the current backend, unchanged (merchant API, section 11).
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taler_paywall.sandbox.bodies import body_of
from taler_paywall.sandbox.codes import ApiError
from taler_paywall.sandbox.generations import milliseconds, old_forms
from taler_paywall.sandbox.generations.generation import Generation
from taler_paywall.sandbox.routes import ENDPOINTS

_DEFAULT: Final = "/instances/default"
_ADMIN: Final = "/instances/admin"
_INSTANCE: Final = re.compile(r"/instances/[^/]+(?=/)")

# Where the current backend has no endpoint, and an instance that it cannot have.
_NOWHERE: Final = "/*"
_NO_INSTANCE: Final = "/instances/*"


class Translation:
    """Makes a current backend look like one of an older generation.

    Args:
        app: the current backend.
        generation: an old one.
    """

    def __init__(self, app: ASGIApp, generation: Generation) -> None:
        self._app = app
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root = scope.get("root_path", "")
        path = _path(scope["path"].removeprefix(root))
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        endpoint = f"{method} {_template(path)}"
        headers = [field for field in scope["headers"] if field[0] not in old_forms.UNKNOWN_HEADERS]
        query = _query(endpoint, scope["query_string"])
        inner = {**scope, "path": root + path, "query_string": query, "headers": headers}
        if method in ("POST", "PATCH", "PUT"):
            # Its body will be another, and not compressed.
            inner["headers"] = [field for field in headers if field[0] not in (b"content-encoding", b"content-length")]
            receive = self._receiver(Request(scope, receive), endpoint)
        await self._app(inner, receive, _Answer(self._generation, endpoint, send).send)

    def _receiver(self, request: Request, endpoint: str) -> Receive:
        """Make the receive function that hands the translated body out, once it is asked for."""
        is_read = False

        async def receive() -> Message:
            nonlocal is_read
            if is_read:
                return await request.receive()
            is_read = True
            body = self._body(endpoint, await body_of(request))
            return {"type": "http.request", "body": body, "more_body": False}

        return receive

    def _body(self, endpoint: str, raw: bytes) -> bytes:
        try:
            body = json.loads(raw.decode())
            if isinstance(body, dict) and endpoint in old_forms.REQUESTS:
                body = old_forms.REQUESTS[endpoint](body)
            if self._generation.has_milliseconds:
                body = milliseconds.removed(body, milliseconds.OPAQUE)
            return _json(body)
        except (ValueError, RecursionError):
            # A form, or nothing that can be read: the endpoint says so.
            return raw


class _Answer:
    """Holds a JSON answer back until it is whole, and sends it translated."""

    def __init__(self, generation: Generation, endpoint: str, send: Send) -> None:
        self._generation = generation
        self._endpoint = endpoint
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Take the next message of the answer."""
        if message["type"] == "http.response.start" and _is_json(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)
        else:
            await self._send(message)

    async def _finish(self, start: Message) -> None:
        status, answer = _in_old_form(self._endpoint, start["status"], json.loads(self._body))
        headers = MutableHeaders(raw=list(start["headers"]))
        content = b""
        del headers["etag"]
        if answer is None:
            del headers["content-type"], headers["content-length"]
        else:
            if self._generation.has_milliseconds:
                answer = milliseconds.added(answer, milliseconds.OPAQUE_OR_HASHED)
            content = _json(answer)
            headers["content-length"] = str(len(content))
        await self._send({**start, "status": status, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": content})


def _in_old_form(endpoint: str, status: int, answer: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
    # Not everything from 400 is an error: 402 describes an order.
    code = old_forms.CODES.get(answer.get("code", 0))
    if code is not None:
        return code.status, {**answer, **ApiError(code, answer["detail"]).body}
    if status != HTTPStatus.OK or endpoint not in old_forms.ANSWERS:
        return status, answer
    changed = old_forms.ANSWERS[endpoint](answer)
    return (HTTPStatus.NO_CONTENT if changed is None else status), changed


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _is_json(start: Message) -> bool:
    return MutableHeaders(raw=list(start["headers"])).get("content-type") == "application/json"


def _path(path: str) -> str:
    """Return where the current backend has what an old one had under a path."""
    if path.startswith(f"{_ADMIN}/"):
        # The name came later.
        return _NO_INSTANCE + path.removeprefix(_ADMIN)
    if path.startswith(f"{_DEFAULT}/"):
        path = path.removeprefix(_DEFAULT)
        if path.startswith("/instances/"):
            return _NOWHERE
    return _NOWHERE if _template(path) in old_forms.ABSENT else path


def _template(path: str) -> str | None:
    """Return the endpoint's path with its parameters, as in the table of endpoints."""
    local = _INSTANCE.sub("", path, count=1) if path.startswith("/instances/") else path
    return next((route.path for route in ENDPOINTS if route.path_regex.match(local)), None)


def _query(endpoint: str, raw: bytes) -> bytes:
    implied = old_forms.IMPLIED_PARAMETERS.get(endpoint, {})
    unknown = old_forms.UNKNOWN_PARAMETERS.get(endpoint, set())
    if not (implied or unknown):
        return raw
    given = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))
    known = {name: value for name, value in given.items() if name not in unknown}
    return urlencode({**old_forms.DEFAULT_PARAMETERS.get(endpoint, {}), **known, **implied}).encode()
