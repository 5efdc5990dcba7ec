"""What a test does to an order behind its site's back: claimed by a stranger, refunded whatever the contract says."""

from __future__ import annotations

import re
import secrets
from typing import Final

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.sandbox import standing
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, Backend, Instance
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.endpoints import payment, refunds
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.state.store import Order

_STATUS: Final = re.compile(r"(?:/instances/([^/]+))?(/private)?/orders/([^/]+)")


def claim(backend: Backend, instance: Instance, order_id: str) -> Order:
    """Let a stranger's wallet claim an order, and return it.

    Raises:
        ApiError: there is no such order (2005), or it is claimed (2301).
    """
    order = standing.find(backend, instance, order_id)
    if order.nonce is not None:
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_CLAIM_ALREADY_CLAIMED, "the order is claimed already")
    payment.give_to(backend, order, crockford.encode(contract.public_key(secrets.token_bytes(32))))
    return order


def refund(backend: Backend, instance: Instance, order_id: str, wanted: Amount | None, reason: str) -> Order:
    """Raise the refund of an order to a new total, even if the contract does not allow it, and return the order.

    Args:
        wanted: the new total, None for the whole price.

    Raises:
        ApiError: there is no such order (2005), or there cannot be such a refund (2024, 2530, 2531).
    """
    found = _look(backend, standing.find(backend, instance, order_id))
    refunds.raise_to(backend, found, wanted or found.order.amount, reason, by_contract=False)
    return found.order


def claim_before(backend: Backend, method: str, path: str) -> bool:
    """Let a stranger claim the order that a site asks for; tell whether nobody had before."""
    order = _asked_for(backend, method, path, private_only=True)
    if order is None or order.nonce is not None:
        return False
    claim(backend, backend.instances[order.instance], order.order_id)
    return True


def refund_before(backend: Backend, method: str, path: str) -> bool:
    """Refund the order that somebody asks for in full; tell whether there was anything left to refund."""
    order = _asked_for(backend, method, path, private_only=False)
    if order is None or order.paid_at is None or _look(backend, order).refund_amount == order.amount:
        return False
    refund(backend, backend.instances[order.instance], order.order_id, None, "refunded by a fault of the sandbox")
    return True


def _asked_for(backend: Backend, method: str, path: str, *, private_only: bool) -> Order | None:
    found = _STATUS.fullmatch(path)
    if method != "GET" or found is None or (private_only and not found[2]):
        return None
    instance = backend.instances.get(found[1] or DEFAULT_INSTANCE)
    return backend.store.find_order(instance.name, found[3]) if instance else None


def _look(backend: Backend, order: Order) -> Standing:
    return standing.look(backend, order, None, with_refunded=True)
