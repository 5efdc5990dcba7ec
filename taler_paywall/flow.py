"""The payment flow of GNU Taler's design document 07. Everything that decides is in this file.

The storefront's algorithm, as the document numbers it, and what this project adds::

     1  resource name from the URL                              taler_paywall.resource
     2  order-ID and session-ID from the validated cookie       taler_paywall.session
     3  the session-payment-cache holds the tuple: deliver
     4  no session-ID or order-ID: new order, both in cookies
     5  GET /private/orders/{order-ID}?session_id={session-ID}
     6  claimed: order-ID := null, back to 4
     7  paid and refunded: explain
     8  refund not collected yet: link to the public order page
     9  paid: deliver the resource, on full evidence
    10  otherwise: to the client-order-status-URL

`payment_flow` yields operations and gets their answers, or failures: it does no I/O, reads no clock, draws no lots.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from taler_paywall.addresses import client_of
from taler_paywall.amount import Amount
from taler_paywall.answers import Claimed, OrderCreated, OrderUnknown, Paid, Unpaid
from taler_paywall.attempts import Attempts, Unusable
from taler_paywall.decision import (
    CookiesNeeded,
    Decision,
    Grant,
    GrantReason,
    NotAcceptable,
    PaymentRequired,
    Refunded,
    Refused,
    TryAgain,
    Unavailable,
)
from taler_paywall.errors import BackendError, BackendNonsense, BackendRejected
from taler_paywall.evidence import check_pay_uri, checked_status_url, judge
from taler_paywall.merchant import get_order, get_public_order, h_contract_of, order_links, post_order
from taler_paywall.offer import Offer, Storefront, leads_to, order_request
from taler_paywall.operations import (
    Forget,
    LearnLinks,
    MayOrder,
    Op,
    Payment,
    PaymentKey,
    Recall,
    RecallKnown,
    RecallLinks,
    Remember,
)
from taler_paywall.session import Order
from taler_paywall.visit import Visit

#: A payment that can no longer be refunded is good for a day, in seconds.
SETTLED_SECONDS = 86_400.0
#: A request performs at most nine operations, beside those about links, budgets and what is known no more. Looking at
#: one order takes up to three, in general one, and at the first that a wallet has claimed one more; so many may be
#: spent on the orders that a browser has, and so many of these be unusable where a new order has to follow.
MAX_CHECK, MAX_ASKED, MAX_UNUSABLE = 3, 5, 3


Flow = Generator[Op[Any], Any, Decision]
Step = Generator[Op[Any], Any, Decision | Unusable]


def payment_flow(storefront: Storefront, visit: Visit, offer: Offer) -> Flow:
    """Decide about one request for one resource.

    Args:
        storefront: of the site.
        visit: the request.
        offer: the resource and its price.
    """
    keys = visit.keys(offer.resource)
    held = (yield Recall(keys)) if keys else None
    if held:
        return remembered(visit, offer, *held)  # 3
    try:
        return (yield from _Steps(storefront, visit, offer).decide())
    except BackendError as exc:
        # Who was confirmed not long ago reads on while nobody can be asked; not if we ourselves did not ask.
        known = (yield RecallKnown(keys)) if keys and exc.outage else None
        if known:
            return remembered(visit, offer, known[0], known[1], "known")
        return Unavailable(exc.reason, str(exc))


def remembered(
    visit: Visit, offer: Offer, key: PaymentKey, payment: Payment, reason: GrantReason = "remembered"
) -> Grant:
    """Deliver what the session-payment-cache holds: step 3, for who can look into it without waiting.

    Args:
        visit: the request.
        offer: the resource.
        key: the one of `Visit.keys` that is held.
        payment: under this key.
        reason: whether it is still believed, or the backend should confirm it but is away.
    """
    order = visit.orders[visit.keys(offer.resource).index(key)]
    return grant(visit, offer, order, payment, reason)


def grant(visit: Visit, offer: Offer, order: Order, payment: Payment, reason: GrantReason) -> Grant:
    """Deliver; at the fulfillment URL the reader is brought to the page that was asked for, once."""
    elsewhere = order.page and visit.page != order.page
    return Grant(payment, order, order.page if elsewhere and leads_to(offer, order, visit.page) else "", reason)


class _Steps(msgspec.Struct, frozen=True):
    """The algorithm for one request; the methods that ask for something are generators."""

    storefront: Storefront
    visit: Visit
    offer: Offer

    @property
    def attempts(self) -> Attempts:
        """The orders that this visit may make."""
        return Attempts(self.storefront, self.visit, self.offer)

    def decide(self) -> Flow:
        """Run the steps. One replacement per request in all: no answer can make orders without end."""
        known = yield from self.known_orders()
        if known is not None and not isinstance(known, Unusable):
            return known
        if known is None and self.visit.lost_cookies(self.storefront.public_url, self.storefront.merchant_base_url):
            return CookiesNeeded()
        if not (self.visit.buy_again or self.visit.request.may_order(self.storefront.cors_origins)):
            return PaymentRequired(self.offer.amount)
        if (yield MayOrder(client_of(self.visit.request, self.storefront.trusted_proxies))):
            return Refused(429, "too-many-orders")
        order = self.attempts.after(self.visit.orders[0], known) if known else self.attempts.first()  # 4
        outcome = yield from self.create(order)
        if known is None and isinstance(outcome, Unusable):
            order = self.attempts.after(order, outcome)
            outcome = yield from self.create(order)
        if known is None and isinstance(outcome, Refunded):
            # Without a cookie nobody knows yet whether it was bought again since.
            later = yield from self.check(self.attempts.after(order, Unusable(outcome.reason, anew=True)))
            outcome = later if isinstance(later, Grant) else outcome
        return TryAgain(order, outcome.reason) if isinstance(outcome, Unusable) else outcome

    def known_orders(self) -> Generator[Op[Any], Any, Decision | Unusable | None]:
        """Check this browser's orders, newest first, as many as a visit may take: whichever is paid counts."""
        standing: list[Decision] = []
        unusable: list[Unusable] = []
        spent, asked = 0, False
        for order in self.visit.orders[: 1 if self.visit.buy_again else None]:
            if spent >= MAX_ASKED or (len(unusable) >= MAX_UNUSABLE and not standing):
                break
            outcome = yield from self.check(order)
            if isinstance(outcome, Unusable) and outcome.claimed and not asked:
                asked = True
                outcome = yield from self.claimed(order, outcome.claimed)
            if isinstance(outcome, Grant):
                return outcome
            if isinstance(outcome, Unusable):
                unusable.append(outcome)
            else:
                standing.append(outcome)
            spent += 1 if isinstance(outcome, Unusable | PaymentRequired) else MAX_CHECK
        return standing[0] if standing else unusable[0] if unusable else None

    def create(self, order: Order) -> Step:
        """Step 4: make an order, then judge it like any other: it may be an old one, claimed or paid long ago."""
        created = yield from post_order(order_request(self.storefront, self.offer, order))
        if not isinstance(created, OrderCreated):
            return (yield from self.check(order))
        if created.order_id != order.order_id:
            raise BackendNonsense("the backend made an order of another ID")
        order = replace(order, pay_deadline=created.pay_deadline.seconds if created.pay_deadline else 0)
        foreseen = yield from self.foreseen(order, created)
        outcome = yield from self.unpaid(order, foreseen) if foreseen else self.check(order, created.token)
        if isinstance(outcome, PaymentRequired):
            # A backend may take an older order of this ID for the same: then today's price binds nobody.
            price = str(outcome.amount) if outcome.amount == self.offer.amount else ""
            priced = replace(outcome.order or order, price=price)
            return PaymentRequired(outcome.amount, priced, outcome.order_status_url, outcome.taler_pay_uri)
        return outcome

    def foreseen(self, order: Order, created: OrderCreated) -> Generator[Op[Any], Any, Unpaid | None]:
        """Return the status of an order that nobody can have touched: its session was made in this very request.

        Only the links are not known from the order itself: they are those that this backend is known to make.
        """
        new = self.visit.fresh and order.session_id == self.visit.new_session and order.attempt == 0
        if not (new and created.token and created.pay_deadline and (yield from RecallLinks())):
            return None
        links = self._links(order, created.token)
        return Unpaid(order_status_url=links[0], taler_pay_uri=links[1]) if links else None

    def check(self, order: Order, token: str | None = None) -> Step:
        """Steps 5 to 10 for one order; the token is known if the order was just made."""
        status = yield from get_order(order.order_id, order.session_id)  # 5
        match status:
            case OrderUnknown():
                yield from Forget(order.order_id, lasting=False)
                return Unusable("unknown-order")
            case Claimed():
                # It is no longer, or was never, paid in this session.
                yield from Forget(order.order_id, lasting=order.state == "paid")
                if order.state == "paid":
                    return Unusable("moved")  # 6
                return Unusable("claimed", claimed=status)  # 6
            case Paid():
                outcome = yield from self.paid(order, status)  # 7, 8, 9
                if outcome == Unusable("foreign-order"):
                    raise BackendNonsense("the contract has lost what the order was made with")
                return outcome
            case Unpaid(already_paid_order_id=str(earlier)):
                return (yield from self.proved(order, earlier))
            case Unpaid():
                return (yield from self.unpaid(order, status, token))  # 10

    def claimed(self, order: Order, status: Claimed) -> Step:
        """Ask as the customer whether the wallet that claimed an order has proved an earlier one instead of paying."""
        public, h_contract = None, h_contract_of(status)
        # Without an answer the order is replaced, as if nobody had asked; only silence is no answer.
        with suppress(BackendRejected, BackendNonsense):
            ask = get_public_order(order.order_id, order.session_id, ("h_contract", h_contract))
            public = (yield from ask) if h_contract else None
        if public and public.paid:
            return (yield from self.check(order))
        if public and public.already_paid_order_id:
            return (yield from self.proved(order, public.already_paid_order_id))
        return Unusable("claimed")

    def paid(self, order: Order, status: Paid) -> Step:
        """Steps 7 to 9."""
        verdict = judge(self.storefront, self.offer, order, status)
        key = order.key(self.offer.resource.name)
        if verdict in {"foreign-order", "other-resource"}:
            return Unusable(verdict)
        if verdict == "refunded":
            yield from Forget(order.order_id)
            if self.visit.buy_again:
                return Unusable(verdict, anew=True)
            url = checked_status_url(self.storefront, status.order_status_url) if status.refund_pending else ""
            return Refunded(order, url)  # 7, 8
        payment = Payment(order.order_id, self.offer.resource.name, str(status.amount))
        terms = status.contract_terms
        settled = max(terms.refund_deadline.seconds, terms.wire_transfer_deadline.seconds) < self.visit.now
        seconds = SETTLED_SECONDS if settled else self.storefront.recheck_after
        yield from Remember(key, payment, seconds, terms.merchant_pub)
        return grant(self.visit, self.offer, order, payment, "paid")  # 9

    def proved(self, order: Order, earlier: str) -> Step:
        """Judge the earlier order that a wallet proved under this session; the backend's word alone does not grant."""
        old = replace(order, order_id=earlier, price="")
        status = yield from get_order(old.order_id, old.session_id)
        outcome = (yield from self.paid(old, status)) if isinstance(status, Paid) else Unusable("not-paid")
        if not isinstance(outcome, Unusable):
            return outcome
        if self.visit.buy_again:
            return Unusable(outcome.reason, anew=True)
        return NotAcceptable(order, outcome.reason)

    def unpaid(self, order: Order, status: Unpaid, token: str | None = None) -> Step:
        """Step 10, unless the offer is over. Links of another form than ours are noticed whenever an order is shown."""
        links = self._links(order, token or status.claim_token)
        as_built = links == (status.order_status_url, status.taler_pay_uri)
        if token or not as_built:
            yield from LearnLinks(as_built)
        deadline = order.pay_deadline if status.deadline is None else status.deadline
        if 0 < deadline <= self.visit.now:
            return Unusable("expired")
        asked = Amount.parse(order.price) if order.price else self.offer.amount
        if order.price and status.amount is not None and status.amount != asked:
            raise BackendNonsense("the order's amount is not what was asked for")
        check_pay_uri(self.storefront, order, status.taler_pay_uri)
        url, order = checked_status_url(self.storefront, status.order_status_url), replace(order, pay_deadline=deadline)
        return PaymentRequired(status.amount or asked, order, url, status.taler_pay_uri)

    def _links(self, order: Order, token: str) -> tuple[str, str] | None:
        return order_links(self.storefront.merchant_base_url, order.order_id, order.session_id, token)
