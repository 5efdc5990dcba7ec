"""What is sold, by whom, and the order that asks the backend to sell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from taler_paywall.addresses import Networks
from taler_paywall.amount import Amount
from taler_paywall.resource import Resource, Rule
from taler_paywall.session import Keys, Order

#: Where the order says what it was made for, in the contract's ``extra``.
EXTRA = "taler_paywall"


@dataclass(frozen=True, slots=True)
class Storefront:
    """What the flow must know of the site, the same for every request.

    Args:
        public_url: address of the site, without a slash at the end.
        merchant_base_url: the instance as wallets see it, with a slash at the end.
        keys: derive order IDs.
        refund_delay: how long a refund stays possible, in seconds.
        recheck_after: how long a payment is believed without asking again, in seconds.
        merchant_pub: the instance's public key, None if any is accepted.
        cors_origins: whose scripts may buy, if they are of the same site.
        partial_refund: whether a refund of a part takes the purchase back.
        trusted_proxies: networks whose word counts for who the client is.
    """

    public_url: str
    merchant_base_url: str
    keys: Keys
    refund_delay: int
    recheck_after: float
    merchant_pub: str | None = None
    cors_origins: frozenset[str] = frozenset()
    partial_refund: Literal["revoke", "keep"] = "revoke"
    trusted_proxies: Networks = ()


class Offer(msgspec.Struct, frozen=True):
    """A resource with its price: what a reader without a payment is asked for.

    Args:
        rule: that sells the resource.
        resource: what is sold.
        amount: what it costs today.
        public_url: address of the site, without a slash at the end.
        marked: whether the price belongs to the resource's identity, so that its URL needs a marker.
    """

    rule: Rule
    resource: Resource
    amount: Amount
    public_url: str
    marked: bool = False

    @property
    def summary(self) -> str:
        """What the contract calls the resource."""
        return self.rule.summary_of(self.resource)

    @property
    def fulfillment_url(self) -> str:
        """Where the wallet leads to after paying: always the same for one resource, different for different ones."""
        return self.public_url + self.rule.page_of(self.resource, marked=self.marked)


def order_request(storefront: Storefront, offer: Offer, order: Order) -> dict[str, Any]:
    """Return the body of ``POST private/orders``: no time and nothing else that differs between two workers.

    Args:
        storefront: of the site.
        offer: what is sold.
        order: with the ID that this storefront chose.
    """
    return {
        "order": {
            "order_id": order.order_id,
            "summary": offer.summary,
            "amount": str(offer.amount),
            "fulfillment_url": fulfillment_url(offer, order),
            # Without it a shared link to the order would be a bare 403 (merchant API, 5.5).
            "public_reorder_url": offer.fulfillment_url,
            "extra": {EXTRA: {"resource": offer.resource.name, "amount": str(offer.amount)}},
        },
        "refund_delay": {"d_us": storefront.refund_delay * 1_000_000},
    }


def fulfillment_url(offer: Offer, order: Order) -> str:
    """Return where an order leads to; after a refund a new URL, so that no wallet proves the refunded order."""
    if not order.again:
        return offer.fulfillment_url
    return f"{offer.fulfillment_url}{'&' if '?' in offer.fulfillment_url else '?'}again={order.again}"


def leads_to(offer: Offer, order: Order, page: str) -> bool:
    """Tell whether a path and query of the site are where an order leads to."""
    return unquote(offer.public_url + page) == unquote(fulfillment_url(offer, order))
