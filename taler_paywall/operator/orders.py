"""The orders of an instance, for its owner: which there are, and their refunds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from taler_paywall.amount import Amount
from taler_paywall.errors import BackendRejected, CodecError, TalerPaywallError
from taler_paywall.merchant import post_refund
from taler_paywall.operator.merchant_calls import OrderEntry, get_details, get_orders
from taler_paywall.operator.target import Target
from taler_paywall.resource import Rule

#: How many are asked for at once.
PAGE = 100


class RefundImpossible(TalerPaywallError):
    """There cannot be such a refund; the message says why."""


@dataclass(frozen=True)
class Wanted:
    """Which orders to list.

    Args:
        traits: ``paid`` or ``refunded`` with ``yes`` or ``no``.
        since: in seconds since 1970.
        resource: name of one resource, None for any.
        rule: that made them, None for any.
    """

    traits: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0
    resource: str | None = None
    rule: Rule | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether each order has to be asked for by itself: the list does not say what it was made for."""
        return self.resource is not None or self.rule is not None

    def fits(self, resource: str) -> bool:
        """Tell whether an order for a resource is wanted."""
        if self.rule:
            identity = self.rule.identity
            # What follows are the named parts, and with price_policy="current" the price.
            if resource != identity and not resource.startswith((f"{identity}?", f"{identity} for ")):
                return False
        return self.resource in {None, resource}


@dataclass(frozen=True)
class Listed:
    """An order.

    Args:
        entry: as the backend lists it.
        resource: what the paywall made it for, empty where that was not looked for or another program made it.
    """

    entry: OrderEntry
    resource: str = ""


def listed(target: Target, wanted: Wanted) -> Iterator[Listed]:
    """Yield the orders of the instance, the newest first.

    Args:
        target: the paywall.
        wanted: which.

    Raises:
        BackendError: the backend could not be asked.
    """
    before: int | None = None
    while entries := target.ask(get_orders(PAGE, before, wanted.traits)):
        for entry in entries:
            if entry.timestamp.seconds < wanted.since:
                return
            resource = _resource_of(target, entry) if wanted.looks_inside else ""
            if not wanted.looks_inside or wanted.fits(resource):
                yield Listed(entry, resource)
        before = min(entry.row_id for entry in entries)


def _resource_of(target: Target, entry: OrderEntry) -> str:
    try:
        return target.ask(get_details(entry.order_id)).resource
    except BackendRejected as error:
        if error.http_status == HTTPStatus.NOT_FOUND:  # it was deleted meanwhile
            return ""
        raise


@dataclass(frozen=True)
class Refund:
    """A refund that can be granted.

    Args:
        order_id: of the order.
        price: what was paid.
        before: what was given back already.
        total: what will have been given back in all.
    """

    order_id: str
    price: Amount
    before: Amount
    total: Amount

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.before == self.total


def plan_refund(target: Target, order_id: str, amount: str | None) -> Refund:
    """Look whether an order can be refunded.

    Args:
        target: the paywall.
        order_id: of the order.
        amount: what is given back in all, earlier refunds included; None for the whole price.

    Raises:
        BackendError: the backend could not be asked, or knows no such order.
        RefundImpossible: the order is not paid, or the amount does not fit.
    """
    details = target.ask(get_details(order_id))
    if details.order_status != "paid":
        raise RefundImpossible(f"the order {order_id} is not paid")
    price = details.amount
    try:
        before = Amount.parse(details.refund_amount) if details.refund_amount else Amount.zero(price.currency)
        total = price if amount is None else Amount.parse(amount)
        if total > price:
            raise RefundImpossible(f"{total} is more than the price, {price}")
        if total.is_zero:
            raise RefundImpossible("a refund of nothing is none")
        if total < before:
            raise RefundImpossible(f"{total} is less than what was refunded already ({before}): name the new total")
    except CodecError as error:
        raise RefundImpossible(f"the amount does not fit: {error}") from error
    return Refund(order_id, price, before, total)


def grant(target: Target, refund: Refund, reason: str) -> str:
    """Grant a refund, and return the URI by which the wallet collects it.

    Raises:
        BackendError: the backend did not grant it.
    """
    return target.ask(post_refund(refund.order_id, refund.total, reason)).taler_refund_uri
