"""The visitor's own order, waited for: seed document 002 on today's merchant API (design, section 7).

Waiting never makes an order, replaces none and grants nothing: ``claimed`` is still waiting. The public status is asked
only to be woken and to learn how to pay; what is paid the private status says.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from taler_paywall.answers import Claimed, OrderUnknown, Paid, PublicStatus, Unpaid
from taler_paywall.decision import Refused, Unavailable
from taler_paywall.errors import BackendError, BackendNonsense, CodecError
from taler_paywall.evidence import check_contract, check_pay_uri, refund_of
from taler_paywall.merchant import get_order, get_public_order, h_contract_of
from taler_paywall.offer import Storefront
from taler_paywall.operations import Forget, Op
from taler_paywall.session import Order
from taler_paywall.taler_uri import PayUri

#: Seconds that one poll may wait.
MAX_WAIT = 55.0


@dataclass(frozen=True, slots=True)
class Polled:
    """How the order stands for this browser.

    Args:
        paid: under this browser's session.
        refunded: whether anything was given back of a paid order.
        refund_amount: how much, empty if the backend does not say.
        taler_pay_uri: checked URI for wallets, of an order that is not paid.
        already_paid_order_id: another order that sells the same and was paid in this session, empty if there is none.
    """

    paid: bool
    refunded: bool = False
    refund_amount: str = ""
    taler_pay_uri: str = field(default="", repr=False)
    already_paid_order_id: str = ""

    @property
    def content(self) -> dict[str, bool | str]:
        """The members of PollPaymentPaidResponse or PollPaymentUnpaidResponse, and no others."""
        members: dict[str, bool | str]
        if self.paid:
            members = {"paid": True, "refunded": self.refunded, "refund_amount": self.refund_amount}
        else:
            members = {
                "paid": False,
                "taler_pay_uri": self.taler_pay_uri,
                "already_paid_order_id": self.already_paid_order_id,
            }
        return {name: value for name, value in members.items() if value != ""}


PollFlow = Generator[Op[Any], Any, Polled | Refused | Unavailable]


def poll_flow(storefront: Storefront, order: Order, wait: float) -> PollFlow:
    """Tell how an order stands; as long as it can be paid, wait until it is, or another one for the same.

    Args:
        storefront: of the site.
        order: of this browser, from its cookie.
        wait: for how many seconds at most; 0 where nothing may wait: then an order that nobody has claimed costs one
            call to the backend, and one that somebody has costs two.
    """
    try:
        return (yield from _Poll(storefront, order).run(min(wait, MAX_WAIT)))
    except BackendError as exc:
        return Unavailable(exc.reason, str(exc))


@dataclass(frozen=True, slots=True)
class _Poll:
    """One poll; the methods that ask for something are generators."""

    storefront: Storefront
    order: Order

    def run(self, wait: float) -> PollFlow:
        """Look, wait to be woken, and look again: at most four calls, of which one waits."""
        for seconds in (wait, 0.0):
            status = yield from get_order(self.order.order_id, self.order.session_id)
            if isinstance(status, OrderUnknown):
                return Refused(404, "unknown-order")
            if isinstance(status, Paid):
                return (yield from self.paid(status))
            if isinstance(status, Unpaid) and (status.already_paid_order_id or not seconds):
                return self.unpaid(status.taler_pay_uri, status.already_paid_order_id)
            public = yield from self.public(status, seconds)
            if public and not public.paid and public.taler_pay_uri:
                return self.unpaid(public.taler_pay_uri, public.already_paid_order_id)
            # Said to be paid, or refused: a wallet that claims the order uses the token up.
        return self.unpaid(self.bare_pay_uri(), None)

    def public(self, status: Unpaid | Claimed, seconds: float) -> Generator[Op[Any], Any, PublicStatus | None]:
        """Ask as the customer, who may wait and hears of an earlier purchase; None if the credential is refused."""
        if isinstance(status, Claimed):
            if not (h_contract := h_contract_of(status)):
                raise BackendNonsense("the claimed order has no contract that could be hashed")
            credential: tuple[str, str] | None = ("h_contract", h_contract)
        else:
            token = check_pay_uri(self.storefront, self.order, status.taler_pay_uri).claim_token
            credential = ("token", token) if token else None
        return (yield from get_public_order(self.order.order_id, self.order.session_id, credential, seconds))

    def paid(self, status: Paid) -> Generator[Op[Any], Any, Polled]:
        """Answer for a paid order; a refund that is learnt here counts everywhere in this process."""
        check_contract(self.storefront, self.order.order_id, status)
        refund = refund_of(status)
        amount = "" if refund is None or refund.is_zero else str(refund)
        refunded = status.refunded or status.refund_pending or bool(amount)
        if refunded:
            yield from Forget(self.order.order_id)
        return Polled(paid=True, refunded=refunded, refund_amount=amount)

    def unpaid(self, taler_pay_uri: str, earlier: str | None) -> Polled:
        check_pay_uri(self.storefront, self.order, taler_pay_uri)
        return Polled(paid=False, taler_pay_uri=taler_pay_uri, already_paid_order_id=earlier or "")

    def bare_pay_uri(self) -> str:
        """Return the URI without a claim token: the wallet that has claimed the order needs none, and others cannot."""
        try:
            return str(PayUri(self.storefront.merchant_base_url, self.order.order_id, self.order.session_id))
        except CodecError as exc:
            raise BackendNonsense(f"the order fits into no pay URI: {exc}") from None
