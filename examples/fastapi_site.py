"""A FastAPI site that sells its articles to people and a word count to programs.

With play money: ``uvicorn examples.fastapi_site:app``
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware

from taler_paywall import Payment, Resource, Rule, payment_from
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


def payment_of(request: Request) -> Payment | None:
    return payment_from(request.scope)


PaymentOf = Annotated[Payment | None, Depends(payment_of)]
app = FastAPI(title="The Ledger")


def page(title: str, body: str) -> HTMLResponse:
    head = f'<!doctype html><title>{title}</title><link rel="stylesheet" href="/static/style.css">'
    return HTMLResponse(f"{head}<h1>{title}</h1>{body}")


@app.get("/", response_class=HTMLResponse)
def front() -> HTMLResponse:
    links = [f'<li><a href="/articles/{slug}">{title}</a>' for slug, (title, _) in ARTICLES.items()]
    return page("The Ledger", f"<ul>{''.join(links)}</ul>")


@app.get("/articles/{slug}", response_class=HTMLResponse)
def article(slug: str, request: Request, payment: PaymentOf) -> HTMLResponse:
    if slug not in ARTICLES:
        raise HTTPException(404)
    title, text = ARTICLES[slug]
    request.session["opened"] = opened = request.session.get("opened", 0) + 1
    paid = f"Paid: {payment.amount}, order {payment.order_id}." if payment else ""
    return page(title, f"<p>{text}<p>{paid} Articles opened: {opened}.")


class Text(BaseModel):
    text: str


@app.post("/api/words")
def words(text: Text) -> dict[str, int]:
    return {"words": len(text.text.split())}


# Inside the paywall like everything here, and free because no rule names it; so are /docs and /openapi.json.
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))

# What is added last is the outermost. What is inside the paywall comes first: who has not paid does not reach it.
app.add_middleware(SessionMiddleware, secret_key=os.environ.get("SECRET_KEY") or secrets.token_urlsafe())
app.add_middleware(CORSMiddleware, allow_origins=ORIGINS, allow_credentials=True)
app.add_middleware(
    PaywallMiddleware,
    rules=[
        Rule("/articles/{slug}", price=price_of_article, summary="Article {slug}"),
        Rule("POST /api/words", price="KUDOS:0.1", summary="Words, counted", page="/"),
    ],
    backend=os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:"),
    # The paywall answers preflights of what is sold, and makes its own 402 readable.
    cors_origins=ORIGINS,
)
