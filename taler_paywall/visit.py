"""Who asks for a resource: one request, with what its cookies say."""

from __future__ import annotations

import msgspec

from taler_paywall.http import Request, belongs
from taler_paywall.operations import PaymentKey, SessionId
from taler_paywall.resource import Resource, Rule
from taler_paywall.rules import spelled_like
from taler_paywall.session import MAX_PAGE, Order


class Visit(msgspec.Struct, frozen=True):
    """One request for a resource.

    Args:
        request: what was asked for.
        orders: this browser's orders for the resource, newest first (step 2).
        new_session: the session for a first order: the browser's, or a fresh one; None if there are orders.
        fresh: whether the session is fresh.
        now: seconds since 1970.
        buy_again: whether the reader pressed "buy": what was refunded, or could not be proved, is sold once more.
        rule: that applies, None if its spelling does not matter.
    """

    request: Request
    orders: tuple[Order, ...]
    new_session: SessionId | None
    fresh: bool
    now: int
    buy_again: bool = False
    rule: Rule | None = None

    def keys(self, resource: Resource) -> tuple[PaymentKey, ...]:
        """Return where the session-payment-cache would hold a payment for the resource, in the order of `orders`."""
        return tuple([order.key(resource.name) for order in self.orders])

    def has(self, order: Order) -> bool:
        """Tell whether this browser came with an order."""
        return (order.order_id, order.session_id) in [(each.order_id, each.session_id) for each in self.orders]

    @property
    def page(self) -> str:
        """Path and query that a browser navigated to, to return to after paying; empty for other requests.

        Empty too where the rule spells the path in another way: the site may not know this one.
        """
        navigated = self.request.method == "GET" and (self.buy_again or self.request.is_navigation)
        spelled = self.rule is None or any(
            spelled_like(self.rule, path) for path in (self.request.app_path, self.request.path)
        )
        return self.request.target if navigated and spelled and len(self.request.target) <= MAX_PAGE else ""

    def lost_cookies(self, public_url: str, merchant_base_url: str) -> bool:
        """Tell whether a browser came back from the backend's page without cookies; on one host nobody can tell."""
        came_from = self.request.header(b"referer").decode("latin-1")
        came_back = self.request.is_navigation and belongs(came_from, merchant_base_url)
        return came_back and self.fresh and not belongs(public_url, merchant_base_url)
