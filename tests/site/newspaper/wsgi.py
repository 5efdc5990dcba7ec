"""The same newspaper as a WSGI application: its pages run in an event loop beside the server's threads."""

from __future__ import annotations

from typing import Any, cast
from wsgiref.types import WSGIApplication

from a2wsgi import ASGIMiddleware

from examples.newspaper.pages import site
from examples.newspaper.site import RULES
from taler_paywall import payment_from
from taler_paywall.asgi import Receive, Scope, Send
from taler_paywall.payment import SCOPE_KEY
from taler_paywall.wsgi import PaywallMiddleware

from .quick import QUICK_RULES, RECHECK_AFTER


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the newspaper's pages, which look for the payment where ASGI has it."""
    payment = payment_from(scope["wsgi_environ"])
    await site({**scope, SCOPE_KEY: payment} if payment else scope, receive, send)


def bare() -> WSGIApplication:
    """Return the newspaper without a paywall; the loop starts here, in the worker."""
    # a2wsgi has types of its own for both protocols.
    return cast("WSGIApplication", ASGIMiddleware(cast("Any", pages)))


def newspaper() -> PaywallMiddleware:
    """Return what `examples.newspaper.site` has for ASGI."""
    return PaywallMiddleware(
        bare(),
        RULES,
        site_name="The Ledger",
        logo="/static/icon.svg",
        colours={"accent": "#8c2f1d", "dark_accent": "#e58f73"},
    )


def quick() -> PaywallMiddleware:
    """Return what `quick` has for ASGI."""
    return PaywallMiddleware(bare(), QUICK_RULES, recheck_after=RECHECK_AFTER)
