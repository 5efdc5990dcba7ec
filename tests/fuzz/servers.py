"""How servers hand a target on: what the adapters then make of it, which is all that the gate sees."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes

import httptools

from taler_paywall import asgi, wsgi
from taler_paywall.http import Request


def h11(method: str, target: bytes, root: str) -> Request:
    """Cut at the question mark, as uvicorn with h11 and hypercorn do; the root stands in front."""
    raw, _, query = target.partition(b"?")
    return _asgi(method, root, root + _text(raw), quote(root).encode() + raw, query)


def parsing(method: str, target: bytes, root: str) -> Request:
    """Parse the target as a URL, as uvicorn with httptools does; what it refuses comes as from h11."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return h11(method, target, root)
    raw = url.path or b""
    return _asgi(method, root, root + _text(raw), quote(root).encode() + raw, url.query or b"")


def untold(method: str, target: bytes, root: str) -> Request:
    """Leave the raw path out."""
    raw, _, query = target.partition(b"?")
    return _asgi(method, root, root + _text(raw), None, query)


def bare_root(method: str, target: bytes, root: str) -> Request:
    """Tell the root, but leave it out of the path."""
    raw, _, query = target.partition(b"?")
    return _asgi(method, root, _text(raw), raw, query)


def wsgi_told(method: str, target: bytes, root: str) -> Request:
    """Fill an environ as gunicorn does, which tells the target as it came."""
    return _wsgi(method, target, root, told=True)


def wsgi_untold(method: str, target: bytes, root: str) -> Request:
    """Fill an environ as the standard has it."""
    return _wsgi(method, target, root, told=False)


def wsgi_merged(method: str, target: bytes, root: str) -> Request:
    """Make one slash of several in front, as waitress and werkzeug do."""
    return _wsgi(method, b"/" + target.lstrip(b"/"), root, told=False)


SERVERS: tuple[Callable[[str, bytes, str], Request], ...] = (
    h11,
    parsing,
    untold,
    bare_root,
    wsgi_told,
    wsgi_untold,
    wsgi_merged,
)


def _text(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def _asgi(method: str, root: str, path: str, raw: bytes | None, query: bytes) -> Request:
    scope = {"type": "http", "method": method, "path": path, "root_path": root, "query_string": query, "headers": []}
    return asgi._request_of(scope if raw is None else {**scope, "raw_path": raw})


def _wsgi(method: str, target: bytes, root: str, *, told: bool) -> Request:
    raw, _, query = target.partition(b"?")
    environ = {
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(raw).decode("latin-1"),
    }
    if told:
        environ["RAW_URI"] = quote(root) + target.decode("latin-1")
    path, raw_path, root_path = wsgi._paths_of(environ)
    return Request(method, path, raw_path, root_path, query, [])
