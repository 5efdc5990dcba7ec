"""A Starlette site that sells its articles and its headlines.

With play money: ``uvicorn examples.starlette_site:app``
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from taler_paywall import Resource, Rule, payment_from
from taler_paywall.asgi import PaywallMiddleware

ARTICLES = {
    "bees": ("The bees are back", "They came over the roofs, all at once, on Tuesday."),
    "night-train": ("The night train", "It leaves at ten, and nobody wants to arrive."),
}
# Whose scripts may buy and read: other origins of the same site, which is https://news.example here.
ORIGINS = os.environ.get("APP_ORIGINS", "https://app.news.example").split()


def price_of_article(resource: Resource) -> str | None:
    """Sell what there is; for anything else nothing is asked, and the site answers with its own 404."""
    return "KUDOS:0.5" if resource.parts["slug"] in ARTICLES else None


RULES = [
    Rule("/articles/{slug}", price=price_of_article, summary="Article {slug}"),
    Rule("/api/headlines", price="KUDOS:0.1", summary="Today's headlines as data"),
]


def page(title: str, body: str) -> HTMLResponse:
    head = f'<!doctype html><title>{title}</title><link rel="stylesheet" href="/static/style.css">'
    return HTMLResponse(f"{head}<h1>{title}</h1>{body}")


async def front(_: Request) -> HTMLResponse:
    links = [f'<li><a href="/articles/{slug}">{title}</a>' for slug, (title, _) in ARTICLES.items()]
    return page("The Ledger", f"<ul>{''.join(links)}</ul>")


async def article(request: Request) -> HTMLResponse:
    if request.path_params["slug"] not in ARTICLES:
        raise HTTPException(404)
    title, text = ARTICLES[request.path_params["slug"]]
    request.session["opened"] = opened = request.session.get("opened", 0) + 1
    payment = payment_from(request.scope)
    paid = f"Paid: {payment.amount}, order {payment.order_id}." if payment else ""
    return page(title, f"<p>{text}<p>{paid} Articles opened: {opened}.")


async def headlines(_: Request) -> JSONResponse:
    return JSONResponse([title for title, _ in ARTICLES.values()])


app = Starlette(
    routes=[
        Route("/", front),
        Route("/articles/{slug}", article),
        Route("/api/headlines", headlines),
        # Inside the paywall like everything here, and free because no rule names it.
        Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
    ],
    # The first is the outermost.
    middleware=[
        # Outside: it compresses the paywall's pages as well.
        Middleware(GZipMiddleware),
        Middleware(
            PaywallMiddleware,
            RULES,
            backend=os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:"),
            cors_origins=ORIGINS,
        ),
        # Inside: the paywall answers preflights of what is sold, and makes its own 402 readable.
        Middleware(CORSMiddleware, allow_origins=ORIGINS, allow_credentials=True),
        # Inside: who has not paid does not touch the site's own sessions. Several workers have to share a key.
        Middleware(SessionMiddleware, secret_key=os.environ.get("SECRET_KEY") or secrets.token_urlsafe()),
    ],
)
