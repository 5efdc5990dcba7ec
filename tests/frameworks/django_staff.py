"""A site whose `exempt` asks Django's database, on both adapters; run by itself, because settings are made once."""

from __future__ import annotations

from typing import Any

import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connection

from taler_paywall import Request
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.testing.client import serving
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

settings.configure(
    ROOT_URLCONF=(),
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
RULES = {"/articles/{slug}": "KUDOS:0.5"}


def is_staff(_: Request) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def status(app: Any) -> int:
    with serving(app) as transport, httpx.Client(transport=transport, base_url="http://127.0.0.1:8000") as client:
        return client.get("/articles/bees").status_code


if __name__ == "__main__":
    # The site has nothing, so that 404 is its own answer.
    assert status(WsgiPaywall(get_wsgi_application(), RULES, backend="sandbox:", exempt=is_staff)) == 404
    assert status(PaywallMiddleware(get_asgi_application(), RULES, backend="sandbox:", exempt=is_staff)) == 503
    connection.close()
