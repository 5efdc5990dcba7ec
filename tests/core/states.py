"""Every page that readers may see, as it is sent."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from core.script import NOW, SITE, order
from taler_paywall.amount import Amount
from taler_paywall.config import resolve
from taler_paywall.decision import (
    CookiesNeeded,
    Denial,
    NotAcceptable,
    PaymentRequired,
    Refunded,
    RefundQuestion,
    Refused,
    TryAgain,
    Unavailable,
)
from taler_paywall.http import Request, Response
from taler_paywall.offer import Offer
from taler_paywall.pages import Pages
from taler_paywall.resource import Rule, resource_of

BACKEND = "https://backend.example/"
PAGE = "/articles/one"
AMOUNT = Amount.parse("KUDOS:0.5")
ORDER = order()
#: As long as the longest that backends make.
PAY_URI = f"taler://pay/backend.example/{ORDER.order_id}/".ljust(190, "S") + "?c=".ljust(60, "C")
STATUS_URL = f"{BACKEND}orders/{ORDER.order_id}?token=T0KEN&session_id={ORDER.session_id}"
OPEN = PaymentRequired(AMOUNT, ORDER, STATUS_URL, PAY_URI)
MOVED = PaymentRequired(AMOUNT, order(state="moved"), STATUS_URL, PAY_URI)
CRAWLED = PaymentRequired(AMOUNT)
TEASER = Markup("<p>Eleven hives hum on the roof of an old water tower, and their keeper binds books.</p>")

#: Every kind of page: what was decided, and whether the rule has a teaser.
STATES: dict[str, tuple[Denial, bool]] = {
    "open": (OPEN, False),
    "moved": (MOVED, False),
    "teaser": (OPEN, True),
    "crawled teaser": (CRAWLED, True),
    "without order": (CRAWLED, False),
    "refund pending": (Refunded(ORDER, STATUS_URL), False),
    "refund collected": (Refunded(ORDER, ""), False),
    "try again": (TryAgain(ORDER, "claimed"), False),
    "not acceptable": (NotAcceptable(ORDER, "other-resource"), False),
    "cookies needed": (CookiesNeeded(), False),
    "refund question": (RefundQuestion(), False),
    "unknown": (Unavailable("backend-rejected", ""), False),
    "refused": (Refused(404, "unknown-path"), False),
}
PAYING = {"open", "moved", "teaser"}


def pages(**options: Any) -> Pages:
    """Return the pages of a site."""
    given = {"backend": BACKEND, "token": "secret-token:x", "secret_key": b"0123456789abcdef" * 2, "public_url": SITE}
    look = {"unpaid": "page", "site_name": "The Hive Review", "logo": "/logo.svg"}
    return Pages(resolve([Rule(PAGE, "KUDOS:0.5")], {**given, **look, **options}), SITE)  # type: ignore[typeddict-item] # options of many types


def answer(state: str, *, language: str = "en", summary: str = "An evening with the bees", **options: Any) -> Response:
    """Return one page as it is sent."""
    decision, previewed = STATES[state]
    rule = Rule(PAGE, "KUDOS:0.5", summary=lambda _: summary, teaser=(lambda _: TEASER) if previewed else None)
    offer = Offer(rule, resource_of(rule, {}), AMOUNT, SITE)
    headers = [(b"accept", b"text/html"), (b"accept-language", language.encode())]
    request = Request("GET", PAGE, PAGE.encode(), "", b"page=2", headers)
    return pages(**options).respond(request, decision, offer, now=NOW)


def static(name: str, **options: Any) -> bytes:
    """Return the style sheet or the script."""
    return pages(**options).static(Request("GET", "/", b"/", "", b"", []), name).body
