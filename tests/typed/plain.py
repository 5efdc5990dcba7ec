"""What needs no framework: rules, options, both middlewares, and the payment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, assert_type
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from taler_paywall import Amount, Payment, Request, Resource, Rule, asgi, payment_from, wsgi
from taler_paywall.settings import Options


def price_of(resource: Resource) -> str | None:
    return {"bees": "KUDOS:0.5"}.get(resource.parts["slug"])


def amount_of(resource: Resource) -> Amount:
    return Amount.parse("KUDOS:1")


def is_staff(request: Request) -> bool:
    return request.header(b"x-staff") == b"yes"


RULES = [
    Rule("/articles/{slug}", price=price_of, summary=lambda resource: resource.parts["slug"].title()),
    Rule("/books/{isbn}/*", price=amount_of, summary="The book {isbn}"),
    Rule("POST /translate", price=Amount.parse("KUDOS:0.1"), page="/prices"),
    Rule(re.compile("/photos/(?P<name>.+)"), price="KUDOS:2", page="/photos", query=["size"]),
    Rule("/articles/sample", price=None),
]
OPTIONS: Options = {
    "backend": "https://backend.example/",
    "token": "secret-token:sandbox",
    "secret_key": ["an old key", b"a new key"],
    "public_url": "https://news.example",
    "refund_delay": timedelta(hours=1),
    "cookie_max_age": 86_400,
    "recheck_after": 0.5,
    "unpaid": "redirect",
    "price_policy": "current",
    "cors_origins": ["https://app.example"],
    "exempt": is_staff,
}


def plain_wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    payment = payment_from(environ)
    assert_type(payment, Payment | None)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [payment.order_id.encode() if payment else b"free"]


async def plain_asgi(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    assert_type(payment_from(scope), Payment | None)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"content"})


def a_dictionary(scope: dict[str, Any]) -> None:
    if payment := payment_from(scope):
        assert_type((payment.order_id, payment.resource, payment.amount), tuple[str, str, str])


behind_wsgi = wsgi.PaywallMiddleware(plain_wsgi, RULES, **OPTIONS)
behind_asgi = asgi.PaywallMiddleware(plain_asgi, RULES, **OPTIONS)
by_prices = wsgi.PaywallMiddleware(plain_wsgi, {"/a/{slug}": "KUDOS:1", "/b/{slug}": price_of}, backend="sandbox:")
one_kind_of_price = asgi.PaywallMiddleware(plain_asgi, {"/a/{slug}": price_of}, backend="sandbox:", exempt=is_staff)
within_each_other = wsgi.PaywallMiddleware(behind_wsgi, [], enabled=False)
for_a_server: WSGIApplication = behind_wsgi
make_server("127.0.0.1", 8000, behind_wsgi)
