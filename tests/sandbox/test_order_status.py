"""How an order stands, for the merchant (merchant API, section 4)."""

from __future__ import annotations

import time

import pytest

from .shop import (
    Shop,
    fresh_url,
    pay_uri,
)
from .traffic import answered, refused


def test_unpaid(shop: Shop) -> None:
    """A new order is unpaid and says how to pay it in the session (fact 1, rule 2)."""
    made = shop.order(summary="Article one")
    members = {
        "order_status": "unpaid",
        "taler_pay_uri": pay_uri(shop, made, "one"),
        "order_status_url": f"{shop.url}orders/{made['order_id']}?token={made['token']}&session_id=one",
        "creation_time": dict,
        "summary": "Article one",
        "total_amount": "KUDOS:5",
        "pay_deadline": made["pay_deadline"],
        "proto_contract_terms": dict,
    }
    found = answered(shop.ask(made["order_id"], session_id="one"), 200, **members)
    assert found.keys() == members.keys()
    terms = shop.claim(made)["contract_terms"]
    assert found["proto_contract_terms"] == {name: terms[name] for name in terms if name != "nonce"}
    assert found["creation_time"] == terms["timestamp"]


def test_claimed(shop: Shop) -> None:
    """A claimed order is claimed in every session, and its page is known by its contract (fact 21, rule 3)."""
    made = shop.order()
    claimed = shop.claim(made)
    for query in ({}, {"session_id": "one"}):
        members = {"order_status": "claimed", "contract_terms": claimed["contract_terms"], "order_status_url": str}
        found = answered(shop.ask(made["order_id"], **query), 200, **members)
        assert found.keys() == members.keys()
        assert f"?h_contract={claimed['h_contract']}" in found["order_status_url"]


def test_paid_in_one_session_is_claimed_in_another(shop: Shop) -> None:
    """A paid order is paid for its own session and for the merchant (facts 5 and 9, rule 4)."""
    bought = shop.bought("one")
    members = {
        "order_status": "paid",
        "refunded": False,
        "refund_pending": False,
        "wired": False,
        "refund_amount": "KUDOS:0",
        "deposit_total": "KUDOS:0",
        "exchange_code": 0,
        "exchange_http_status": 0,
        "exchange_ec": 0,
        "exchange_hc": 0,
        "wire_details": [],
        "wire_reports": [],
        "refund_details": [],
        "last_payment": dict,
        "contract_terms": bought["contract_terms"],
        "order_status_url": str,
    }
    for query in ({}, {"session_id": ""}, {"session_id": "one"}):
        found = answered(shop.ask(bought["order_id"], **query), 200, **members)
        assert found.keys() == members.keys()
        assert abs(found["last_payment"]["t_s"] - time.time()) < 10
    elsewhere = shop.ask(bought["order_id"], session_id="two")
    answered(elsewhere, 200, order_status="claimed", contract_terms=bought["contract_terms"])


def test_what_only_the_buyers_endpoint_understands_is_ignored(shop: Shop) -> None:
    """Clients that send the credentials and waits of the public endpoint here do no harm."""
    made = shop.order()
    query = {"h_contract": "x", "token": "y", "await_refund_obtained": "yes", "refund": "z", "transfer": "YES"}
    answered(shop.ask(made["order_id"], **query), 200, order_status="unpaid")


def test_only_the_last_session_stays_paid(shop: Shop) -> None:
    """A proof in a new session takes the purchase away from the old one."""
    bought = shop.bought("one")
    proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "three"}
    assert shop.post(bought["order_id"], "paid", proof).json() == {"refunded": False}
    assert shop.status(bought["order_id"], session_id="three")["order_status"] == "paid"
    assert shop.status(bought["order_id"], session_id="one")["order_status"] == "claimed"


def test_already_paid_under_the_same_fulfillment_url(shop: Shop) -> None:
    """A new order names the one that the session has paid already (facts 7 and 10, rule 2)."""
    url = fresh_url()
    bought = shop.bought("repurchase", fulfillment_url=url)
    made = shop.order(fulfillment_url=url)
    assert "already_paid_order_id" not in shop.status(made["order_id"], session_id="other")
    assert "already_paid_order_id" not in shop.status(made["order_id"])
    already = {"already_paid_order_id": bought["order_id"], "already_paid_fulfillment_url": url}
    answered(shop.ask(made["order_id"], session_id="repurchase"), 200, order_status="unpaid", **already)


def test_refunded_orders_are_not_offered_again(shop: Shop) -> None:
    """A refunded order counts as already paid only on demand."""
    url = fresh_url()
    bought = shop.bought("r", fulfillment_url=url, body={"refund_delay": {"d_us": 300_000_000}})
    made = shop.order(fulfillment_url=url)
    assert shop.refund(bought["order_id"], "KUDOS:1").status_code == 200
    assert "already_paid_order_id" not in shop.status(made["order_id"], session_id="r")
    found = shop.status(made["order_id"], session_id="r", allow_refunded_for_repurchase="YES")
    assert found["already_paid_order_id"] == bought["order_id"]


@pytest.mark.parametrize(
    "query",
    [{"timeout_ms": "-1"}, {"timeout_ms": "x"}, {"allow_refunded_for_repurchase": "maybe"}, {"session_id": "/"}],
)
def test_malformed_queries_are_refused(shop: Shop, query: dict[str, str]) -> None:
    """A query that makes no sense gets code 26, as does a session id that no pay URI can carry."""
    made = shop.order()
    refused(shop.ask(made["order_id"], **query), 400, 26)
