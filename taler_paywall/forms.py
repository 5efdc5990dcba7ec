"""The forms of the paywall's own pages: only this very site may send them (design, section 7)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec.structs import replace

from taler_paywall.decision import Refused
from taler_paywall.http import UNSAFE_METHODS, Request

#: Bytes of a form.
MAX_FORM = 4096
#: What may be bought: the page is made for its own method, and HEAD would leave it without a body.
_METHODS = UNSAFE_METHODS | {"GET"}


def page_of_form(request: Request, body: bytes | None, public_url: str) -> Request | Refused:
    """Return the request for the page that a form of ours names.

    Args:
        request: that carries the form.
        body: form fields or a JSON object with ``page`` (path and query) and ``method``; None if it was too long,
            or cut off.
        public_url: of the site.
    """
    if not is_own(request, public_url):
        return Refused(403, "foreign-form")
    if body is None:
        return Refused(413, "body-too-long")
    form = _fields(request, body)
    return _request_for(request, form.get("page", ""), form.get("method", "GET"))


def page_of_query(request: Request) -> Request | Refused:
    """Return the request for the page that the query of one of our own addresses names."""
    return _request_for(request, request.parameter("page"), "GET")


def is_own(request: Request, public_url: str) -> bool:
    """Tell whether a page of this very site sends a request.

    Args:
        request: a POST.
        public_url: of the site.
    """
    site = urlsplit(public_url)
    # A page that sends no referrer sends no origin with its forms either: browsers then write "null".
    own_origin = request.header(b"origin").decode("latin-1") == f"{site.scheme}://{site.netloc}"
    return own_origin or request.header(b"sec-fetch-site") == b"same-origin"


def _request_for(request: Request, target: str, method: str) -> Request | Refused:
    if not target.startswith("/") or target.startswith("//") or not target.isascii() or not target.isprintable():
        return Refused(400, "malformed-form")
    if method not in _METHODS:
        return Refused(400, "malformed-form")
    url = urlsplit(target)
    return replace(
        request,
        method=method,
        path=unquote(url.path),
        raw_path=url.path.encode(),
        root_path="",
        query=url.query.encode(),
    )


def _fields(request: Request, body: bytes) -> dict[str, str]:
    """Return the fields of a form, or the members of a JSON object; what cannot be read has none."""
    try:
        if request.header(b"content-type").startswith(b"application/json"):
            fields: Any = json.loads(body)
        else:
            fields = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
    except (ValueError, RecursionError):
        return {}
    return {k: v for k, v in fields.items() if isinstance(v, str)} if isinstance(fields, dict) else {}
