"""A Litestar site that sells its articles to people and a word count to programs.

With play money: ``granian --interface asgi examples.litestar_site:app``
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, get, post
from litestar.config.cors import CORSConfig
from litestar.exceptions import NotFoundException
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.static_files import create_static_files_router

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


def page(title: str, body: str) -> str:
    head = f'<!doctype html><title>{title}</title><link rel="stylesheet" href="/static/style.css">'
    return f"{head}<h1>{title}</h1>{body}"


@get("/", media_type=MediaType.HTML)
async def front() -> str:
    links = [f'<li><a href="/articles/{slug}">{title}</a>' for slug, (title, _) in ARTICLES.items()]
    return page("The Ledger", f"<ul>{''.join(links)}</ul>")


@get("/articles/{slug:str}", media_type=MediaType.HTML)
async def article(request: Request[Any, Any, Any]) -> str:
    slug = request.path_params["slug"]
    if slug not in ARTICLES:
        raise NotFoundException
    title, text = ARTICLES[slug]
    opened = request.session.get("opened", 0) + 1
    request.set_session({"opened": opened})
    payment = payment_from(request.scope)
    paid = f"Paid: {payment.amount}, order {payment.order_id}." if payment else ""
    return page(title, f"<p>{text}<p>{paid} Articles opened: {opened}.")


@post("/api/words", status_code=200)
async def words(request: Request[Any, Any, Any]) -> dict[str, int]:
    return {"words": len((await request.json())["text"].split())}


site = Litestar(
    # Static files are inside the paywall like everything here, and free because no rule names them; so is /schema.
    [front, article, words, create_static_files_router("/static", directories=[Path(__file__).with_name("static")])],
    # Sessions in the memory of this process; several workers need a store that they share.
    middleware=[ServerSideSessionConfig().middleware],
    cors_config=CORSConfig(allow_origins=ORIGINS, allow_credentials=True),
)

# Around the site, not in middleware=: that is made once for each route and runs after routing, where the paywall's own
# paths, such as that of "buy again", are unknown.
app = PaywallMiddleware(
    site,
    rules=[
        Rule("/articles/{slug}", price=price_of_article, summary="Article {slug}"),
        Rule("POST /api/words", price="KUDOS:0.1", summary="Words, counted", page="/"),
    ],
    backend=os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:"),
    # The paywall answers preflights of what is sold, and makes its own 402 readable.
    cors_origins=ORIGINS,
)
