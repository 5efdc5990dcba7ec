"""What a site remembers from one request to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from taler_paywall.cache import MemoryCache, Payments
from taler_paywall.learnt import Learnt
from taler_paywall.order_limits import OrderLimits


class Limits(Protocol):
    """Budgets of new orders; where they have to be waited for, what `take` returns is awaited."""

    def take(self, client: str, now: float) -> Any: ...  # noqa: D102 - see `OrderLimits`


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that outlives a request.

    Args:
        payments: the session-payment-cache.
        learnt: of the backend.
        limits: of new orders.
    """

    payments: Payments = field(default_factory=MemoryCache)
    learnt: Learnt = field(default_factory=Learnt)
    limits: Limits = field(default_factory=OrderLimits)
