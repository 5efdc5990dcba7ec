"""What the gate and the payment flow can decide; `taler_paywall.pages` renders it."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from taler_paywall.amount import Amount
from taler_paywall.discreet import Discreet
from taler_paywall.operations import Payment
from taler_paywall.session import Order

#: Why a resource is delivered: the backend has just said "paid", or not long ago; or longer ago, and now it is away.
GrantReason = Literal["paid", "remembered", "known"]


class Grant(msgspec.Struct, frozen=True):
    """Deliver the resource (DD 07, steps 3 and 9).

    Args:
        payment: what opened it.
        order: of the payment.
        page: where to bring the reader first, empty to deliver at once.
        reason: on whose word.
    """

    payment: Payment
    order: Order
    page: str = ""
    reason: GrantReason = "remembered"


class PaymentRequired(Discreet, frozen=True):
    """Send the reader to pay (DD 07, step 10).

    Args:
        order: the open order, None where this request must not make one.
        amount: what the open order costs.
        order_status_url: checked page of the backend where the order can be paid.
        taler_pay_uri: checked URI for wallets.
    """

    hidden = frozenset({"order_status_url", "taler_pay_uri"})
    reason: ClassVar[str] = "unpaid"
    amount: Amount
    order: Order | None = None
    order_status_url: str = ""
    taler_pay_uri: str = ""


class Refunded(Discreet, frozen=True):
    """The payment was given back (DD 07, steps 7 and 8).

    Args:
        order: the refunded one.
        collect_url: page of the backend where the wallet collects the refund, empty once it has.
    """

    hidden = frozenset({"collect_url"})
    reason: ClassVar[str] = "refunded"
    order: Order
    collect_url: str


class TryAgain(msgspec.Struct, frozen=True):
    """No order that can be paid was found within this request; the next request may try the next attempt.

    Args:
        order: the newest attempt.
        reason: ``claimed``, ``expired``, ``unknown-order`` or ``other-resource``.
    """

    order: Order
    reason: str


class NotAcceptable(msgspec.Struct, frozen=True):
    """The wallet proved an earlier payment that does not open this resource.

    Args:
        order: the order that was asked to be paid.
        reason: what is wrong with the earlier one.
    """

    order: Order
    reason: str


class CookiesNeeded(msgspec.Struct, frozen=True):
    """The browser came back from the backend's page without any of our cookies.

    Args:
        https_page: where it would keep them, if it came by plain http.
    """

    reason: ClassVar[str] = "cookies-needed"
    order: ClassVar[None] = None
    https_page: str = ""


class RefundQuestion(msgspec.Struct, frozen=True):
    """Ask the reader whether to give a purchase back."""

    reason: ClassVar[str] = "refund-question"
    order: ClassVar[None] = None


class Unavailable(msgspec.Struct, frozen=True):
    """Whether it was paid is unknown: no content, and nothing that invites a second payment.

    Args:
        reason: short and stable, for the log.
        detail: for the log only.
    """

    order: ClassVar[None] = None
    reason: str
    detail: str


class Refused(msgspec.Struct, frozen=True):
    """The request is not answered, paid or not: an ambiguous or endless path, a foreign form, too many of them."""

    order: ClassVar[None] = None
    status: Literal[400, 403, 404, 405, 409, 413, 414, 429]
    reason: str


#: Whatever is explained to the reader instead of the resource.
Denial = PaymentRequired | Refunded | TryAgain | NotAcceptable | CookiesNeeded | RefundQuestion | Unavailable | Refused
Decision = Grant | Denial
