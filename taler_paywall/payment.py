"""Where the application finds the payment that opened a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from taler_paywall.operations import Payment

SCOPE_KEY: Final = "taler_paywall"
ENVIRON_KEY: Final = "taler_paywall.payment"


def payment_from(scope_or_environ: Mapping[str, Any]) -> Payment | None:
    """Return the payment that opened the request, None if nothing was asked for it: it is free, or exempt.

    Args:
        scope_or_environ: the ASGI scope (``request.scope``) or the WSGI environ (Flask: ``request.environ``, Django:
            ``request.META``).
    """
    payment: Payment | None = scope_or_environ.get(SCOPE_KEY) or scope_or_environ.get(ENVIRON_KEY)
    return payment
