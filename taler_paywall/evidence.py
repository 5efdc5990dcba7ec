"""What counts as evidence: whether a paid order opens a resource, and whether the backend speaks of what it was asked.

The backend's word "paid" is not enough; everything that it can be held against is looked at here.
"""

from __future__ import annotations

from typing import Literal

from taler_paywall.amount import Amount
from taler_paywall.answers import Paid
from taler_paywall.errors import BackendNonsense, CodecError
from taler_paywall.http import MAX_URL, belongs
from taler_paywall.offer import EXTRA, Offer, Storefront
from taler_paywall.session import Order
from taler_paywall.taler_uri import PayUri


def judge(
    storefront: Storefront, offer: Offer, order: Order, status: Paid
) -> Literal["stands", "refunded", "other-resource", "foreign-order"]:
    """Tell whether a paid order is full evidence for this resource (design, section 2, step 9).

    Args:
        storefront: of the site.
        offer: the resource that is asked for.
        order: what was asked; its price binds if this browser's cookie knows it.
        status: the backend's answer for the order under the order's session.

    Raises:
        BackendNonsense: the answer contradicts what was asked.
    """
    check_contract(storefront, order.order_id, status)
    sold = sold_by_us(status)
    if sold is None or sold.get("resource") != offer.resource.name:
        return "foreign-order" if sold is None else "other-resource"
    amount = status.amount
    if amount is None or not _covers(amount, sold.get("amount")):
        raise BackendNonsense("the contract's amount is not what the order asked for")
    if order.price and not _covers(amount, order.price):
        raise BackendNonsense("the contract's amount is not what this browser was asked for")
    return "refunded" if _is_refunded(status, amount, storefront.partial_refund) else "stands"


def check_contract(storefront: Storefront, order_id: str, status: Paid) -> None:
    """Hold a paid contract against the order that was asked for, the instance and the site.

    Args:
        storefront: of the site.
        order_id: that was asked for.
        status: the backend's answer.

    Raises:
        BackendNonsense: it is of another order, merchant or site.
    """
    terms = status.contract_terms
    if terms.order_id != order_id:
        raise BackendNonsense("the contract is of another order")
    if terms.merchant_base_url != storefront.merchant_base_url:
        raise BackendNonsense("the contract is of another merchant instance")
    if storefront.merchant_pub is not None and terms.merchant_pub != storefront.merchant_pub:
        raise BackendNonsense("the contract is of another merchant key")
    if terms.fulfillment_url is None or not terms.fulfillment_url.startswith(f"{storefront.public_url}/"):
        raise BackendNonsense("the contract leads to another site")


def sold_by_us(status: Paid) -> dict[str, object] | None:
    """Return what a contract says it was made for; None: not by this project."""
    sold = (status.contract_terms.extra or {}).get(EXTRA)
    return sold if isinstance(sold, dict) else None


def checked_status_url(storefront: Storefront, url: str | None) -> str:
    """Return an order status URL of the backend's.

    Raises:
        BackendNonsense: there is none, or it does not lead to the configured backend.
    """
    if url is None or not belongs(url, storefront.merchant_base_url):
        raise BackendNonsense("the order status URL does not belong to the configured backend")
    return url


def check_pay_uri(storefront: Storefront, order: Order, text: str) -> PayUri:
    """Hold the URI that the wallet pays by against the order; it goes on as the backend wrote it.

    Raises:
        BackendNonsense: it is none, or of another backend, order or session.
    """
    try:
        uri = PayUri.parse(text)
    except CodecError as exc:
        raise BackendNonsense(f"the pay URI is malformed: {exc}") from None
    same = (uri.order_id, uri.session_id) == (order.order_id, order.session_id) and len(text) <= MAX_URL
    if not same or not belongs(uri.merchant_base_url, storefront.merchant_base_url):
        raise BackendNonsense("the pay URI does not belong to the configured backend, this order and this session")
    return uri


def _covers(amount: Amount, asked: object) -> bool:
    try:
        return amount >= Amount.parse(asked)
    except CodecError:
        return False


def refund_of(status: Paid) -> Amount | None:
    """Return what was granted back so far; None where the backend writes a bare 0 for nothing (merchant API, 4).

    Raises:
        BackendNonsense: it is no amount.
    """
    try:
        return None if status.refund_amount == "0" else Amount.parse(status.refund_amount)
    except CodecError as exc:
        raise BackendNonsense(f"the refunded amount is malformed: {exc}") from None


def _is_refunded(status: Paid, amount: Amount, policy: Literal["revoke", "keep"]) -> bool:
    """Tell whether a refund takes the purchase back."""
    granted = refund_of(status)
    refund = Amount.zero(amount.currency) if granted is None else granted
    try:
        whole = refund >= amount
    except CodecError as exc:
        raise BackendNonsense(f"the refunded amount is of another currency: {exc}") from None
    any_refund = status.refunded or status.refund_pending or not refund.is_zero
    return whole if policy == "keep" and not refund.is_zero else any_refund
