"""One site's paywall: from a request to the flow, from the decision to the answer. It wires, and decides nothing."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from taler_paywall.config import Settings
from taler_paywall.decision import Decision, Grant, PaymentRequired, Refused, Unavailable
from taler_paywall.flow import Flow, payment_flow
from taler_paywall.forms import page_of_form
from taler_paywall.gate import Gate
from taler_paywall.http import Header, Request, Response, granted_headers
from taler_paywall.offer import Offer, Storefront
from taler_paywall.operations import Payment
from taler_paywall.pages import PLAY_MONEY, Pages
from taler_paywall.resource import Resource, Rule
from taler_paywall.session import Cookies, Keys
from taler_paywall.visit import Visit

_log = logging.getLogger("taler_paywall")


@dataclass(frozen=True, slots=True)
class Case:
    """One request for one resource, on its way from the flow to the answer.

    Args:
        visit: what the flow knows; for a form of ours, of the page that it names.
        offer: what is asked for.
        secret: of a fresh session, empty if there is another.
        flow: to be driven.
    """

    visit: Visit
    offer: Offer
    secret: str = field(repr=False)
    flow: Flow


@dataclass(frozen=True, slots=True)
class Granted:
    """The application may answer.

    Args:
        payment: for the application to read, None if the request is exempt.
        cookies: ``Set-Cookie`` values to add to its answer.
        extra: further headers to add.
    """

    payment: Payment | None
    cookies: tuple[bytes, ...] = field(repr=False)
    extra: tuple[Header, ...]

    def headers(self, headers: Iterable[Header]) -> list[Header]:
        """Return the application's headers as those of a private answer."""
        return [*granted_headers(headers, self.cookies), *self.extra]


class Paywall:
    """Everything about one site that lasts longer than a request.

    Args:
        settings: checked options.
        secret_keys: oldest first.
        public_url: of the site.
    """

    def __init__(self, settings: Settings, secret_keys: tuple[bytes, ...], public_url: str) -> None:
        self._settings = settings
        self._gate = Gate(settings.rules)
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
        )

    def concerns(self, path: str, raw_path: bytes | None, root_path: str) -> bool:
        """Tell, for next to nothing, whether a path may be protected or reserved; if not, nothing else is done."""
        return self._gate.concerns(path, raw_path, root_path) or self._prefix in path

    def begin(self, request: Request, body: bytes | None = b"") -> Case | Granted | Response | None:
        """Open the case of a request, or answer it without one; None: the paywall has nothing to do with it.

        Args:
            request: that `concerns` did not let pass.
            body: of a form of ours, None if it is longer than `MAX_FORM`.
        """
        if self.is_form(request):
            return self._reorder(request, body)
        if request.app_path.startswith(self._prefix):
            return self._reserved(request)
        found = self._gate.find(request)
        if isinstance(found, Refused):
            return self._refuse(request, found)
        preflight = self._is_preflight(request)
        if found is None and not preflight:
            return None
        if self._settings.exempt and self._settings.exempt(request) is True:
            return Granted(None, (), ())
        if preflight:
            return self._pages.preflight(request)
        offer = self._offer(*found) if found else None
        return self._case(request, offer) if offer else None

    def finish(self, case: Case, decision: Decision) -> Granted | Response:
        """Turn a decision into an answer, with the cookies that this request's own orders need."""
        self._report(case, decision)
        if isinstance(decision, Grant):
            if not (decision.page or case.visit.buy_again):
                extra = (PLAY_MONEY,) if self._settings.sandbox_port is not None else ()
                return Granted(decision.payment, tuple(self._set_cookies(case, decision)), extra)
            page = decision.page or case.visit.request.target
            response = self._pages.redirect(303, self._storefront.public_url + page, case.visit.request)
        elif case.visit.buy_again and isinstance(decision, PaymentRequired):
            response = self._pages.redirect(303, decision.order_status_url, case.visit.request)
        else:
            response = self._pages.respond(case.visit.request, decision, case.offer)
        cookies = ((b"set-cookie", cookie) for cookie in self._set_cookies(case, decision))
        return replace(response, headers=(*response.headers, *cookies))

    def failed(self, request: Request) -> Response:
        """Answer a request whose case broke, in our code or in the site's callables: closed, and in the log."""
        _log.exception("unknown reason=internal-error path=%r", request.path)
        return self._pages.respond(request, Unavailable("internal-error", ""), None)

    def is_form(self, request: Request) -> bool:
        """Tell whether the body belongs to the paywall."""
        return request.method == "POST" and request.app_path == f"{self._prefix}reorder" and not request.websocket

    def _offer(self, rule: Rule, resource: Resource) -> Offer | None:
        """Return what is sold, None if the site says that it is free or does not exist."""
        amount = rule.price_of(resource)
        if amount is None:
            return None
        if self._settings.price_policy == "current":
            resource = replace(resource, name=f"{resource.name} for {amount}")
            return Offer(rule, resource, amount, self._storefront.public_url, marked=True)
        return Offer(rule, resource, amount, self._storefront.public_url)

    def _case(self, request: Request, offer: Offer, *, reorder: bool = False) -> Case:
        now = int(time.time())
        orders = self._cookies.orders(request.headers, offer.resource.tag, now)
        known = None if orders else self._cookies.session(request.headers, now)
        secret = "" if orders or known else secrets.token_urlsafe(16)
        session = None if orders else self._keys.session_id(known or secret)
        visit = Visit(request, orders, session, fresh=bool(secret), now=now, buy_again=reorder, rule=offer.rule)
        return Case(visit, offer, secret, payment_flow(self._storefront, visit, offer))

    def _set_cookies(self, case: Case, decision: Decision) -> Iterable[bytes]:
        """Yield cookies only for what this very request made, found or used up; never one that deletes another's."""
        order = decision.order
        if order is None:
            return
        headers = case.visit.request.headers
        if isinstance(decision, Grant) and decision.page:
            order = msgspec.structs.replace(order, page="")
        elif any(order.order_id == theirs.order_id for theirs in case.visit.orders):
            if not (isinstance(decision, Grant) and self._cookies.renewal_due(headers, order, case.visit.now)):
                return
            if case.visit.request.is_navigation and (secret := self._cookies.session(headers, case.visit.now)):
                yield self._cookies.session_cookie(secret, case.visit.now)
        if case.secret:
            yield self._cookies.session_cookie(case.secret, case.visit.now)
        yield from self._cookies.order_cookies(headers, msgspec.structs.replace(order, issued=case.visit.now))

    def _reserved(self, request: Request) -> Response:
        name = request.app_path.removeprefix(self._prefix)
        if name == "static/style.css" and request.method in {"GET", "HEAD"}:
            return self._pages.style(request)
        known = name in {"static/style.css", "reorder"}
        return self._refuse(request, Refused(405, "method") if known else Refused(404, "unknown-path"))

    def _reorder(self, request: Request, body: bytes | None) -> Case | Response:
        """Open the case of "buy" and "buy again"."""
        asked = page_of_form(request, body, self._storefront.public_url)
        if isinstance(asked, Refused):
            return self._refuse(request, asked)
        found = self._gate.find(asked)
        offer = self._offer(*found) if isinstance(found, tuple) else None
        if offer is None:
            return self._refuse(request, found if isinstance(found, Refused) else Refused(404, "not-for-sale"))
        return self._case(asked, offer, reorder=True)

    def _is_preflight(self, request: Request) -> bool:
        """Tell whether a script of an allowed origin asks before it asks for what is sold (Fetch standard)."""
        if request.method != "OPTIONS" or not self._settings.cors_origins:
            return False
        method = request.header(b"access-control-request-method").decode("latin-1")
        if not method or request.header(b"origin").decode("latin-1") not in self._settings.cors_origins:
            return False
        # A rule of POST does not cover OPTIONS, and one of GET covers no DELETE: the method to come counts.
        found = self._gate.find(replace(request, method=method))
        return isinstance(found, tuple) and self._offer(*found) is not None

    def _refuse(self, request: Request, refused: Refused) -> Response:
        _log.info("refused reason=%s path=%r", refused.reason, request.path)
        return self._pages.respond(request, refused, None)

    def _report(self, case: Case, decision: Decision) -> None:
        """Write one line about every refusal and every failure of the backend; never a cookie, token or URL."""
        name = case.offer.resource.name
        match decision:
            case Grant():
                return
            case Unavailable(reason=reason, detail=detail):
                _log.warning("unknown reason=%s resource=%r detail=%r", reason, name, detail)
            case _:
                order_id = decision.order.order_id if decision.order else None
                _log.info("refused reason=%s resource=%r order=%s", decision.reason, name, order_id)
