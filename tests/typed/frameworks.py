"""The frameworks that have types, each with the paywall where its manual puts middleware."""

from __future__ import annotations

from typing import assert_type

import fastapi
import flask
import litestar
import litestar.middleware
import quart
import starlette.requests
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from taler_paywall import Payment, Rule, payment_from
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.testing.client import serving
from taler_paywall.wsgi import PaywallMiddleware as WSGIPaywallMiddleware

RULES = [Rule("/articles/{slug}", price="KUDOS:0.5")]


async def article(request: starlette.requests.Request) -> PlainTextResponse:
    assert_type(payment_from(request.scope), Payment | None)
    return PlainTextResponse("content")


for_starlette = Starlette(
    routes=[Route("/articles/{slug}", article)],
    middleware=[
        Middleware(PaywallMiddleware, rules=RULES),
        Middleware(PaywallMiddleware, rules={"/books/{isbn}": "KUDOS:1"}, backend="sandbox:", recheck_after=0),
    ],
)
for_starlette.add_middleware(PaywallMiddleware, rules=RULES, backend="sandbox:")
around_starlette = PaywallMiddleware(for_starlette, RULES, backend="sandbox:")

for_fastapi = fastapi.FastAPI(middleware=[Middleware(PaywallMiddleware, rules=RULES)])
for_fastapi.add_middleware(PaywallMiddleware, rules=RULES, backend="sandbox:")


@for_fastapi.get("/articles/{slug}")
def fastapi_article(request: fastapi.Request, slug: str) -> str | None:
    payment = payment_from(request.scope)
    assert_type(payment, Payment | None)
    return payment.amount if payment else None


for_flask = flask.Flask(__name__)
for_flask.wsgi_app = WSGIPaywallMiddleware(for_flask.wsgi_app, RULES)  # type: ignore[method-assign] # as Flask says
around_flask = WSGIPaywallMiddleware(for_flask, RULES)


@for_flask.get("/articles/<slug>")
def flask_article(slug: str) -> str:
    assert_type(payment_from(flask.request.environ), Payment | None)
    return slug


for_quart = quart.Quart(__name__)
around_quart = PaywallMiddleware(for_quart, RULES)


@for_quart.get("/articles/<slug>")
async def quart_article(slug: str) -> str:
    assert_type(payment_from(quart.request.scope), Payment | None)
    return slug


for_litestar = litestar.Litestar(middleware=[litestar.middleware.DefineMiddleware(PaywallMiddleware, rules=RULES)])
around_litestar = PaywallMiddleware(for_litestar, RULES)


@litestar.get("/articles/{slug:str}")
async def litestar_article(request: litestar.Request[None, None, litestar.datastructures.State]) -> str:
    assert_type(payment_from(request.scope), Payment | None)
    return "content"


for each in (around_starlette, around_flask, around_quart, around_litestar, for_flask, for_fastapi):
    with serving(each):
        pass
