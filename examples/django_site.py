"""A Django site that sells its articles and its headlines, under ASGI and under WSGI.

With play money: ``uvicorn examples.django_site:asgi`` or ``gunicorn examples.django_site:wsgi`` or, for development,
``python -m examples.django_site runserver``
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.static import serve

from taler_paywall import Resource, Rule, payment_from
from taler_paywall.asgi import PaywallMiddleware as AsgiPaywall
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

ARTICLES = {
    "bees": ("The bees are back", "They came over the roofs, all at once, on Tuesday."),
    "night-train": ("The night train", "It leaves at ten, and nobody wants to arrive."),
}

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    # For several workers, one that they share.
    SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(),
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    # The paywall is not here: it wraps the application, so that who has not paid does not even reach Django.
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        # Sends /articles/bees to /articles/bees/ (APPEND_SLASH); the paywall sells both as one.
        "django.middleware.common.CommonMiddleware",
    ],
    # runserver serves this, the paywall included.
    WSGI_APPLICATION=f"{__name__}.wsgi",
)


def page(title: str, body: str) -> HttpResponse:
    head = f'<!doctype html><title>{title}</title><link rel="stylesheet" href="/static/style.css">'
    return HttpResponse(f"{head}<h1>{title}</h1>{body}")


def front(_: HttpRequest) -> HttpResponse:
    links = [f'<li><a href="/articles/{slug}/">{title}</a>' for slug, (title, _) in ARTICLES.items()]
    return page("The Ledger", f"<ul>{''.join(links)}</ul>")


def article(request: HttpRequest, slug: str) -> HttpResponse:
    if slug not in ARTICLES:
        raise Http404
    title, text = ARTICLES[slug]
    request.session["opened"] = opened = request.session.get("opened", 0) + 1
    # Under ASGI the request has a scope; under WSGI, META is the environ.
    payment = payment_from(getattr(request, "scope", request.META))
    paid = f"Paid: {payment.amount}, order {payment.order_id}." if payment else ""
    return page(title, f"<p>{text}<p>{paid} Articles opened: {opened}.")


def headlines(_: HttpRequest) -> JsonResponse:
    return JsonResponse([title for title, _ in ARTICLES.values()], safe=False)


urlpatterns = [
    path("", front),
    path("articles/<slug:slug>/", article),
    path("api/headlines", headlines),
    # Inside the paywall like everything here, and free because no rule names it.
    path("static/<path:path>", serve, {"document_root": Path(__file__).with_name("static")}),
]


def price_of_article(resource: Resource) -> str | None:
    """Sell what there is; for anything else nothing is asked, and the site answers with its own 404."""
    return "KUDOS:0.5" if resource.parts["slug"] in ARTICLES else None


RULES = [
    Rule("/articles/{slug}", price=price_of_article, summary="Article {slug}"),
    Rule("/api/headlines", price="KUDOS:0.1", summary="Today's headlines as data"),
]
BACKEND = os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:")
# A site of your own needs one of the two.
asgi = AsgiPaywall(get_asgi_application(), RULES, backend=BACKEND)
wsgi = WsgiPaywall(get_wsgi_application(), RULES, backend=BACKEND)

if __name__ == "__main__":
    execute_from_command_line()
