"""What an answer says about a decision: the same facts, whatever form they are written in.

The texts are English here, marked with ``_``, and translated when they are said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said about a decision.

    Args:
        status: of the answer.
        slug: last part of the problem type (RFC 9457), stable.
        title: one line.
        detail: what it means for the reader, and what to do.
        buy: label of the button that makes a new order, empty for none.
        link: where to go on, with its label.
        summary: what is sold, empty where nothing is.
        amount: what it costs, such as ``KUDOS:0.5``.
        price: the same for people.
        order_id: of the open order, empty if there is none.
        taler_pay_uri: of the open order, for wallets.
        order_status_url: of the open order, or where a refund is collected.
        poll_url: path that tells when the open order is paid.
        expires: when the offer ends, in seconds since 1970, 0 if nobody knows.
        reason: why a request is refused, stable; empty otherwise.
    """

    status: int
    slug: str
    title: str
    detail: str
    buy: str = ""
    link: tuple[str, str] | None = field(default=None, repr=False)
    summary: str = ""
    amount: str = ""
    price: str = ""
    order_id: str = ""
    taler_pay_uri: str = field(default="", repr=False)
    order_status_url: str = field(default="", repr=False)
    poll_url: str = ""
    expires: int = 0
    reason: str = ""


# What ends a line, and what no XML may hold.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")


def one_line(text: str) -> str:
    """Return a text of the site's as every form of answers can hold it: in one line, without control characters."""
    return _UNFIT.sub(" ", text).strip()


class _Text(NamedTuple):
    status: int
    slug: str
    title: str
    detail: str
    buy: str = ""
    go_on: str = ""


def _(message: str) -> str:
    """Mark a text for translation."""
    return message


PAY_BY = _("To be paid by")
BODY_LOST = _("What you sent was not kept; please send it again after paying.")

_UNPAID = _("This has to be paid for before it opens.")
_NO_ORDER = _Text(402, "unpaid", _("Payment required"), _UNPAID, buy=_("Pay"))
_OPEN_ORDER = _Text(402, "unpaid", _("Payment required"), _UNPAID, go_on=_("Pay with GNU Taler"))
_MOVED = _Text(
    402,
    "moved",
    _("Open in another browser"),
    _(
        "You have bought this, and it is open in another browser now. Your wallet brings it back here, and nothing is "
        "paid twice."
    ),
    go_on=_("Bring it back with GNU Taler"),
)
_REFUNDED = _Text(
    402,
    "refunded",
    _("Refunded"),
    _("You paid for this, and the payment was refunded to your wallet."),
    buy=_("Buy again"),
)
_REFUND_PENDING = _Text(
    402,
    "refunded",
    _("Refunded"),
    _("You paid for this, and the payment was refunded. Your wallet has not collected the refund yet."),
    buy=_("Buy again"),
    go_on=_("Collect the refund"),
)
_TRY_AGAIN = _Text(
    402,
    "try-again",
    _("Please try again"),
    _("The order that was made for you is held by another wallet, or its offer is over. Nothing was paid."),
    go_on=_("Try again"),
)
_NOT_ACCEPTABLE = _Text(
    402,
    "not-acceptable",
    _("That payment does not fit"),
    _("Your wallet showed an earlier payment that does not open this page. You can buy it anew."),
    buy=_("Buy"),
)
_COOKIES_NEEDED = _Text(
    402,
    "cookies-needed",
    _("Cookies are needed"),
    _(
        "This site keeps what you buy in a cookie, and your browser has not kept it. Please allow cookies for this "
        "site. If you have paid already, your wallet proves it, and nothing is paid twice."
    ),
    go_on=_("Go on"),
)
_HTTPS_NEEDED = _Text(
    402,
    "cookies-needed",
    _("Https is needed"),
    _(
        "This site keeps what you buy in a cookie, and your browser keeps it only if it comes by https. If you have "
        "paid already, your wallet proves it, and nothing is paid twice."
    ),
    go_on=_("Go on by https"),
)
_REFUND_QUESTION = _Text(
    200,
    "refund",
    _("Give it back?"),
    _("Your payment goes back to your wallet, and the page closes."),
    go_on=_("Keep it"),
)
_UNKNOWN = _Text(
    503,
    "unknown",
    _("Please come back in a moment"),
    _("The payment service does not answer, so it is not known whether this is paid. Nothing is lost."),
    go_on=_("Try again"),
)
_TOO_MANY = _Text(
    429,
    "refused",
    _("Please come back in a moment"),
    _("Too many have begun to buy here in a short time. Please come back in a minute."),
    go_on=_("Try again"),
)
_REFUSED = _("This request cannot be answered")
_REFUSALS = {
    "ambiguous-path": _("The address can be read in more than one way."),
    "path-too-long": _("The address is too long."),
    "ambiguous-query": _("The address names the same thing twice."),
    "foreign-form": _("The form was not sent from this site."),
    "malformed-form": _("The form is not one of ours."),
    "malformed-preflight": _("The preflight names no method, or no headers, of HTTP."),
    "body-too-long": _("The form is too long."),
    "too-often": _("That was too often in a short time. Please wait a minute."),
    "not-for-sale": _("There is nothing to buy at that address."),
    "not-refundable": _("This cannot be given back here."),
    "nothing-to-refund": _("There is no payment of this browser that could be given back."),
    "refund-too-late": _("The time in which this can be given back is over."),
    "unknown-path": _("There is nothing here."),
    "method": _("This address does not take that method."),
}

# The reader came from a page that is there.
_ABOUT_REFUNDS = dict.fromkeys(("not-refundable", "nothing-to-refund", "refund-too-late"), _("Go on"))


def facts_of(decision: Denial, page: str, gettext: Callable[[str], str]) -> Facts:
    """Say what a decision means.

    Args:
        decision: any but a grant.
        page: path and query that were asked for.
        gettext: translates.
    """
    text, url = _said(decision, page)
    link = (url, gettext(text.go_on)) if url and text.go_on else None
    return Facts(
        text.status,
        text.slug,
        gettext(text.title),
        gettext(text.detail),
        buy=gettext(text.buy) if text.buy else "",
        link=link,
        reason=decision.reason if isinstance(decision, Refused) else "",
    )


def _said(decision: Denial, page: str) -> tuple[_Text, str]:
    """Return the texts, and where their link leads."""
    match decision:
        case PaymentRequired(order=None):
            return _NO_ORDER, ""
        case PaymentRequired(order=order, order_status_url=url):
            return _MOVED if order and order.state == "moved" else _OPEN_ORDER, url
        case Refunded(collect_url=url):
            return _REFUND_PENDING if url else _REFUNDED, url
        case TryAgain():
            return _TRY_AGAIN, page
        case NotAcceptable():
            return _NOT_ACCEPTABLE, ""
        case CookiesNeeded(https_page=url):
            return (_HTTPS_NEEDED, url) if url else (_COOKIES_NEEDED, page)
        case RefundQuestion():
            return _REFUND_QUESTION, page
        case Unavailable():
            return _UNKNOWN, page
        case Refused(reason="too-many-orders"):
            return _TOO_MANY, page
        case Refused(status=status, reason=reason):
            return _Text(status, "refused", _REFUSED, _REFUSALS[reason], go_on=_ABOUT_REFUNDS.get(reason, "")), page
