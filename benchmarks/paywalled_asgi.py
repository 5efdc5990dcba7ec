"""The ASGI sites of the benchmark behind the paywall; apart, so that the bare ones load nothing of it."""

from __future__ import annotations

from benchmarks import site_asgi
from benchmarks.streamed import RECHECK_AFTER, RULES
from taler_paywall.asgi import PaywallMiddleware


def small() -> PaywallMiddleware:
    """Return the smallest site behind the paywall."""
    return PaywallMiddleware(site_asgi.small, RULES, recheck_after=RECHECK_AFTER)


def templated() -> PaywallMiddleware:
    """Return the view of Starlette behind the paywall."""
    return PaywallMiddleware(site_asgi.templated, RULES, recheck_after=RECHECK_AFTER)
