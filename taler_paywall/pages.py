"""Answers of the paywall's own: the form that the client asked for, and the headers that every one of them carries."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from taler_paywall.answers import CurrencySpecification
from taler_paywall.decision import CookiesNeeded, Denial, PaymentRequired, Refunded, Refused
from taler_paywall.facts import BODY_LOST, Facts, facts_of, one_line
from taler_paywall.http import UNSAFE_METHODS, Header, Request, Response
from taler_paywall.offer import Offer
from taler_paywall.render import Reader, Renderer
from taler_paywall.resource import Rule
from taler_paywall.session import Order
from taler_paywall.settings import Settings
from taler_paywall.templating import STATIC
from taler_paywall.texts import Languages, Texts

PLAY_MONEY: Header = (b"taler-paywall-sandbox", b"play money")

# Of the year 9999.
_LAST_SECOND = 253_402_300_799
# In seconds, by status.
_RETRY_AFTER = {429: b"60", 503: b"5"}
# Names of methods and headers, and what stands between them (RFC 9110, section 5.6.2).
_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*").fullmatch
_VARY = b"Accept, Accept-Language, Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest, HX-Request, X-Requested-With"
_MEDIA_TYPES = {
    "html": b"text/html; charset=utf-8",
    "json": b"application/problem+json",
    "text": b"text/plain; charset=utf-8",
    "rss": b"application/rss+xml; charset=utf-8",
    "atom": b"application/atom+xml; charset=utf-8",
}


_log = logging.getLogger("taler_paywall")


class Pages:
    """The answers of one site.

    Args:
        settings: of the site.
        public_url: of the site.
    """

    def __init__(self, settings: Settings, public_url: str) -> None:
        self._settings = settings
        self._public_url = public_url
        self._renderer = Renderer(settings, public_url)
        self._languages = Languages(settings.look.templates)
        site, backend = urlsplit(public_url), urlsplit(settings.backend_public_url)
        # Browsers hold form-action against the redirect that answers the form, too.
        self._policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
            "base-uri 'none'; frame-ancestors 'none'; form-action 'self' "
            f"{site.scheme}://{site.netloc} {backend.scheme}://{backend.netloc}"
        ).encode()

    def respond(
        self,
        request: Request,
        decision: Denial,
        offer: Offer | None,
        *,
        now: int = 0,
        keeps_cookies: bool = True,
        currency: CurrencySpecification | None = None,
    ) -> Response:
        """Render a decision that is no grant.

        Args:
            request: whose ``Accept`` and method choose the form.
            decision: what was decided.
            offer: what is sold, None where nothing is.
            now: seconds since 1970.
            keeps_cookies: whether the browser has shown a cookie of ours.
            currency: how the price is written, if that is known.
        """
        if url := self.redirected(request, decision, offer):
            return self.redirect(302, url, request)
        texts = self._languages.best(request.header(b"accept-language").decode("latin-1"))
        facts = self._facts(request, decision, offer, texts, currency)
        reader = Reader(request, texts, now, keeps_cookies)
        preview = self._preview(reader, decision, facts, offer)
        kind = "html" if preview else request.preferred_representation
        status = HTTPStatus.OK if preview else facts.status
        body = preview or self._renderer.write(kind, reader, facts, offer)
        headers = [(b"content-type", _MEDIA_TYPES[kind]), (b"content-language", texts.language.encode())]
        if kind == "html":
            headers.append((b"content-security-policy", self._policy))
        if facts.taler_pay_uri:
            headers.append((b"taler", facts.taler_pay_uri.encode()))
        by_htmx = request.method == "GET" and request.header(b"hx-request") == b"true"
        if offer and by_htmx and status == HTTPStatus.PAYMENT_REQUIRED:
            headers.append((b"hx-redirect", self._page_for_htmx(request, offer).encode()))
        if status in _RETRY_AFTER:
            headers.append((b"retry-after", _RETRY_AFTER[status]))
        return self.finished(request, Response(status, tuple(headers), body))

    def are_shown_for(self, rule: Rule) -> bool:
        """Tell whether who has not paid gets a page of ours, or else is sent to the backend's."""
        return (rule.unpaid or self._settings.unpaid) == "page" or rule.teaser is not None

    def redirected(self, request: Request, decision: Denial, offer: Offer | None) -> str:
        """Return the backend's page that a browser is sent to, empty if it gets one of ours."""
        if not isinstance(decision, PaymentRequired) or not decision.order or decision.order.state == "moved":
            return ""
        if offer and self.are_shown_for(offer.rule):
            return ""
        return decision.order_status_url if request.method == "GET" and request.is_navigation else ""

    def redirect(self, status: int, url: str, request: Request) -> Response:
        """Send a browser to a URL that was checked."""
        headers = ((b"location", url.encode()), (b"content-type", b"text/plain; charset=utf-8"))
        return self.finished(request, Response(status, headers))

    def lead(self, request: Request, target: str) -> Response:
        """Send a browser on to a page of this site.

        Args:
            request: that is answered.
            target: path and query, as the application has them.
        """
        return self.redirect(303, self._public_url + target, request)

    def preflight(self, request: Request) -> Response:
        """Answer a CORS preflight of an allowed origin (Fetch standard), without the application."""
        asked = request.header(b"access-control-request-headers")
        method = request.header(b"access-control-request-method")
        if not _TOKENS(method + b"," + asked):
            return self.respond(request, Refused(400, "malformed-preflight"), None)
        headers = (
            (b"access-control-allow-methods", method),
            *([(b"access-control-allow-headers", asked)] if asked else []),
        )
        return self.finished(request, Response(204, headers))

    def static(self, request: Request, name: str) -> Response:
        """Return the style sheet or the script; their addresses change with what is in them."""
        # While a new release is rolled out, a worker of the old one is asked for what it does not have.
        current = request.parameter("v") == self._renderer.version(name)
        kept = b"public, max-age=31536000, immutable" if current else b"no-cache"
        headers = ((b"content-type", STATIC[name]), (b"cache-control", kept))
        return self.finished(request, Response(200, headers, self._renderer.static[name]))

    def json(self, request: Request, status: int, members: dict[str, Any]) -> Response:
        """Answer a program that speaks the merchant API."""
        # A poll that is refused may be asked again sooner than a form.
        retry = ((b"retry-after", _RETRY_AFTER[503]),) if status in _RETRY_AFTER else ()
        headers = ((b"content-type", b"application/json"), *retry)
        return self.finished(request, Response(status, headers, msgspec.json.encode(members) + b"\n"))

    def finished(self, request: Request, response: Response) -> Response:
        """Add what every answer of ours carries."""
        alike = any(name == b"cache-control" for name, _ in response.headers)
        vary = ([] if alike else [_VARY]) + ([b"Origin"] if self._settings.cors_origins else [])
        headers = [
            *response.headers,
            # RFC 9110, section 8.6: none with 204.
            *([] if response.status == HTTPStatus.NO_CONTENT else [(b"content-length", b"%d" % len(response.body))]),
            *([] if alike else [(b"cache-control", b"no-store")]),
            *([(b"vary", b", ".join(vary))] if vary else []),
            (b"x-content-type-options", b"nosniff"),
            # With no-referrer, browsers would keep from us that our own forms are ours.
            (b"referrer-policy", b"same-origin"),
            *([PLAY_MONEY] if self._settings.sandbox_port is not None else []),
        ]
        origin = request.header(b"origin")
        if origin and origin.decode("latin-1") in self._settings.cors_origins:
            headers += [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", b"Taler, Retry-After, Content-Language"),
            ]
        return Response(response.status, tuple(headers), b"" if request.method == "HEAD" else response.body)

    def _facts(
        self,
        request: Request,
        decision: Denial,
        offer: Offer | None,
        texts: Texts,
        currency: CurrencySpecification | None,
    ) -> Facts:
        facts = facts_of(decision, self._renderer.page_url(request, offer), texts.gettext)
        if offer is None:
            return facts
        more: dict[str, Any] = {"summary": one_line(offer.summary)}
        if facts.status != HTTPStatus.PAYMENT_REQUIRED or isinstance(decision, CookiesNeeded):
            return replace(facts, **more)
        if request.method in UNSAFE_METHODS:
            more["detail"] = f"{facts.detail} {texts.gettext(BODY_LOST)}"
        amount = decision.amount if isinstance(decision, PaymentRequired) else offer.amount
        more |= {"amount": str(amount), "price": texts.price(amount, currency)}
        if isinstance(decision, Refunded):
            more["order_status_url"] = decision.collect_url
        elif isinstance(decision, PaymentRequired) and decision.order:
            more |= self._payable(request, decision, decision.order)
        return replace(facts, **more)

    def _payable(self, request: Request, decision: PaymentRequired, order: Order) -> dict[str, Any]:
        """Return what a wallet and our page need for an open order."""
        return {
            "order_id": order.order_id,
            "taler_pay_uri": decision.taler_pay_uri,
            "order_status_url": decision.order_status_url,
            "poll_url": self._renderer.poll_url(request, order.order_id),
            # After the last year that can be written, an offer has no end.
            "expires": order.pay_deadline if order.pay_deadline < _LAST_SECOND else 0,
        }

    def _preview(self, reader: Reader, decision: Denial, facts: Facts, offer: Offer | None) -> bytes | None:
        """Return the page with the teaser of what is sold, None if there is none for this request."""
        if offer is None or offer.rule.teaser is None or not isinstance(decision, PaymentRequired):
            return None
        request, teaser = reader.request, offer.rule.teaser
        html = request.preferred_representation == "html" or (request.is_robot and request.accepts_html)
        if not html or request.method not in {"GET", "HEAD"}:
            return None
        try:
            preview = teaser(offer.resource) if callable(teaser) else ""
            return None if preview is None else self._renderer.html(reader, facts, offer, preview)
        except Exception:  # noqa: BLE001 - the site's own code; without a preview it can still be bought
            _log.exception("the teaser cannot be shown: resource=%r", offer.resource.name)
            return None

    def _page_for_htmx(self, request: Request, offer: Offer) -> str:
        """Return where htmx takes its user: a part of a page is shown by the page."""
        boosted = request.header(b"hx-boosted") == b"true"
        return self._renderer.page_url(request, offer) if boosted else offer.fulfillment_url
