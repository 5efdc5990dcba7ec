"""One site's paywall: from a request to the flow, from the decision to the answer. It wires, and decides nothing."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, cast

import msgspec

from taler_paywall.addresses import proxy_problem
from taler_paywall.currencies import Currencies
from taler_paywall.decision import Decision, Denial, Grant, PaymentRequired, Refused, Unavailable
from taler_paywall.discreet import Discreet
from taler_paywall.events import MAX_TOLD, Event, Events
from taler_paywall.flow import Flow, payment_flow, remembered
from taler_paywall.http import Header, Request, Response, granted_headers
from taler_paywall.offer import Offer, Storefront
from taler_paywall.offers import Offers
from taler_paywall.operations import Payment, PaymentKey
from taler_paywall.pages import PLAY_MONEY, Pages
from taler_paywall.report import events_of
from taler_paywall.reserved import Errand, Reserved
from taler_paywall.scheme import scheme_problem
from taler_paywall.session import Cookies, Keys
from taler_paywall.settings import Settings
from taler_paywall.visit import Visit

_log = logging.getLogger("taler_paywall")


class Case(Discreet, frozen=True):
    """One request for one resource, on its way from the flow to the answer.

    Args:
        visit: what the flow knows; for a form of ours, of the page that it names.
        offer: what is asked for.
        secret: of a fresh session, empty if there is another.
        decide: makes the flow.
        began: when it was opened, in seconds of `time.monotonic`.
    """

    hidden = frozenset({"secret", "decide"})
    visit: Visit
    offer: Offer
    secret: str
    decide: Callable[[Visit, Offer], Flow]
    began: float = 0.0
    #: The backend answers at once, or too late.
    wait: ClassVar[float] = 0.0

    @property
    def flow(self) -> Flow:
        """The flow, to be driven once."""
        return self.decide(self.visit, self.offer)


class Granted(Discreet, frozen=True):
    """The application may answer.

    Args:
        payment: for the application to read, None if the request is exempt.
        cookies: ``Set-Cookie`` values to add to its answer.
        extra: further headers to add.
    """

    hidden = frozenset({"cookies"})
    payment: Payment | None
    cookies: tuple[bytes, ...]
    extra: tuple[Header, ...]

    def headers(self, headers: Iterable[Header]) -> list[Header]:
        """Return the application's headers as those of a private answer."""
        private = granted_headers(headers, self.cookies)
        private += self.extra
        return private


class SitePaywall:
    """Everything about one site that lasts longer than a request.

    Args:
        settings: checked options.
        secret_keys: oldest first.
        public_url: of the site.
        events: who is told what happens.
        long_polls: whether a poll may wait for its answer.
        at_hand: looks into a session-payment-cache that does not have to be waited for, None if there is none; what is
            found there is delivered without the flow.
    """

    def __init__(
        self,
        settings: Settings,
        secret_keys: tuple[bytes, ...],
        public_url: str,
        events: Events,
        *,
        long_polls: bool = True,
        at_hand: Callable[[tuple[PaymentKey, ...]], tuple[PaymentKey, Payment] | None] | None = None,
    ) -> None:
        self._settings = settings
        self._offers = Offers(settings.rules, public_url, settings.price_policy)
        self._prefix = settings.prefix + "/"
        keys = Keys(secret_keys, f"{public_url} {settings.backend_public_url}")
        self._cookies = Cookies(keys, secure=public_url.startswith("https:"), max_age=settings.cookie_max_age)
        self._keys = keys
        self._pages = Pages(settings, public_url)
        self._storefront = Storefront(
            public_url=public_url,
            merchant_base_url=settings.backend_public_url,
            keys=keys,
            refund_delay=settings.refund_delay,
            recheck_after=settings.recheck_after,
            merchant_pub=settings.merchant_pub,
            cors_origins=settings.cors_origins,
            partial_refund=settings.partial_refund,
            trusted_proxies=settings.trusted_proxies,
        )
        self._at_hand = at_hand
        self._currencies = Currencies()
        self._extra = (PLAY_MONEY,) if settings.sandbox_port is not None else ()
        max_polls = settings.max_polls if long_polls else None
        self._events = events
        self._reserved = Reserved(self._storefront, self._cookies, self._pages, self._offers, events, max_polls)
        self._noticed: set[str] = set()

    def concerns(self, path: str, raw_path: bytes | None, root_path: str) -> bool:
        """Tell, for next to nothing, whether a path may be protected or reserved; if not, nothing else is done."""
        return self._offers.concerns(path, raw_path, root_path) or self._prefix in path

    def begin(self, request: Request, body: bytes | None = b"") -> Case | Errand | Granted | Response | None:
        """Open the case of a request, or answer it without one; None: the paywall has nothing to do with it.

        Args:
            request: that `concerns` did not let pass.
            body: of a form of ours, None if it is longer than `MAX_FORM`, or cut off.
        """
        if self._prefix in request.path and request.app_path.startswith(self._prefix):
            self._notice(request)
            answer = self._reserved.answer(request, request.app_path.removeprefix(self._prefix), body)
            return self._case(*answer, reorder=True) if isinstance(answer, tuple) else answer
        found = self._offers.asked(request)
        if isinstance(found, Refused):
            return self._reserved.refuse(request, found)
        preflight = request.method == "OPTIONS" and self._is_preflight(request)
        if found is None and not preflight:
            return None
        if self._settings.exempt and self._settings.exempt(request) is True:
            return Granted(None, (), ())
        if preflight:
            return self._pages.preflight(request)
        offer = self._offers.priced(*found) if found else None
        return self._case(request, offer) if offer else None

    def finish(self, case: Case | Errand, outcome: Any) -> Granted | Response:
        """Turn what a flow has come to into an answer: an errand's own, or a decision's with the cookies it needs."""
        if isinstance(case, Errand):
            return cast("Response", outcome)
        decision: Decision = outcome
        if not isinstance(decision, Grant):
            self._tell(case, decision)
            response = self._explained(case, decision)
        else:
            if self._events.deliveries or decision.reason != "remembered":
                self._tell(case, decision)
            if not (decision.page or case.visit.buy_again):
                return Granted(decision.payment, self._set_cookies(case, decision), self._extra)
            response = self._pages.lead(case.visit.request, decision.page or case.visit.request.target)
        cookies = ((b"set-cookie", cookie) for cookie in self._set_cookies(case, decision))
        return replace(response, headers=(*response.headers, *cookies))

    def _tell(self, case: Case, decision: Decision) -> None:
        for event in events_of(case.visit, case.offer, decision, time.monotonic() - case.began):
            self._events.tell(event)

    def _explained(self, case: Case, decision: Denial) -> Response:
        """Answer who is not let through."""
        request, offer = case.visit.request, case.offer
        self._notice(request, decision)
        if case.visit.buy_again and isinstance(decision, PaymentRequired):
            if request.method == "GET" and self._pages.are_shown_for(offer.rule):
                return self._pages.lead(request, request.target)
            return self._pages.redirect(303, decision.order_status_url, request)
        return self._pages.respond(
            request,
            decision,
            offer,
            now=case.visit.now,
            keeps_cookies=not case.visit.fresh,
            currency=self._currencies.specification(offer.amount.currency),
        )

    def _notice(self, request: Request, decision: Denial | None = None) -> None:
        """Tell the operator what a request shows to be wrong in front of the site, each thing once in a process."""
        trusted = self._settings.trusted_proxies
        problems = {"scheme": scheme_problem(request, self._storefront.public_url, trusted)}
        if isinstance(decision, Refused) and decision.reason == "too-many-orders":
            problems["proxy"] = proxy_problem(request, trusted)
        for kind, problem in problems.items():
            if problem and kind not in self._noticed:
                self._noticed.add(kind)
                _log.warning("%s", problem)

    def failed(self, request: Request) -> Response:
        """Answer a request whose case broke, in our code or in the site's callables: closed, and in the log."""
        with suppress(Exception):  # a handler of the log may raise as well
            _log.exception("internal-error: the paywall itself broke; the reader was told to come again")
        self._events.tell(Event("unknown", "internal-error", resource=request.path[:MAX_TOLD]))
        return self._pages.respond(request, Unavailable("internal-error", ""), None)

    def is_form(self, request: Request) -> bool:
        """Tell whether the body belongs to the paywall."""
        return request.method == "POST" and request.app_path.startswith(self._prefix) and not request.websocket

    def _case(self, request: Request, offer: Offer, *, reorder: bool = False) -> Case | Granted | Response:
        now = int(time.time())
        orders = self._cookies.orders(request.headers, offer.resource.tag, now)
        known = None if orders else self._cookies.session(request.headers, now)
        secret = "" if orders or known else secrets.token_urlsafe(16)
        session = None if orders else self._keys.session_id(known or secret)
        visit = Visit(request, orders, session, fresh=bool(secret), now=now, buy_again=reorder, rule=offer.rule)
        case = Case(visit, offer, secret, self._decide, time.monotonic())
        held = self._at_hand(visit.keys(offer.resource)) if self._at_hand else None
        return self.finish(case, remembered(visit, offer, *held)) if held else case

    def _decide(self, visit: Visit, offer: Offer) -> Flow:
        """Run the payment flow; where a price is going to be shown, learn how it is written."""
        decision = yield from payment_flow(self._storefront, visit, offer)
        if isinstance(decision, (Grant, Unavailable)):
            return decision
        if not self._pages.redirected(visit.request, decision, offer):
            yield from self._currencies.learn(offer.amount.currency, visit.now)
        return decision

    def _set_cookies(self, case: Case, decision: Decision) -> tuple[bytes, ...]:
        """Return cookies only for what this very request made, found or used up; never one that deletes another's."""
        order = decision.order
        if order is None:
            return ()
        headers, now = case.visit.request.headers, case.visit.now
        known = case.visit.has(order)
        renewed = isinstance(decision, Grant) and self._cookies.renewal_due(headers, order, now)
        if isinstance(decision, Grant):
            read = order.state == "paid" or not case.visit.request.is_navigation
            if known and read and not decision.page and not renewed:
                return ()
            order = msgspec.structs.replace(order, state="paid", page="" if decision.page else order.page)
        elif known:
            return ()
        secret: str | None = case.secret
        if not secret and renewed and case.visit.request.is_navigation:
            secret = self._cookies.session(headers, now)
        session = (self._cookies.session_cookie(secret, now),) if secret else ()
        return (*session, *self._cookies.order_cookies(headers, msgspec.structs.replace(order, issued=now)))

    def _is_preflight(self, request: Request) -> bool:
        """Tell whether a script of an allowed origin asks before it asks for what is sold (Fetch standard)."""
        if not self._settings.cors_origins:
            return False
        method = request.header(b"access-control-request-method").decode("latin-1")
        if not method or request.header(b"origin").decode("latin-1") not in self._settings.cors_origins:
            return False
        # A rule of POST does not cover OPTIONS, and one of GET covers no DELETE: the method to come counts.
        return isinstance(self._offers.find(msgspec.structs.replace(request, method=method)), Offer)
