"""What is told of a decision."""

from __future__ import annotations

import re

import msgspec
import pytest

from core.script import OFFER, PAYMENT, order, visit
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
from taler_paywall.events import Event
from taler_paywall.report import events_of
from taler_paywall.resource import Rule

KNOWN, NEW = order(), order(1)


def told(decision: Decision) -> list[Event]:
    """Return what is told of a visit that came with one order."""
    return list(events_of(visit(KNOWN), OFFER, decision, 0.25))


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Grant(PAYMENT, KNOWN, reason="paid"), [("paid", "first", 9), ("delivered", "paid", 9)]),
        (
            Grant(PAYMENT, msgspec.structs.replace(KNOWN, state="paid"), reason="paid"),
            [("paid", "again", 9), ("delivered", "paid", 9)],
        ),
        (Grant(PAYMENT, KNOWN), [("delivered", "remembered", 3)]),
        (Grant(PAYMENT, KNOWN, reason="known"), [("delivered", "known", 3)]),
        (PaymentRequired(OFFER.amount), [("refused", "unpaid", 10)]),
        (PaymentRequired(OFFER.amount, KNOWN), [("refused", "unpaid", 10)]),
        (PaymentRequired(OFFER.amount, NEW), [("order", "", 4), ("refused", "unpaid", 10)]),
        (TryAgain(NEW, "claimed"), [("order", "", 4), ("refused", "claimed", 6)]),
        (Refunded(NEW, ""), [("refunded", "refunded", 7)]),
        (Refunded(KNOWN, "https://backend.example/orders/x"), [("refunded", "refunded", 8)]),
        (NotAcceptable(NEW, "other-resource"), [("refused", "other-resource", 9)]),
        (CookiesNeeded(), [("refused", "cookies-needed", 4)]),
        (Refused(429, "too-many-orders"), [("refused", "too-many-orders", 4)]),
        (Unavailable("backend-busy", "too many"), [("unknown", "backend-busy", 5)]),
    ],
)
def test_what_is_told(decision: Decision, said: list[tuple[str, str, int]]) -> None:
    """An order is told of by the request that made it; everything names rule, resource, order and time."""
    events = told(decision)
    assert [(event.kind, event.reason, event.step) for event in events] == said
    order_id = decision.order.order_id if decision.order else ""
    for event in events:
        assert (event.rule, event.resource, event.seconds) == (OFFER.rule.text, OFFER.resource.name, 0.25)
        assert event.order_id == order_id
        assert event.detail == ("too many" if event.kind == "unknown" else "")
        assert bool(event.amount) is (event.kind in {"order", "paid", "delivered"})


def test_how_a_rule_is_called() -> None:
    assert Rule("POST /a/{b}", "KUDOS:1").text == "POST /a/{b}"
    assert Rule(re.compile("/a/(?P<b>.*)"), "KUDOS:1", page="/a").text == "/a/(?P<b>.*)"
