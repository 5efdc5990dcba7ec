"""How an order stands for one session at one moment: the rules that storefronts and wallets rely on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from taler_paywall.amount import Amount
from taler_paywall.sandbox.backend import Backend, Instance
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.state.ledger import Refund
from taler_paywall.sandbox.state.store import Order


@dataclass(frozen=True)
class Standing:
    """An order as one session sees it (merchant API, GET private/orders/ID, rules 1 to 4).

    Args:
        session_id: the session that asks, None for the merchant who asks for the order as such.
        already_paid: another order with the same fulfillment URL that this session has paid.
        refunds: all granted.
    """

    order: Order
    session_id: str | None
    already_paid: Order | None
    refunds: list[Refund]

    @property
    def is_paid(self) -> bool:
        """Whether the order is paid, and in this session if there is one."""
        return self.order.paid_at is not None and self.session_id in (None, self.order.session_id)

    @property
    def order_status(self) -> Literal["unpaid", "claimed", "paid"]:
        """The state under the merchant API's name; paid in another session counts as claimed."""
        if self.order.nonce is None:
            return "unpaid"
        return "paid" if self.is_paid else "claimed"

    @cached_property
    def refund_amount(self) -> Amount:
        """The sum of all refunds granted."""
        return total(self.order.amount.currency, (refund.amount for refund in self.refunds))

    @cached_property
    def refund_taken(self) -> Amount:
        """The sum of the refunds that the wallet has fetched."""
        return total(self.order.amount.currency, (refund.amount for refund in self.refunds if refund.collected))

    @property
    def refund_pending(self) -> bool:
        """Whether a refund waits for the wallet."""
        return any(not refund.collected for refund in self.refunds)


def total(currency: str, amounts: Iterable[Amount]) -> Amount:
    """Add amounts up; the sum is cut to the largest amount there is."""
    result = Amount.zero(currency)
    for amount in amounts:
        result, _ = result.add(amount)
    return result


def find(backend: Backend, instance: Instance, order_id: str) -> Order:
    """Return an order.

    Raises:
        ApiError: there is none of that id (2005).
    """
    return _known(backend.store.find_order(instance.name, order_id))


def _known(order: Order | None) -> Order:
    if order is None:
        raise ApiError(Code.MERCHANT_GENERIC_ORDER_UNKNOWN, "there is no such order")
    return order


def look(backend: Backend, order: Order, session_id: str | None, *, with_refunded: bool) -> Standing:
    """Tell how an order stands now.

    Args:
        order: as it was read before; only its identity counts.
        session_id: the session that asks; an empty one is none.
        with_refunded: whether a refunded order counts as already paid.

    Raises:
        ApiError: it was deleted (2005).
    """
    current = _known(backend.store.current(order))
    session_id = session_id or None
    already_paid = None
    if session_id and current.fulfillment_url:
        already_paid = backend.store.already_paid(current, session_id, with_refunded=with_refunded)
    return Standing(current, session_id, already_paid, backend.ledger.refunds_of(current))


async def wait(
    backend: Backend,
    order: Order,
    session_id: str | None,
    *,
    with_refunded: bool,
    done: Callable[[Standing], bool],
    seconds: float,
) -> Standing:
    """Wait until an order stands as wanted, or the time is over (merchant API, timeout_ms).

    Raises:
        ApiError: it was deleted meanwhile (2005).
    """
    return await backend.bell.poll(
        lambda: look(backend, order, session_id, with_refunded=with_refunded),
        done,
        [_order_topic(order), session_topic(order.instance, session_id, order.fulfillment_url)],
        seconds,
    )


def announce(backend: Backend, order: Order, session_id: str | None = None) -> None:
    """Wake all whose answer changes because this order was made, paid, in this session, or refunded."""
    backend.bell.ring(
        _order_topic(order),
        session_topic(order.instance, session_id, order.fulfillment_url),
        instance_topic(order.instance),
    )


def instance_topic(instance_name: str) -> str:
    """Name what is rung when something has happened to any order of an instance."""
    return f"instance {instance_name}"


def session_topic(instance_name: str, session_id: str | None, fulfillment_url: str | None) -> str:
    """Name what is rung when a session has paid for what stands at a fulfillment URL."""
    return f"session {instance_name} {session_id} {fulfillment_url}"


def _order_topic(order: Order) -> str:
    return f"order {order.serial}"
