"""Renders decisions for whoever asks: a page for people, problem+json for programs, a few lines for the rest."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from taler_paywall.config import Settings
from taler_paywall.decision import (
    CookiesNeeded,
    Decision,
    Grant,
    NotAcceptable,
    PaymentRequired,
    Refunded,
    Refused,
    TryAgain,
    Unavailable,
)
from taler_paywall.http import UNSAFE_METHODS, Header, Request, Response
from taler_paywall.offer import Offer

RETRY_AFTER = 5
PLAY_MONEY: Header = (b"taler-paywall-sandbox", b"play money")

# Names of methods and headers, and what stands between them (RFC 9110, section 5.6.2).
_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*").fullmatch
_BODY_LOST = "What you sent was not kept; please send it again after paying."
_TYPE = "urn:taler-paywall:"
_VARY = b"Accept, Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is said about a decision, the same on every form.

    Args:
        status: of the answer.
        slug: last part of the problem type (RFC 9457), stable.
        title: one line.
        detail: what it means for the reader, and what to do.
        buy: label of the button that makes a new order, empty for none.
        link: where to go on, with its label.
    """

    status: int
    slug: str
    title: str
    detail: str
    buy: str = ""
    link: tuple[str, str] | None = field(default=None, repr=False)


def explain(decision: Decision, page: str) -> Explanation:
    """Say what a decision means.

    Args:
        decision: any but a grant.
        page: path and query that were asked for.
    """
    match decision:
        case PaymentRequired(order=None):
            return Explanation(402, "unpaid", "Payment required", "This has to be paid for before it opens.", "Pay")
        case PaymentRequired(order_status_url=url):
            detail = "This has to be paid for before it opens."
            return Explanation(402, "unpaid", "Payment required", detail, link=(url, "Pay with GNU Taler"))
        case Refunded(collect_url=""):
            detail = "You paid for this, and the payment was refunded to your wallet."
            return Explanation(402, "refunded", "Refunded", detail, "Buy again")
        case Refunded(collect_url=url):
            detail = "You paid for this, and the payment was refunded. Your wallet has not collected the refund yet."
            return Explanation(402, "refunded", "Refunded", detail, "Buy again", (url, "Collect the refund"))
        case TryAgain():
            detail = (
                "The order that was made for you is held by another wallet, or its offer is over. Nothing was paid."
            )
            return Explanation(402, "try-again", "Please try again", detail, link=(page, "Try again"))
        case NotAcceptable():
            detail = "Your wallet showed an earlier payment that does not open this page. You can buy it anew."
            return Explanation(402, "not-acceptable", "That payment does not fit", detail, "Buy")
        case CookiesNeeded():
            detail = (
                "You came back from the payment page without this site's cookie. Please allow cookies for this site."
            )
            return Explanation(402, "cookies-needed", "Cookies are needed", detail, link=(page, "Go on"))
        case Unavailable():
            detail = "The payment service does not answer, so it is not known whether this is paid. Nothing is lost."
            return Explanation(503, "unknown", "Please come back in a moment", detail, link=(page, "Try again"))
        case Refused(status=status, reason=reason):
            return Explanation(status, "refused", "This request cannot be answered", _REFUSALS[reason])
        case Grant():
            raise TypeError("a grant is not explained")


_REFUSALS = {
    "ambiguous-path": "The address can be read in more than one way.",
    "path-too-long": "The address is too long.",
    "ambiguous-query": "The address names the same thing twice.",
    "foreign-form": "The form was not sent from this site.",
    "malformed-form": "The form is not one of ours.",
    "malformed-preflight": "The preflight names no method, or no headers, of HTTP.",
    "body-too-long": "The form is too long.",
    "not-for-sale": "There is nothing to buy at that address.",
    "unknown-path": "There is nothing here.",
    "method": "This address does not take that method.",
}


class Pages:
    """The answers of one site.

    Args:
        settings: of the site.
        public_url: of the site.
    """

    def __init__(self, settings: Settings, public_url: str) -> None:
        self._settings = settings
        self._root = urlsplit(public_url).path
        backend = urlsplit(settings.backend_public_url)
        # Browsers hold form-action against the redirect that answers the form, too.
        self._policy = (
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action 'self' {backend.scheme}://{backend.netloc}"
        ).encode()

    def respond(self, request: Request, decision: Decision, offer: Offer | None) -> Response:
        """Render a decision that is no grant.

        Args:
            request: whose ``Accept`` and method choose the form.
            decision: what was decided.
            offer: what is sold, None where nothing is.
        """
        if (
            isinstance(decision, PaymentRequired)
            and decision.order
            and request.method == "GET"
            and request.is_navigation
        ):
            return self.redirect(302, decision.order_status_url, request)
        said = explain(decision, self._root + request.target)
        if said.status == HTTPStatus.PAYMENT_REQUIRED and request.method in UNSAFE_METHODS:
            said = replace(said, detail=f"{said.detail} {_BODY_LOST}")
        headers: list[Header] = []
        representation = request.preferred_representation
        if representation == "html":
            body = self._html(request, decision, offer, said)
            headers += [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", self._policy)]
        elif representation == "json":
            body = json.dumps(_problem(decision, offer, said), ensure_ascii=False, indent=1).encode() + b"\n"
            headers.append((b"content-type", b"application/problem+json"))
        else:
            body = _text(decision, offer, said).encode()
            headers.append((b"content-type", b"text/plain; charset=utf-8"))
        if isinstance(decision, PaymentRequired) and decision.order:
            headers.append((b"taler", decision.taler_pay_uri.encode()))
        if said.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append((b"retry-after", b"%d" % RETRY_AFTER))
        return self._finish(request, Response(said.status, tuple(headers), body))

    def redirect(self, status: int, url: str, request: Request) -> Response:
        """Send a browser to a URL that was checked."""
        headers = ((b"location", url.encode()), (b"content-type", b"text/plain; charset=utf-8"))
        return self._finish(request, Response(status, headers))

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
        return self._finish(request, Response(204, headers))

    def style(self, request: Request) -> Response:
        """Return the style sheet."""
        headers = ((b"content-type", b"text/css; charset=utf-8"), (b"cache-control", b"public, max-age=3600"))
        return self._finish(request, Response(200, headers, _stylesheet()))

    def _finish(self, request: Request, response: Response) -> Response:
        """Add what every answer of ours carries."""
        cached = any(name == b"cache-control" for name, _ in response.headers)
        headers = [
            *response.headers,
            # RFC 9110, section 8.6: none with 204.
            *([] if response.status == HTTPStatus.NO_CONTENT else [(b"content-length", b"%d" % len(response.body))]),
            *([] if cached else [(b"cache-control", b"no-store")]),
            (b"vary", _VARY + (b", Origin" if self._settings.cors_origins else b"")),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            *([PLAY_MONEY] if self._settings.sandbox_port is not None else []),
        ]
        origin = request.header(b"origin")
        if origin and origin.decode("latin-1") in self._settings.cors_origins:
            headers += [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", b"Taler, Retry-After"),
            ]
        return Response(response.status, tuple(headers), b"" if request.method == "HEAD" else response.body)

    def _html(self, request: Request, decision: Decision, offer: Offer | None, said: Explanation) -> bytes:
        page = (
            _templates()
            .get_template("page.html.j2")
            .render(
                said=said,
                summary=offer.summary if offer else "",
                amount=_amount(decision, offer),
                taler_pay_uri=getattr(decision, "taler_pay_uri", ""),
                page=request.target,
                method=request.method if request.method in UNSAFE_METHODS else "GET",
                reserved=self._root + self._settings.prefix,
                play_money=self._settings.sandbox_port is not None,
            )
        )
        return page.encode()


def _problem(decision: Decision, offer: Offer | None, said: Explanation) -> dict[str, Any]:
    """Return problem details (RFC 9457) with everything that a program needs to pay."""
    problem: dict[str, Any] = {
        "type": _TYPE + said.slug,
        "title": said.title,
        "status": said.status,
        "detail": said.detail,
    }
    if offer and said.status == HTTPStatus.PAYMENT_REQUIRED:
        problem |= {"amount": _amount(decision, offer), "summary": offer.summary}
    if isinstance(decision, PaymentRequired) and decision.order:
        problem |= {
            "order_id": decision.order.order_id,
            "taler_pay_uri": decision.taler_pay_uri,
            "order_status_url": decision.order_status_url,
        }
    if isinstance(decision, Refunded) and decision.collect_url:
        problem["order_status_url"] = decision.collect_url
    return problem


def _text(decision: Decision, offer: Offer | None, said: Explanation) -> str:
    lines = [said.title, said.detail]
    if offer and said.status == HTTPStatus.PAYMENT_REQUIRED:
        lines.append(f"{offer.summary}: {_amount(decision, offer)}")
    if isinstance(decision, PaymentRequired) and decision.order:
        lines += [decision.taler_pay_uri, decision.order_status_url]
    if isinstance(decision, Refunded) and decision.collect_url:
        lines.append(decision.collect_url)
    return "\n".join(lines) + "\n"


def _amount(decision: Decision, offer: Offer | None) -> str:
    if isinstance(decision, PaymentRequired):
        return str(decision.amount)
    return str(offer.amount) if offer else ""


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("taler_paywall"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@functools.cache
def _stylesheet() -> bytes:
    return _templates().get_template("style.css").render().encode()
