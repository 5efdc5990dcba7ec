"""What an answer says about each decision, whatever form it takes."""

from __future__ import annotations

import pytest

from core.script import order
from core.states import OPEN, STATES
from taler_paywall.decision import Denial, NotAcceptable, PaymentRequired, Refunded, Refused, TryAgain
from taler_paywall.facts import _REFUSALS, Facts, facts_of

PAGE = "/articles/one?ref=x"

#: Status, last part of the problem type, label of the button, and whether there is a link.
EXPECTED: dict[str, tuple[int, str, str, bool]] = {
    "open": (402, "unpaid", "", True),
    "moved": (402, "moved", "", True),
    "teaser": (402, "unpaid", "", True),
    "crawled teaser": (402, "unpaid", "Pay", False),
    "without order": (402, "unpaid", "Pay", False),
    "refund pending": (402, "refunded", "Buy again", True),
    "refund collected": (402, "refunded", "Buy again", False),
    "try again": (402, "try-again", "", True),
    "not acceptable": (402, "not-acceptable", "Buy", False),
    "cookies needed": (402, "cookies-needed", "", True),
    "refund question": (200, "refund", "", True),
    "unknown": (503, "unknown", "", True),
    "refused": (404, "refused", "", False),
}


def said(decision: Denial) -> Facts:
    """Say it, and mark what is translated."""
    return facts_of(decision, PAGE, str.upper)


@pytest.mark.parametrize("state", STATES)
def test_what_is_said(state: str) -> None:
    """Status and type are stable; all texts are translated; a page has a way on wherever there is one."""
    status, slug, buy, has_link = EXPECTED[state]
    facts = said(STATES[state][0])
    assert (facts.status, facts.slug, facts.buy, facts.link is not None) == (status, slug, buy.upper(), has_link)
    assert (facts.title, facts.detail) == (facts.title.upper(), facts.detail.upper())
    assert min(len(facts.title), len(facts.detail)) > 5
    if facts.link:
        assert facts.link[1] == facts.link[1].upper()


@pytest.mark.parametrize(
    ("decision", "url"),
    [
        (OPEN, OPEN.order_status_url),
        (Refunded(order(), "https://backend.example/orders/X"), "https://backend.example/orders/X"),
        (TryAgain(order(), "claimed"), PAGE),
        (STATES["cookies needed"][0], PAGE),
        (STATES["unknown"][0], PAGE),
    ],
)
def test_where_the_link_leads(decision: Denial, url: str) -> None:
    """To the backend where something is paid or collected there, else to the page that was asked for."""
    link = said(decision).link
    assert link
    assert link[0] == url


@pytest.mark.parametrize("reason", _REFUSALS)
def test_every_refusal_has_its_words(reason: str) -> None:
    """They differ, and the status is the decision's."""
    facts = said(Refused(400, reason))
    assert (facts.status, facts.slug, facts.detail) == (400, "refused", _REFUSALS[reason].upper())
    assert len(set(_REFUSALS.values())) == len(_REFUSALS)


def test_a_reason_is_for_the_log_only() -> None:
    """Why an order cannot be used does not change what the reader is told."""
    for kind in (TryAgain, NotAcceptable):
        assert said(kind(order(), "claimed")) == said(kind(order(), "expired"))


def test_secrets_stay_out_of_logs() -> None:
    """Neither the URI nor the links to an order are shown."""
    facts = Facts(402, "unpaid", "", "", link=("SECRET", ""), taler_pay_uri="SECRET", order_status_url="SECRET")
    assert "SECRET" not in repr(facts) + repr(PaymentRequired(OPEN.amount, None, "SECRET", "SECRET"))
