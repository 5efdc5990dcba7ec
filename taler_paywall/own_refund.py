"""The reader's own refund, where a rule allows it: the whole price goes back, and the page is closed again."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from taler_paywall.amount import Amount
from taler_paywall.answers import Paid
from taler_paywall.decision import Refused, Unavailable
from taler_paywall.errors import BackendError, BackendRejected
from taler_paywall.evidence import judge
from taler_paywall.merchant import get_order, post_refund
from taler_paywall.offer import Offer, Storefront
from taler_paywall.operations import Forget, Op
from taler_paywall.session import Order

#: What the merchant's books and the wallet say of it.
REASON = "requested by the reader"
_TOO_LATE = Refused(403, "refund-too-late")


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The reader has, or gets, the money back: the page now leads to where the wallet collects it.

    Args:
        order: that was refunded.
        already: whether it had been refunded before.
    """

    order: Order
    already: bool


RefundFlow = Generator[Op[Any], Any, GivenBack | Refused | Unavailable]


def refund_flow(storefront: Storefront, offer: Offer, orders: Sequence[Order], now: int) -> RefundFlow:
    """Give the whole price of a resource back to the reader who has paid it.

    Args:
        storefront: of the site.
        offer: the resource.
        orders: of this browser for the resource, from its cookies, newest first; the first that is paid counts, so
            that a form that is sent twice gives one payment back.
        now: seconds since 1970.
    """
    if not offer.rule.refundable:
        return Refused(403, "not-refundable")
    try:
        for order in orders:
            status = yield from get_order(order.order_id, order.session_id)
            verdict = judge(storefront, offer, order, status) if isinstance(status, Paid) else "not-paid"
            if verdict == "refunded":
                yield from Forget(order.order_id)
                return GivenBack(order, already=True)
            if isinstance(status, Paid) and status.amount and verdict == "stands":
                in_time = now < status.contract_terms.refund_deadline.seconds
                return (yield from _give_back(order, status.amount)) if in_time else _TOO_LATE
    except BackendError as exc:
        return Unavailable(exc.reason, str(exc))
    return Refused(404, "nothing-to-refund")


def _give_back(order: Order, amount: Amount) -> RefundFlow:
    """Refund the whole payment: the amount is the new total, so that asking again gives nothing more."""
    failure: BackendError | None = None
    # Now, for nobody may be there any more when the answer comes; and then, for what was asked meanwhile.
    yield from Forget(order.order_id)
    try:
        yield from post_refund(order.order_id, amount, REASON)
    except BackendError as exc:
        failure = exc
    # Also when nobody knows whether it came through: the next visit asks.
    yield from Forget(order.order_id)
    match failure:
        case None:
            return GivenBack(order, already=False)
        # The exchange has paid the merchant already, or the order was made without a refund delay (2532).
        case BackendRejected(http_status=HTTPStatus.GONE) | BackendRejected(code=2532):
            return _TOO_LATE
        case _:
            raise failure
