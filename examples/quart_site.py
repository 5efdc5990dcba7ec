"""A Quart site that sells its articles to people and a word count to programs.

With play money: ``hypercorn examples.quart_site:app`` or, for development,
``quart --app examples.quart_site run``
"""

from __future__ import annotations

import os
import secrets

from quart import Quart, Response, abort, jsonify, request, session

from taler_paywall import Resource, Rule, payment_from
from taler_paywall.asgi import PaywallMiddleware

ARTICLES = {
    "bees": ("The bees are back", "They came over the roofs, all at once, on Tuesday."),
    "night-train": ("The night train", "It leaves at ten, and nobody wants to arrive."),
}
# Whose scripts may buy and read: other origins of the same site, which is https://news.example here.
ORIGINS = os.environ.get("APP_ORIGINS", "https://app.news.example").split()

# Quart's own /static/ is inside the paywall like everything here, and free because no rule names it.
app = Quart(__name__)
# Several workers have to share one.
app.secret_key = os.environ.get("SECRET_KEY") or secrets.token_urlsafe()
# The paywall sells /articles/bees and /articles/bees/ as one; so let Quart find both.
app.url_map.strict_slashes = False


def price_of_article(resource: Resource) -> str | None:
    """Sell what there is; for anything else nothing is asked, and the site answers with its own 404."""
    return "KUDOS:0.5" if resource.parts["slug"] in ARTICLES else None


def page(title: str, body: str) -> str:
    head = f'<!doctype html><title>{title}</title><link rel="stylesheet" href="/static/style.css">'
    return f"{head}<h1>{title}</h1>{body}"


@app.get("/")
async def front() -> str:
    links = [f'<li><a href="/articles/{slug}">{title}</a>' for slug, (title, _) in ARTICLES.items()]
    return page("The Ledger", f"<ul>{''.join(links)}</ul>")


@app.get("/articles/<slug>")
async def article(slug: str) -> str:
    if slug not in ARTICLES:
        abort(404)
    title, text = ARTICLES[slug]
    session["opened"] = opened = session.get("opened", 0) + 1
    payment = payment_from(request.scope)
    paid = f"Paid: {payment.amount}, order {payment.order_id}." if payment else ""
    return page(title, f"<p>{text}<p>{paid} Articles opened: {opened}.")


@app.post("/api/words")
async def words() -> Response:
    return jsonify(words=len((await request.get_json())["text"].split()))


@app.after_request
async def readable(answer: Response) -> Response:
    """Let the scripts of those origins read what was paid for; the paywall does the same for its own answers."""
    if request.origin in ORIGINS:
        answer.access_control_allow_origin = request.origin
        answer.access_control_allow_credentials = True
    answer.vary.add("Origin")
    return answer


# Around app.asgi_app, not around app: that stays a Quart object, for its command, its debugger and its test client.
app.asgi_app = PaywallMiddleware(  # type: ignore[method-assign]  # as Quart's manual has it
    app.asgi_app,
    rules=[
        Rule("/articles/{slug}", price=price_of_article, summary="Article {slug}"),
        Rule("POST /api/words", price="KUDOS:0.1", summary="Words, counted", page="/"),
    ],
    backend=os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:"),
    # The paywall answers preflights of what is sold, and makes its own 402 readable.
    cors_origins=ORIGINS,
)
