"""All WSGI sites of one process; a request header chooses among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

from taler_paywall.wsgi import PaywallMiddleware

from . import site_django
from .site_flask import site as flask_site
from .sites import BARE, NO_SITE, PAYWALL, PRICES, SITE
from .tolerant import TolerantWsgi

KEY: Final = f"HTTP_{SITE.decode().upper().replace('-', '_')}"

assert site_django.urlpatterns
sites: Final[dict[str, WSGIApplication]] = {}
made: Final[dict[str, WSGIApplication]] = {
    "django": get_wsgi_application(),
    "flask": flask_site,
    "tolerant": TolerantWsgi(),
}
for framework, site in made.items():
    sites.update({f"{framework} {BARE}": site, f"{framework} {PAYWALL}": PaywallMiddleware(site, PRICES)})


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Hand a request to the site that it chooses, without the header that does."""
    chosen = sites.get(environ.pop(KEY, ""))
    if chosen is None:
        start_response("404 Not Found", [("Content-Length", str(len(NO_SITE)))])
        return [NO_SITE]
    return chosen(environ, start_response)
