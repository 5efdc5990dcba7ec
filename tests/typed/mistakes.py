"""Mistakes that mypy finds; at each line is what it says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_type
from wsgiref.types import StartResponse, WSGIEnvironment

from starlette.applications import Starlette
from starlette.middleware import Middleware

from taler_paywall import Payment, Request, Resource, Rule, asgi, payment_from, wsgi


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return []


async def asgi_site(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    pass


async def price_later(resource: Resource) -> str:
    return "KUDOS:1"


def price_of_request(request: Request) -> str:
    return "KUDOS:1"


def is_staff(request: Request) -> str:
    return "yes"


def knows(environ: WSGIEnvironment, request: Request) -> None:
    payment_from(request)  # type: ignore[arg-type] # "Request"; expected "Mapping[str, Any]"
    payment_from()  # type: ignore[call-arg] # Missing positional argument "scope_or_environ"
    str(payment_from(environ).amount)  # type: ignore[union-attr] # "None" of "Payment | None" has no attribute "amount"
    if payment := payment_from(environ):
        assert_type(payment, Payment)
        str(payment.price)  # type: ignore[attr-defined] # "Payment" has no attribute "price"
        payment.amount = "KUDOS:0"  # type: ignore[misc] # "amount" defined in "Payment" is read-only


Rule("/a", price=0.5)  # type: ignore[arg-type] # "float"; expected
Rule("/a", price=price_later)  # type: ignore[arg-type] # Coroutine[Any, Any, str]
Rule("/a", price=price_of_request)  # type: ignore[arg-type] # Callable[[Request], str]
Rule("/a", cost="KUDOS:1")  # type: ignore[call-arg] # Unexpected keyword argument "cost"
Rule("/a")  # type: ignore[call-arg] # Missing positional argument "price"

wsgi.PaywallMiddleware(site)  # type: ignore[call-arg] # Missing positional argument "rules"
wsgi.PaywallMiddleware(site, {"/a": 0.5})  # type: ignore[dict-item] # "str": "float"; expected
wsgi.PaywallMiddleware(site, [("/a", "KUDOS:1")])  # type: ignore[list-item] # expected "Rule"
wsgi.PaywallMiddleware(site, {}, secretkey="x")  # type: ignore[call-arg] # did you mean "secret_key"?
wsgi.PaywallMiddleware(site, {}, public_url=80)  # type: ignore[arg-type] # "int"; expected "str | None"
wsgi.PaywallMiddleware(site, {}, unpaid="forbid")  # type: ignore[arg-type] # expected "Literal['redirect', 'page']"
wsgi.PaywallMiddleware(site, {}, exempt=is_staff)  # type: ignore[arg-type] # expected "Callable[[Request], bool] | None"
wsgi.PaywallMiddleware(asgi_site, {})  # type: ignore[arg-type] # expected "Callable[[dict[str, Any], StartResponse]

asgi.PaywallMiddleware(asgi_site)  # type: ignore[call-arg] # Missing positional argument "rules"
asgi.PaywallMiddleware(asgi_site, {"/a": 0.5})  # type: ignore[dict-item] # "str": "float"; expected
asgi.PaywallMiddleware(asgi_site, [], recheckafter=0)  # type: ignore[call-arg] # did you mean "recheck_after"?
asgi.PaywallMiddleware(asgi_site, [], recheck_after="0")  # type: ignore[arg-type] # expected "float | timedelta"
asgi.PaywallMiddleware(asgi_site, [], price_policy="old")  # type: ignore[arg-type] # Literal['honour', 'current']
asgi.PaywallMiddleware(asgi_site, [], exempt=is_staff)  # type: ignore[arg-type] # expected "Callable[[Request], bool]
asgi.PaywallMiddleware(site, [])  # type: ignore[arg-type] # Awaitable[None]]"

Middleware(asgi.PaywallMiddleware)  # type: ignore[call-arg] # Missing positional argument "rules"
Middleware(asgi.PaywallMiddleware, rules=0.5)  # type: ignore[arg-type] # "float"; expected
Middleware(asgi.PaywallMiddleware, rules=[], backnd="sandbox:")  # type: ignore[call-arg] # "backnd"
Starlette().add_middleware(asgi.PaywallMiddleware, rules=[], enabled="no")  # type: ignore[arg-type] # "str"
