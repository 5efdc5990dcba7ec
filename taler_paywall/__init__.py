"""A paywall for existing Python web sites, paid with GNU Taler.

The middleware is in the module of its protocol: ``from taler_paywall.asgi import PaywallMiddleware``, or
``from taler_paywall.wsgi import PaywallMiddleware``.
"""

from __future__ import annotations

from taler_paywall.amount import Amount
from taler_paywall.errors import ConfigError, TalerPaywallError
from taler_paywall.http import Request
from taler_paywall.operations import Payment
from taler_paywall.payment import payment_from
from taler_paywall.resource import Resource, Rule

__all__ = ["Amount", "ConfigError", "Payment", "Request", "Resource", "Rule", "TalerPaywallError", "payment_from"]
