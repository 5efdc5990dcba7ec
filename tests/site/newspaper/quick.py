"""The newspaper with a paywall that asks the backend again after a moment, and with one rule of the GET method."""

from __future__ import annotations

from examples.newspaper.pages import site
from examples.newspaper.site import RULES
from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware

QUICK_RULES = [*RULES, Rule("GET /about", price="KUDOS:1", summary="About")]
RECHECK_AFTER = 0.2

app = PaywallMiddleware(site, QUICK_RULES, recheck_after=RECHECK_AFTER)
