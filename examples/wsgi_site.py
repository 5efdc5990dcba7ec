"""A site in plain WSGI that sells its articles and its headlines: what every WSGI framework comes down to.

With play money: ``gunicorn examples.wsgi_site:app``
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import FileWrapper

from taler_paywall import Resource, Rule, payment_from
from taler_paywall.wsgi import PaywallMiddleware

ARTICLES = {
    "bees": ("The bees are back", "They came over the roofs, all at once, on Tuesday."),
    "night-train": ("The night train", "It leaves at ten, and nobody wants to arrive."),
}
STYLE = Path(__file__).with_name("static") / "style.css"


def price_of_article(resource: Resource) -> str | None:
    """Sell what there is; for anything else nothing is asked, and the site answers with its own 404."""
    return "KUDOS:0.5" if resource.parts["slug"] in ARTICLES else None


def page(title: str, body: str) -> bytes:
    head = f'<!doctype html><title>{title}</title><link rel="stylesheet" href="/static/style.css">'
    return f"{head}<h1>{title}</h1>{body}".encode()


def front() -> bytes:
    links = [f'<li><a href="/articles/{slug}">{title}</a>' for slug, (title, _) in ARTICLES.items()]
    return page("The Ledger", f"<ul>{''.join(links)}</ul>")


def article(slug: str, environ: WSGIEnvironment) -> bytes:
    title, text = ARTICLES[slug]
    payment = payment_from(environ)
    paid = f"Paid: {payment.amount}, order {payment.order_id}." if payment else ""
    return page(title, f"<p>{text}<p>{paid}")


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    html = ("Content-Type", "text/html; charset=utf-8")
    # The paywall sells /articles/bees and /articles/bees/ as one; so let both be found.
    match environ["PATH_INFO"].strip("/").split("/"):
        case [""]:
            start_response("200 OK", [html])
            return [front()]
        case ["articles", slug] if slug in ARTICLES:
            start_response("200 OK", [html, ("Set-Cookie", f"last={slug}; Path=/; HttpOnly")])
            return [article(slug, environ)]
        case ["api", "headlines"]:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps([title for title, _ in ARTICLES.values()]).encode()]
        # Inside the paywall like everything here, and free because no rule names it.
        case ["static", STYLE.name]:
            start_response("200 OK", [("Content-Type", "text/css")])
            style: Iterable[bytes] = environ.get("wsgi.file_wrapper", FileWrapper)(STYLE.open("rb"))
            return style
        case _:
            start_response("404 Not Found", [html])
            return [page("Not found", "<p>There is nothing here.")]


app = PaywallMiddleware(
    site,
    rules=[
        Rule("/articles/{slug}", price=price_of_article, summary="Article {slug}"),
        Rule("/api/headlines", price="KUDOS:0.1", summary="Today's headlines as data"),
    ],
    backend=os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:"),
)
