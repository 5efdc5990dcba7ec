"""Applications that serve the secret under any alias of it, as forgiving as all routers and file systems together.

And what servers are to them: callers that hand a request over in one way or another, and take what comes back.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import StartResponse, WSGIEnvironment

from anyio.from_thread import BlockingPortal

from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware as AsgiPaywall
from taler_paywall.asgi import Receive, Scope, Send
from taler_paywall.settings import Options
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

from .corpus import Attack, Header, Style, asgi_scope, wsgi_environ

MARKER = b"what only a reader who has paid may read"
SECRET = MARKER.ljust(7919, b".")
SECRET_HEADERS = ((b"etag", b'"only-for-buyers"'), (b"last-modified", b"Fri, 13 Nov 2009 23:31:30 GMT"))
PUBLIC = b"what anybody may read"
#: Asks a server in front for a page of its own, and caches for a copy: both are the application's business.
PUBLIC_HEADERS = ((b"etag", b'"for-all"'), (b"x-accel-redirect", b"/internal/page"))

_LENGTH = re.compile(rb"(?i)content-(?:length: *|range:[^\r\n]*/)%d\b" % len(SECRET)).search
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def traces(headers: Iterable[Header], body: bytes) -> list[bytes]:
    """Return what an answer tells of the secret: its text, length, ETag, Last-Modified."""
    answer = b"\r\n".join([*(b"%s: %s" % header for header in headers), b"", body])
    found = [trace for trace in (MARKER, *(value for _, value in SECRET_HEADERS)) if trace in answer]
    return found + ([b"length"] if _LENGTH(answer) or len(body) == len(SECRET) else [])


def canonical(path: str) -> str:
    """Return a path as the most lenient of all routers, file systems and later hops reads it."""
    for _ in range(2):
        path = unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8", "ignore")
    if not path.startswith("/"):
        path = re.sub(r"\A[A-Za-z][A-Za-z0-9+.\-]*:(?://[^/?#]*)?(?=/)", "", path)
    path = re.sub(r";[^/]*", "", re.split("[?#]", path, maxsplit=1)[0].replace("\\", "/"))
    path = unicodedata.normalize("NFKC", path)
    path = "".join(char for char in path if unicodedata.category(char) not in _INVISIBLE and char != "\ufffd")
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept).casefold()


def is_secret(path: str) -> bool:
    """Tell whether any alias of a page that is sold is asked for."""
    return re.fullmatch(r"/article|/api/v1/paid|/premium(?:/.*)?", canonical(path)) is not None


def answer_to(path: str, headers: Mapping[bytes, bytes]) -> tuple[int, list[Header], bytes]:
    """Answer any method, whole, in part, or not at all if the client says that it has a copy."""
    if path.endswith("/does-not-exist"):
        return 404, [(b"content-length", b"9")], b"not found"
    secret = is_secret(path)
    body, own = (SECRET, SECRET_HEADERS) if secret else (PUBLIC, PUBLIC_HEADERS)
    common = [(b"content-type", b"text/plain"), (b"cache-control", b"public, max-age=3600, s-maxage=3600"), *own]
    if b"if-none-match" in headers:
        return 304, common, b""
    if b"range" in headers:
        piece = body[: len(MARKER) if secret else 5]
        return 206, [*common, (b"content-range", b"bytes 0-%d/%d" % (len(piece) - 1, len(body)))], piece
    return 200, [*common, (b"content-length", b"%d" % len(body))], body


class TolerantAsgi:
    """Serves the secret over HTTP, websockets and whatever else has a path; remembers what reached it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        path, root = scope["path"], scope.get("root_path", "")
        self.reached.append(path)
        own = path.removeprefix(root) if path.startswith(f"{root}/") else path
        status, headers, body = answer_to(own, dict(scope["headers"]))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "bytes": body})
            return await send({"type": "websocket.close", "code": 1000})
        head = scope.get("method") == "HEAD"
        await send({"type": "http.response.start", "status": status, "headers": headers})
        return await send({"type": "http.response.body", "body": b"" if head else body})


class TolerantWsgi:
    """Serves the secret over HTTP; remembers what reached it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "ignore")
        self.reached.append(path)
        conditions = {b"if-none-match": "HTTP_IF_NONE_MATCH", b"range": "HTTP_RANGE"}
        given = {name: environ[key].encode("latin-1") for name, key in conditions.items() if key in environ}
        status, headers, body = answer_to(path, given)
        native: list[Any] = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        start_response(f"{status} As Asked", native)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


async def _live(receive: Receive, send: Send) -> None:
    """Start and stop when the server does."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        status: 101 for a websocket that was accepted.
        headers: lower-case names.
        body: all of it.
        reached: whether the application was asked.
        read: whether anybody read the request's body.
    """

    status: int
    headers: tuple[Header, ...]
    body: bytes
    reached: bool
    read: bool

    def header(self, name: bytes) -> bytes:
        return b", ".join(value for key, value in self.headers if key == name)

    @property
    def traces(self) -> list[bytes]:
        return traces(self.headers, self.body)

    def names(self, text: str) -> bool:
        return text.encode() in b" ".join([*(value for _, value in self.headers), self.body])


class Asgi:
    """Requests as ASGI servers hand them over."""

    def __init__(self, style: Style, portal: BlockingPortal) -> None:
        self.tolerant = TolerantAsgi()
        self._style = style
        self._portal = portal

    def paywalled(self, rules: list[Rule], options: Options, stack: ExitStack) -> AsgiPaywall:
        paywall = AsgiPaywall(self.tolerant, rules, **options)
        stack.callback(self._portal.call, paywall.aclose)
        return paywall

    def ask(self, app: Any, attack: Attack) -> Answer:
        answer: Answer = self._portal.call(self._ask, app, asgi_scope(attack, self._style))
        return answer

    async def _ask(self, app: Any, scope: dict[str, Any]) -> Answer:
        websocket = scope["type"] == "websocket"
        received: list[str] = []
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            received.append("websocket.connect" if websocket else "http.request")
            return {"type": received[-1], "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        before = len(self.tolerant.reached)
        await app(scope, receive, send)
        start = next(message for message in sent if "status" in message or message["type"] == "websocket.accept")
        headers = tuple((name.lower(), value) for name, value in start.get("headers", ()))
        body = b"".join(message.get("body") or message.get("bytes") or b"" for message in sent)
        reached = len(self.tolerant.reached) > before
        return Answer(start.get("status", 101), headers, body, reached, bool(received))


class Wsgi:
    """Requests as WSGI servers hand them over.

    Args:
        style: how the server reads the request-target.
        raw: whether it hands that over too.
    """

    def __init__(self, style: Style, *, raw: bool) -> None:
        self.tolerant = TolerantWsgi()
        self._style = style
        self._raw = raw

    def paywalled(self, rules: list[Rule], options: Options, stack: ExitStack) -> WsgiPaywall:
        paywall = WsgiPaywall(self.tolerant, rules, **options)
        stack.callback(paywall.close)
        return paywall

    def ask(self, app: Any, attack: Attack) -> Answer:
        environ = wsgi_environ(attack, self._style, raw=self._raw)
        environ["wsgi.input"] = sent = Body()
        started: list[tuple[int, tuple[Header, ...]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            pairs = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)
            started.append((int(status[:3]), pairs))

        before = len(self.tolerant.reached)
        body = b"".join(app(environ, start_response))
        return Answer(*started[-1], body, len(self.tolerant.reached) > before, sent.was_read)


class Body(io.BytesIO):
    """A body that remembers whether anybody read it."""

    was_read = False

    def read(self, size: int | None = -1) -> bytes:
        self.was_read = True
        return super().read(size)
