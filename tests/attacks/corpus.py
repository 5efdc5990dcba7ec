"""The corpus of attacks: requests as they go over the wire, and as servers hand them to applications."""

from __future__ import annotations

import io
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment

import msgspec

#: How a server reads a request-target: as it comes, or parsed, without authority and fragment.
Style = Literal["h11", "httptools"]
Header = tuple[bytes, bytes]

HOST = b"t.test"

_REPEAT = re.compile(r"\{\{repeat:(\d+):((?:\{\{\w+\}\}|[^{}])*)\}\}")
_TOKEN = re.compile(r"\{\{(name|(?:value|order|session):[^{}]*)\}\}")
_AUTHORITY = re.compile(rb"\A[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")


class Jar(Protocol):
    """The cookies of the browsers that the corpus speaks of; RESOURCE is a path, MUTATION what was done to a value."""

    @property
    def name(self) -> str:
        """The name of the cookie that would open what the attack asks for."""

    def value(self, state: str, resource: str, mutation: str) -> str:
        """Return a cookie's value."""

    def order(self, state: str, resource: str) -> str:
        """Return the ID of the order that such a cookie holds."""

    def session(self, state: str, resource: str) -> str:
        """Return the ID of the session that such a cookie holds."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request; code points from U+0080 to U+00FF are single raw bytes.

    Args:
        method: the method token.
        path: the request-target, query included.
        headers: names and values, the values with tokens for `render`.
        body: what follows.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


class Setup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands behind the paywall, and how it is mounted.

    Args:
        app: ``tolerant``, or what else serves the secret.
        backend: the scenario that the merchant backend plays.
        config: of the server and of the site.
        steps: what happens when, if a single request is not all.
        note: what to look at.
    """

    app: str = "tolerant"
    backend: str = "unpaid"
    config: dict[str, Any] = {}
    steps: tuple[str, ...] = ()
    note: str = ""


class Attack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry.

    Args:
        id: group and number.
        group: of the corpus.
        description: in a few words.
        request: what is sent.
        protected_pattern: the rule that it is about.
        expected: what must come of it, with ``also`` beside it.
        severity: of a leak.
        setup: around it.
        also: further expectations.
        status: the only statuses that are right, if it names some.
        layer: ``socket`` or ``h2`` if ordinary clients cannot send it, ``proxy`` if it is about a cache in front.
        refs: published and fixed advisories about the same.
    """

    id: str
    group: str
    description: str
    request: Request
    protected_pattern: str
    expected: str
    severity: str
    setup: Setup = Setup()
    also: tuple[str, ...] = ()
    status: tuple[int, ...] = ()
    layer: str = ""
    refs: tuple[str, ...] = ()

    @property
    def target(self) -> bytes:
        """The request-target as it goes over the wire."""
        return _repeated(self.request.path).encode("latin-1")

    def headers(self, jar: Jar | None = None) -> list[Header]:
        """Return the headers as they go over the wire, with a Host if the entry has none; tokens need a jar."""
        pairs = [(name, render(value, jar)) for name, value in self.request.headers]
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        return headers if any(name.lower() == b"host" for name, _ in headers) else [(b"Host", HOST), *headers]


@cache
def corpus() -> tuple[Attack, ...]:
    """Return all entries."""
    data = Path(__file__).parents[1].joinpath("data", "attacks.json").read_bytes()
    return msgspec.json.decode(data, type=tuple[Attack, ...])


def attacks(*groups: str) -> list[Attack]:
    """Return the entries of some groups."""
    return [attack for attack in corpus() if attack.group in groups]


def render(text: str, jar: Jar | None) -> str:
    """Expand the tokens of a text: a cookie's name or value, an order, a session, a repetition.

    Raises:
        ValueError: there are cookies in it, and no jar to take them from.
    """

    def taken(match: re.Match[str]) -> str:
        if jar is None:
            raise ValueError(f"no jar to take {match[0]} from")
        kind, state, resource, mutation = (*match[1].split(":", 3), "", "", "")[:4]
        match kind:
            case "value":
                return jar.value(state, resource, mutation)
            case "order":
                return jar.order(state, resource)
            case "session":
                return jar.session(state, resource)
            case _:
                return jar.name

    return _TOKEN.sub(taken, _repeated(text))


def raw_request(attack: Attack, jar: Jar | None = None) -> bytes:
    """Return the bytes of a request that ends its connection."""
    target = render(attack.target.decode("latin-1"), jar).encode("latin-1")
    lines = [b"%s %s HTTP/1.1" % (attack.request.method.encode("latin-1"), target)]
    lines += [b"%s: %s" % header for header in attack.headers(jar)]
    return b"\r\n".join([*lines, b"Connection: close", b"", attack.request.body.encode("latin-1")])


def asgi_scope(attack: Attack, style: Style, jar: Jar | None = None) -> dict[str, Any]:
    """Return the scope that a server makes of a request."""
    config, kind = attack.setup.config, _scope_type(attack)
    raw, query = _read(render(attack.target.decode("latin-1"), jar).encode("latin-1"), style)
    prefix, root_path = _mounted(attack)
    raw = prefix.encode() + raw
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "2" if attack.layer == "h2" else "1.1",
        "method": attack.request.method,
        "scheme": "ws" if kind == "websocket" else "http",
        "path": unquote_to_bytes(raw).decode("utf-8", "replace"),
        "raw_path": b"%s?%s" % (raw, query) if config.get("raw_path_with_query") else raw,
        "query_string": query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in attack.headers(jar)],
        "client": ("203.0.113.9", 4242),
        "server": (HOST.decode(), 80),
        "extensions": {"websocket.http.response": {}},
    }
    absent = {"raw_path"} if config.get("drop_raw_path") else set()
    absent |= {"method"} if kind == "websocket" else {"extensions"}
    return {key: value for key, value in scope.items() if key not in absent}


def wsgi_environ(attack: Attack, style: Style, jar: Jar | None = None, *, raw: bool) -> WSGIEnvironment:
    """Return the environ that a server makes of a request, with the raw address in it or without."""
    target = render(attack.target.decode("latin-1"), jar).encode("latin-1")
    path, query = _read(target, style)
    prefix, root_path = _mounted(attack)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": attack.request.method,
        "SCRIPT_NAME": root_path,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1").removeprefix("" if prefix else root_path),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": HOST.decode(),
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(attack.request.body.encode("latin-1")),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if raw:
        environ["RAW_URI"] = environ["REQUEST_URI"] = prefix + target.decode("latin-1")
    for name, value in attack.headers(jar):
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = separator.join([*([environ[key]] if key in environ else []), value.decode("latin-1")])
    return environ


def _repeated(text: str) -> str:
    return _REPEAT.sub(lambda match: match[2] * int(match[1]), text)


def _read(target: bytes, style: Style) -> tuple[bytes, bytes]:
    """Return path and query as a server reads them."""
    if style == "httptools":
        authority = _AUTHORITY.match(target)
        target = (target[authority.end() :] or b"/") if authority else target
        target = target.partition(b"#")[0]
    path, _, query = target.partition(b"?")
    return path, query


def _scope_type(attack: Attack) -> str:
    return str(
        attack.setup.config.get("scope_type") or ("websocket" if attack.setup.app == "websocket-echo" else "http")
    )


def _mounted(attack: Attack) -> tuple[str, str]:
    """Return what a server puts before the path, and where the application is mounted."""
    config = attack.setup.config
    if root := config.get("root_path") or config.get("SCRIPT_NAME"):
        return root, root
    return "", attack.setup.app.partition(":")[2] if attack.setup.app.startswith("starlette-mount:") else ""
