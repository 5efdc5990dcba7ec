"""Sites of several frameworks in one process, each bare, behind the paywall and behind a naive one."""

from __future__ import annotations

from typing import Final

from .tolerant import SECRET_HEADERS

#: The request header that chooses a site, ``FRAMEWORK GUARD``; no application sees it.
SITE: Final = b"x-site"
#: What stands in front of an application.
BARE: Final = "bare"
PAYWALL: Final = "paywall"
NAIVE: Final = "naive"
#: The answer to a request that chooses no site.
NO_SITE: Final = b"no such site"

PRICES: Final = {"/article": "KUDOS:1", "/premium/*": "KUDOS:2", "/api/v1/paid": "KUDOS:0.1"}
ASGI: Final = ("starlette", "fastapi", "django", "quart", "litestar", "tolerant")
WSGI: Final = ("django", "flask", "tolerant")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "FOO")
HEADERS: Final = {name.decode().title(): value.decode() for name, value in SECRET_HEADERS}


def is_sold(path: str) -> bool:
    """Compare as many a middleware does: by equality and by prefix."""
    return path in {"/article", "/api/v1/paid", "/premium"} or path.startswith("/premium/")
