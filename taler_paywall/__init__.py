"""A paywall for existing Python web sites, paid with GNU Taler.

The middleware is in the module of its protocol: ``from taler_paywall.asgi import PaywallMiddleware``, or
``from taler_paywall.wsgi import PaywallMiddleware``. `Paywall.from_file` reads what is sold from a file.
"""

from __future__ import annotations

from taler_paywall.amount import Amount
from taler_paywall.configuration import Paywall
from taler_paywall.errors import ConfigError, TalerPaywallError
from taler_paywall.events import Event
from taler_paywall.http import Request
from taler_paywall.operations import Payment
from taler_paywall.payment import payment_from
from taler_paywall.resource import Resource, Rule

__all__ = [
    "Amount",
    "ConfigError",
    "Event",
    "Payment",
    "Paywall",
    "Request",
    "Resource",
    "Rule",
    "TalerPaywallError",
    "payment_from",
]
