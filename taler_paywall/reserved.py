"""The paywall's own addresses: files, the poll, the proof, the way on, forms (design, section 7).

Source of the shapes: seed documents 002 (poll-payment) and 003 (``POST orders/ID/paid``).
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from taler_paywall.budget import Budget
from taler_paywall.decision import CookiesNeeded, RefundQuestion, Refused, Unavailable
from taler_paywall.errors import BackendBusy
from taler_paywall.events import MAX_TOLD, Event, Events
from taler_paywall.forms import is_own, page_of_form, page_of_query
from taler_paywall.http import Request, Response
from taler_paywall.merchant import ORDER_UNKNOWN
from taler_paywall.offer import Offer, Storefront
from taler_paywall.offers import Offers
from taler_paywall.operations import ORDER_ID, Forget, Op, SessionId
from taler_paywall.own_refund import GivenBack, refund_flow
from taler_paywall.pages import Pages
from taler_paywall.polling import MAX_WAIT, Polled, PollFlow, poll_flow
from taler_paywall.process_lock import ProcessLock
from taler_paywall.proof import FORBIDDEN, PARAMETER_MALFORMED, PARAMETER_MISSING, Proof, Proved, proof_flow, read_proof
from taler_paywall.scheme import other_scheme
from taler_paywall.session import Cookies, Order
from taler_paywall.templating import STATIC
from taler_paywall.webhook import Notice, read_notice

#: How many forms one session may send, in so many seconds.
MAX_FORMS, FORMS_SECONDS = 30, 60.0
#: How many polls of one session may wait at once; further ones are answered at once.
MAX_WAITING = 4
#: How many polls that hold threads may ask the backend at once.
MAX_ASKING = 2
#: How many attempts of a session are tried for an order without a cookie.
MAX_ATTEMPTS = 8

_ORDER_ID = re.compile(ORDER_ID).match
_TIMEOUT = re.compile(r"[0-9]{0,9}\Z").match
_PROOF = re.compile(r"orders/([^/]+)/paid\Z").match
_ROUTES = {
    "poll-payment": {"GET"},
    "continue": {"GET"},
    "reorder": {"POST"},
    "refund": {"GET", "POST"},
    "webhook": {"POST"},
}

Answering = Generator[Op[Any], Any, Response]


@dataclass(frozen=True, slots=True)
class Errand:
    """A request to one of the paywall's own addresses that has to ask the backend.

    Args:
        request: what was asked.
        flow: to be driven; it returns the answer.
        wait: for how many seconds the backend may be waited for, so that it matters when the client goes.
    """

    request: Request
    flow: Answering = field(repr=False)
    wait: float = 0.0


class Reserved:
    """What answers below the reserved prefix.

    Args:
        storefront: of the site.
        cookies: of the site.
        pages: of the site.
        offers: what is for sale.
        events: who is told what happens.
        max_polls: how many polls may wait for their answer; None where each would hold a thread, and none may.
    """

    def __init__(  # noqa: PLR0917 - the parts of a site, each of its own type
        self,
        storefront: Storefront,
        cookies: Cookies,
        pages: Pages,
        offers: Offers,
        events: Events,
        max_polls: int | None,
    ) -> None:
        self._storefront = storefront
        self._cookies = cookies
        self._pages = pages
        self._offers = offers
        self._tell = events.tell
        self._max_polls = max_polls
        self._budget = Budget(MAX_FORMS, FORMS_SECONDS)
        self._waiting: Counter[SessionId] = Counter()
        self._asking: set[SessionId] = set()
        self._lock = ProcessLock()

    def answer(self, request: Request, name: str, body: bytes | None) -> tuple[Request, Offer] | Errand | Response:
        """Answer; for "buy" and "buy again" return the request for the page that is bought, with the offer.

        Args:
            request: to the address.
            name: of the address, below the prefix.
            body: of a POST, None if it was too long, or cut off.
        """
        proof, file = _PROOF(name), name.removeprefix("static/") if name.startswith("static/") else ""
        methods = {"GET", "HEAD"} if file in STATIC else {"POST"} if proof else _ROUTES.get(name)
        if methods is None:
            return self.refuse(request, Refused(404, "unknown-path"))
        if request.method not in methods or request.websocket:
            refused = self.refuse(request, Refused(405, "method"))
            return replace(refused, headers=(*refused.headers, (b"allow", ", ".join(sorted(methods)).encode())))
        if name == "webhook":
            return self._webhook(request, body)
        if request.method == "POST" and not self._may_send(request):
            return self.refuse(request, Refused(429, "too-often"))
        if file:
            return self._pages.static(request, file)
        if proof:
            return self._proof(request, proof[1], body)
        return self._poll(request) if name == "poll-payment" else self._about_a_page(request, name, body)

    def _about_a_page(
        self, request: Request, name: str, body: bytes | None
    ) -> tuple[Request, Offer] | Errand | Response:
        """Answer a request that names a page, in its query or in a form."""
        asks = request.method == "GET"
        asked = page_of_query(request) if asks else page_of_form(request, body, self._storefront.public_url)
        offer = asked if isinstance(asked, Refused) else self._offers.find(asked)
        if name == "continue" and isinstance(asked, Request):
            # A rule's own page, for POST for example, need not be for sale.
            return self._continue(request, asked, offer if isinstance(offer, Offer) else None)
        if isinstance(asked, Refused) or not isinstance(offer, Offer):
            return self.refuse(request, offer if isinstance(offer, Refused) else Refused(404, "not-for-sale"))
        if name == "reorder":
            return asked, offer
        if asks and not offer.rule.refundable:
            return self.refuse(asked, Refused(403, "not-refundable"))
        if asks:
            return self._pages.respond(asked, RefundQuestion(), offer)
        return Errand(request, self._refund(asked, offer))

    def _webhook(self, request: Request, body: bytes | None) -> Errand | Response:
        """Hear what the backend tells; it is no page that could be forged, and what it sends is no form."""
        notice = read_notice(request, body, self._storefront.keys.webhook_secrets)
        if isinstance(notice, Refused):
            self._tell(Event("refused", notice.reason, resource=request.path))
            return self._error(request, notice.status, 0, notice.reason)
        return Errand(request, self._noticed(request, notice))

    def _noticed(self, request: Request, notice: Notice) -> Answering:
        """Forget what is known of the order; each reader's next request asks the backend."""
        refunded = notice.event == "refund"
        if not (yield from Forget(notice.order_id, lasting=refunded)):
            # The backend tells it again, until all who share the cache know.
            self._tell(Event("unknown", "cache-lost", resource=request.path, order_id=notice.order_id))
            return self._error(request, 503, 0, "the shared cache could not be told; please send this again")
        if refunded:
            self._tell(Event("refunded", "webhook", order_id=notice.order_id))
        return self._pages.finished(request, Response(204))

    def refuse(self, request: Request, refused: Refused) -> Response:
        """Answer what cannot be answered."""
        self._tell(Event("refused", refused.reason, resource=request.path[:MAX_TOLD]))
        return self._pages.respond(request, refused, None)

    def _may_send(self, request: Request) -> bool:
        """Tell whether a session has not sent too many forms; who has none is bounded like any first visitor."""
        sessions = self._cookies.session_ids(request.headers, int(time.time()))
        own = is_own(request, self._storefront.public_url)
        return not (own and sessions) or self._budget.take(min(sessions), time.monotonic())

    def _continue(self, request: Request, asked: Request, offer: Offer | None) -> Response:
        """Lead on who keeps cookies; who does not is told so once, and not made one order after another."""
        now, headers = int(time.time()), request.headers
        tag = offer.resource.tag if offer else ""
        # Either of these leads the page to the same order again.
        kept = self._cookies.session(headers, now) or self._cookies.orders(headers, tag, now)
        if kept or self._order_of(request, request.parameter("order_id")):
            return self._pages.lead(request, asked.target)
        site = self._storefront.public_url
        plain = other_scheme(request, site, self._storefront.trusted_proxies) == "http"
        return self._pages.respond(asked, CookiesNeeded(f"{site}{asked.target}" if plain else ""), offer)

    def _poll(self, request: Request) -> Errand | Response:
        order_id, timeout = request.parameter("order_id"), request.parameter("timeout")
        if b"order_id=" not in request.query:
            return self._error(request, 400, PARAMETER_MISSING, "order_id is missing")
        if not _ORDER_ID(order_id) or not _TIMEOUT(timeout):
            return self._error(request, 400, PARAMETER_MALFORMED, "one order_id, and one timeout in whole seconds")
        order = self._order_of(request, order_id)
        if order is None:
            return self._error(request, 404, ORDER_UNKNOWN, "this browser has no such order")
        free = self._waiting[order.session_id] < MAX_WAITING
        wait = min(float(timeout or 0), MAX_WAIT) if self._max_polls and free else 0.0
        return Errand(request, self._polled(request, order, wait), wait)

    def _polled(self, request: Request, order: Order, wait: float) -> Answering:
        if wait:
            outcome = yield from self._waited(order, wait)
        elif self._max_polls is None:
            outcome = yield from self._asked(order)
        else:
            outcome = yield from poll_flow(self._storefront, order, 0.0)
        if isinstance(outcome, Polled):
            return self._pages.json(request, 200, outcome.content)
        if isinstance(outcome, Refused):
            return self._error(request, 404, ORDER_UNKNOWN, "there is no such order")
        if outcome.reason == BackendBusy.reason:
            return self._error(request, 429, 0, "too many readers wait at once; ask again in a moment")
        return self._unavailable(request, outcome)

    def _order_of(self, request: Request, order_id: str) -> Order | None:
        """Return this browser's order; one whose cookie made room for others is known by its session and its page."""
        now = int(time.time())
        if order := self._cookies.order_by_id(request.headers, order_id, now):
            return order
        asked = page_of_query(request)
        offer = None if isinstance(asked, Refused) else self._offers.find(asked)
        if not isinstance(offer, Offer):
            return None
        name, tag = offer.resource.name, offer.resource.tag
        for session_id in self._cookies.session_ids(request.headers, now):
            for attempt in range(MAX_ATTEMPTS):
                if self._storefront.keys.order_id(session_id, name, attempt) == order_id:
                    return Order(session_id, order_id, tag, attempt, 0, "", "", 0, now)
        return None

    def _asked(self, order: Order) -> PollFlow:
        """Ask where polls hold threads: few at a time, and one of a session, for a slow backend must not take all."""
        with self._lock.own:
            if order.session_id in self._asking or len(self._asking) >= MAX_ASKING:
                return Unavailable(BackendBusy.reason, "other polls are asking")
            self._asking.add(order.session_id)
        try:
            return (yield from poll_flow(self._storefront, order, 0.0))
        finally:
            self._asking.discard(order.session_id)

    def _waited(self, order: Order, wait: float) -> PollFlow:
        """Count the polls of a session while they wait."""
        self._waiting[order.session_id] += 1
        try:
            return (yield from poll_flow(self._storefront, order, wait))
        finally:
            self._waiting -= Counter([order.session_id])

    def _proof(self, request: Request, order_id: str, body: bytes | None) -> Errand | Response:
        if not is_own(request, self._storefront.public_url):
            return self._error(request, 403, FORBIDDEN, "the proof was not sent from this site")
        proof = read_proof(body)
        if not isinstance(proof, Proof):
            return self._pages.json(request, proof.status, proof.content)
        return Errand(request, self._proved(request, order_id, proof))

    def _proved(self, request: Request, order_id: str, proof: Proof) -> Answering:
        sessions = self._cookies.session_ids(request.headers, int(time.time()))
        outcome = yield from proof_flow(self._storefront, order_id, proof, sessions)
        if isinstance(outcome, Unavailable):
            return self._unavailable(request, outcome)
        return self._pages.json(request, 200 if isinstance(outcome, Proved) else outcome.status, outcome.content)

    def _refund(self, asked: Request, offer: Offer) -> Answering:
        now = int(time.time())
        orders = self._cookies.orders(asked.headers, offer.resource.tag, now)
        outcome = yield from refund_flow(self._storefront, offer, orders, now)
        if isinstance(outcome, GivenBack):
            order_id = outcome.order.order_id
            self._tell(Event("refunded", "by-reader", offer.rule.text, offer.resource.name, order_id=order_id))
            # The page says so, and where the wallet collects it.
            return self._pages.lead(asked, asked.target)
        if isinstance(outcome, Refused):
            return self.refuse(asked, outcome)
        self._tell(Event("unknown", outcome.reason, resource=asked.path, detail=outcome.detail))
        return self._pages.respond(asked, outcome, offer)

    def _error(self, request: Request, status: int, code: int, hint: str) -> Response:
        """Answer as the merchant API does (ErrorDetail)."""
        return self._pages.json(request, status, {"code": code, "hint": hint})

    def _unavailable(self, request: Request, outcome: Unavailable) -> Response:
        self._tell(Event("unknown", outcome.reason, resource=request.path, detail=outcome.detail))
        return self._error(request, 503, 0, "the payment service does not answer; nothing is lost")
