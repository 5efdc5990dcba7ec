"""The fixtures in front of Django, whose settings are one per process: as its owner's own run of pytest."""

from __future__ import annotations

from pathlib import Path

from .test_plugin import run_pytest

SITE = """
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from taler_paywall import payment_from

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="only for this test", ALLOWED_HOSTS=["testserver"])


def article(request, slug):
    paid = payment_from(getattr(request, "scope", None) or request.META)
    return HttpResponse(f"All about {slug} for {paid.amount}")


urlpatterns = [path("articles/<str:slug>", article)]
"""
TESTS = """
import django_articles
import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from taler_paywall import asgi, wsgi

RULES = {"/articles/{slug}": "KUDOS:0.5"}


@pytest.fixture(params=["asgi", "wsgi"])
def app(request, taler_sandbox):
    if request.param == "asgi":
        return asgi.PaywallMiddleware(get_asgi_application(), RULES, **taler_sandbox.options)
    return wsgi.PaywallMiddleware(get_wsgi_application(), RULES, **taler_sandbox.options)


@pytest.mark.parametrize("slug", ["bees", "grüße"])
def test_buy(app, slug, paywalled_client, taler_sandbox):
    reader = paywalled_client(app)
    assert reader.get(f"/articles/{slug}").status_code == 302
    assert reader.buy(f"/articles/{slug}").text == f"All about {slug} for KUDOS:0.5"
    assert reader.get("/elsewhere").status_code == 404
    assert [order["paid"] for order in taler_sandbox.orders()] == [True]
"""


def test_django(tmp_path: Path) -> None:
    """Pages of Django are bought under ASGI and under WSGI, without a warning."""
    (tmp_path / "django_articles.py").write_text(SITE)
    (tmp_path / "test_site.py").write_text(TESTS)
    done = run_pytest(tmp_path)
    assert (done.returncode, "4 passed" in done.stdout) == (0, True), done.stdout + done.stderr
