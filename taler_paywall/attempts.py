"""The orders of one browser for one resource, one after another: each attempt has an ID of its own."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from taler_paywall.answers import Claimed
from taler_paywall.discreet import Discreet
from taler_paywall.offer import Offer, Storefront, leads_to
from taler_paywall.operations import SessionId
from taler_paywall.session import Order
from taler_paywall.visit import Visit


class Unusable(Discreet, frozen=True):
    """An order that can neither be paid nor opens the resource: the next attempt replaces it.

    Args:
        reason: ``claimed``, ``moved`` (it was paid here, and is in another browser now), ``expired``,
            ``unknown-order``, ``other-resource``, or why a proof was not acceptable.
        anew: whether the next order must look new to a wallet, which would otherwise prove the old one and not pay.
        claimed: what a wallet holds: perhaps it has proved an earlier payment since.
    """

    hidden = frozenset({"claimed"})
    reason: str
    anew: bool = False
    claimed: Claimed | None = None


class Attempts(msgspec.Struct, frozen=True):
    """Names the orders of a visit: always the same for the same browser, resource and number."""

    storefront: Storefront
    visit: Visit
    offer: Offer

    def first(self) -> Order:
        """Return the order that a browser without one begins with."""
        return self._order(self.visit.new_session or self.visit.orders[0].session_id, attempt=0, again=0)

    def after(self, order: Order, outcome: Unusable) -> Order:
        """Return the order that replaces an unusable one."""
        following = self._order(order.session_id, order.attempt + 1, order.again + outcome.anew)
        if outcome.reason == "moved" or (order.state == "moved" and not outcome.anew):
            following = replace(following, state="moved")
        # A reader who comes back from the backend's page still wants the page that was asked for at first.
        return following if following.page else replace(following, page=order.page)

    def _order(self, session_id: SessionId, attempt: int, again: int) -> Order:
        resource, page = self.offer.resource, self.visit.page
        order_id = self.storefront.keys.order_id(session_id, resource.name, attempt)
        order = Order(session_id, order_id, resource.tag, attempt, again, "", page, 0, self.visit.now)
        return replace(order, page="") if leads_to(self.offer, order, page) else order
