"""Who reads on while the backend is away, who does not, and who may make orders."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network

import msgspec
import pytest

from core.script import EXISTS, PAYMENT, POST, STOREFRONT, claimed, decide, get, held, order, paid, unpaid, visit
from taler_paywall.decision import Grant, PaymentRequired, Refunded, Refused, Unavailable
from taler_paywall.errors import BackendBusy, BackendNonsense, BackendUnreachable, CircuitOpen
from taler_paywall.http import Header
from taler_paywall.visit import Visit

FIRST, SECOND = order(0, price=""), order(1, price="")
ASKED = [("recall", None), (get(order()), BackendUnreachable("no answer in time"))]


@pytest.mark.parametrize(
    "trouble", [BackendUnreachable("no answer in time"), CircuitOpen("open"), (500, {}), (502, {"code": 1}), (599, {})]
)
def test_who_was_confirmed_reads_on_during_an_outage(trouble: object) -> None:
    """While the backend cannot be reached or answers with an error of its own."""
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), trouble), known=PAYMENT)
    assert decision == Grant(PAYMENT, order(), reason="known")


@pytest.mark.parametrize(
    "trouble",
    [BackendBusy("too many"), BackendNonsense("no JSON"), (401, {}), (429, {}), (404, {"code": 2000}), (302, {})],
)
def test_no_other_trouble_lets_anybody_read(trouble: object) -> None:
    """Not our own bound on calls, not a wrong token, nothing that the backend says by being there."""
    decision, _ = decide(visit(order()), ("recall", None), (get(order()), trouble), known=PAYMENT)
    assert isinstance(decision, Unavailable)


def test_who_is_not_known_waits() -> None:
    decision, _ = decide(visit(order()), *ASKED)
    assert decision == Unavailable("backend-unreachable", "no answer in time")


def test_who_has_no_order_is_not_looked_up() -> None:
    decision, _ = decide(visit(), (POST, BackendUnreachable("no answer in time")), known=PAYMENT)
    assert isinstance(decision, Unavailable)


def test_known_is_who_has_this_very_order() -> None:
    """Of several orders the one that was confirmed, and it lands where it would have landed."""
    older = order(1, page="/articles/one?ref=x")
    known = msgspec.structs.replace(older)
    payment = type(PAYMENT)(known.order_id, PAYMENT.resource, PAYMENT.amount)
    decision, _ = decide(visit(order(), older, page="/articles/one"), *ASKED, known=payment)
    assert decision == Grant(payment, older, "/articles/one?ref=x", "known")


def test_a_refund_that_was_seen_ends_it() -> None:
    """What is known is forgotten in the very request that sees the refund, for good."""
    steps = [("recall", None), (get(order()), paid(order(), refunded=True)), (f"forget {order().order_id}", None)]
    decision, script = decide(visit(order()), *steps, known=PAYMENT)
    assert isinstance(decision, Refunded)
    assert script.dropped == []


def test_claimed_ends_it_for_now() -> None:
    """In this session it is not paid any more, and no answer that is on its way brings it back."""
    moved, began = order(state="paid"), order()
    gone = [(f"forget {moved.order_id}", None)]
    for each, forgotten in ((moved, gone), (began, [])):
        steps = [("recall", None), (get(each), claimed(each)), *forgotten]
        asked = [] if forgotten else [held(each)[1]]
        decision, script = decide(visit(each), *steps, *asked, (POST, BackendUnreachable("x")))
        assert isinstance(decision, Unavailable)
        assert script.dropped == [each.order_id][len(forgotten) :]


def test_an_order_that_the_backend_does_not_know_is_not_known_here() -> None:
    """What it has just said counts, also if it breaks down in the same moment."""
    steps = [("recall", None), (get(order()), (404, {"code": 2005})), (POST, BackendUnreachable("x"))]
    _, script = decide(visit(order()), *steps)
    assert script.dropped == [order().order_id]


def test_who_may_not_order_costs_no_call() -> None:
    """The visitor is told to come back; the client is whom the server names."""
    decision, script = decide(asking(), wait=3.5)
    assert decision == Refused(429, "too-many-orders")
    assert script.clients == ["203.0.113.7"]


def test_an_order_that_has_to_be_replaced_is_a_new_one() -> None:
    known = order(pay_deadline=1)
    decision, script = decide(visit(known), ("recall", None), (get(known), unpaid(known, pay_deadline=PAST)), wait=1.0)
    assert decision == Refused(429, "too-many-orders")
    assert len(script.clients) == 1


PAST = {"t_s": 1}


def test_one_request_takes_one() -> None:
    """Though it may need a second attempt; who has an order that can be paid takes none."""
    _, script = decide(visit(), (POST, EXISTS), (get(FIRST), (404, {"code": 2005})), *AGAIN)
    assert len(script.clients) == 1
    decision, script = decide(visit(order()), ("recall", None), (get(order()), unpaid(order())), wait=1.0)
    assert isinstance(decision, PaymentRequired)
    assert script.clients == []


AGAIN = [(POST, EXISTS), (get(SECOND), (404, {"code": 2005}))]


def test_a_proxy_that_is_trusted_names_the_client() -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.1, 192.0.2.9")]
    trusting = dataclasses.replace(STOREFRONT, trusted_proxies=(ip_network("203.0.113.0/24"),))
    _, script = decide(asking(*headers), wait=1.0, storefront=trusting)
    assert script.clients == ["192.0.2.9"]
    _, script = decide(asking(*headers), wait=1.0)
    assert script.clients == ["203.0.113.7"]


def asking(*headers: Header) -> Visit:
    """Return a first visit from some address."""
    stranger = visit()
    request = msgspec.structs.replace(stranger.request, peer="203.0.113.7")
    request = msgspec.structs.replace(request, headers=[*request.headers, *headers])
    return msgspec.structs.replace(stranger, request=request)
