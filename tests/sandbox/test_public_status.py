"""How an order stands, for anybody who may know (merchant API, section 5.5)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .shop import (
    FORGED_HASH,
    FORGED_TOKEN,
    HTML,
    Shop,
    coin,
    fresh_url,
    while_polling,
)
from .traffic import answered, led, refused, showed


def test_public_status_with_a_claim_token(shop: Shop) -> None:
    """The decision table for an order with a token, unclaimed, claimed and paid (facts 2 to 4, 11 to 15)."""
    url = fresh_url()
    made = shop.order(fulfillment_url=url, public_reorder_url="http://shop.example/again")
    order_id, token = made["order_id"], made["token"]

    def check(*, right: int, h_contract: str | None) -> None:
        answered(shop.public(order_id), 202, public_reorder_url="http://shop.example/again")
        led(shop.public(order_id, headers=HTML), 302, "http://shop.example/again")
        answered(shop.public(order_id, token=token), right, fulfillment_url=url)
        showed(shop.public(order_id, headers=HTML, token=token), right, "play money")
        refused(shop.public(order_id, token=FORGED_TOKEN), 403, 2105)
        if h_contract:
            answered(shop.public(order_id, h_contract=h_contract), right, fulfillment_url=url)
            refused(shop.public(order_id, h_contract=FORGED_HASH), 403, 2106)

    check(right=402, h_contract=None)
    claimed = shop.claim(made)
    check(right=402, h_contract=claimed["h_contract"])
    answered(shop.post(order_id, "pay", {"coins": [coin()], "session_id": "one"}), 200, sig=str)
    check(right=200, h_contract=claimed["h_contract"])
    nothing = {"refunded": False, "refund_pending": False, "refund_amount": "KUDOS:0", "refund_taken": "KUDOS:0"}
    paid = answered(shop.public(order_id, token=token, session_id="one"), 200, fulfillment_url=url, **nothing)
    assert paid.keys() == {"fulfillment_url", *nothing}
    elsewhere = answered(shop.public(order_id, token=token, session_id="two"), 402, taler_pay_uri=str)
    assert elsewhere["taler_pay_uri"].endswith(f"/{order_id}/two?c={token}")
    assert shop.public(order_id).headers["access-control-allow-origin"] == "*"


def test_public_status_without_a_claim_token(shop: Shop) -> None:
    """An order made without a token shows its status to anybody (facts 17 to 19)."""
    made = shop.order(body={"create_token": False})
    order_id = made["order_id"]
    answered(shop.public(order_id), 402, taler_pay_uri=str, fulfillment_url=str)
    showed(shop.public(order_id, headers=HTML), 402, "play money")
    refused(shop.public(order_id, token=FORGED_TOKEN), 403, 2105)
    claimed = shop.claim(made)
    answered(shop.public(order_id), 402, taler_pay_uri=str)
    refused(shop.public(order_id, h_contract=FORGED_HASH), 403, 2106)
    answered(shop.post(order_id, "pay", {"coins": [coin()]}), 200, sig=str)
    queries: list[dict[str, Any]] = [{}, {"h_contract": claimed["h_contract"]}]
    for query in queries:
        answered(shop.public(order_id, **query), 200, refunded=False, refund_pending=False)
        showed(shop.public(order_id, headers=HTML, **query), 200, "play money")


def test_without_credentials_and_reorder_url_nothing_is_told(shop: Shop) -> None:
    """Somebody without credentials, and without a place to go to, is refused (row 6)."""
    made = shop.order()
    refused(shop.public(made["order_id"]), 403, 2105)
    refused(shop.public(made["order_id"], h_contract=FORGED_HASH), 403, 2105)
    showed(shop.public(made["order_id"], headers=HTML), 403, "code 2105")


@pytest.mark.parametrize("query", [{"token": "x"}, {"h_contract": "x"}, {"timeout_ms": "1.5"}, {"refund": "EUR:1"}])
def test_malformed_public_queries_are_refused(shop: Shop, query: dict[str, Any]) -> None:
    """A malformed query gets code 26 as JSON, and a page for browsers (row 2)."""
    made = shop.order(body={"create_token": False})
    refused(shop.public(made["order_id"], **query), 400, 26)
    showed(shop.public(made["order_id"], headers=HTML, **query), 400, "code 26")


def test_public_status_tells_of_a_purchase_in_the_session(shop: Shop) -> None:
    """A proof in the session makes the new order's page lead to the old purchase (fact 16, row 8)."""
    url = fresh_url()
    bought, made = shop.bought("old", fulfillment_url=url), shop.order(fulfillment_url=url)
    proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "s16"}
    answered(shop.post(bought["order_id"], "paid", proof), 200, refunded=False)
    assert "already_paid_order_id" not in shop.public(made["order_id"], token=made["token"]).json()
    found = shop.public(made["order_id"], token=made["token"], session_id="s16")
    answered(found, 402, already_paid_order_id=bought["order_id"], fulfillment_url=url)
    led(shop.public(made["order_id"], headers=HTML, token=made["token"], session_id="s16"), 302, url)


def test_polls_end_with_the_payment(shop: Shop) -> None:
    """Long polls of merchant and buyer are answered within a second of the payment (fact 23)."""
    made = shop.order(body={"create_token": False})
    order_id = made["order_id"]
    shop.claim(made)
    started = time.monotonic()
    assert shop.public(order_id, timeout_ms=300).status_code == 402
    assert 0.3 <= time.monotonic() - started < 3
    ended: dict[str, float] = {}

    def poll(name: str) -> None:
        own = Shop(shop.url)
        if name == "public":
            assert own.public(order_id, timeout_ms=15000).status_code == 200
        else:
            assert own.status(order_id, timeout_ms=15000)["order_status"] == "paid"
        ended[name] = time.monotonic()
        own.http.close()

    while_polling(poll, lambda: shop.post(order_id, "pay", {"coins": [coin()]}), ended)


def test_polls_end_with_a_proof_for_the_same_thing(shop: Shop) -> None:
    """A poll on an unpaid order ends when its session proves an earlier purchase."""
    url = fresh_url()
    bought, made = shop.bought("before", fulfillment_url=url), shop.order(fulfillment_url=url)
    ended: dict[str, float] = {}

    def poll(name: str) -> None:
        own = Shop(shop.url)
        query: dict[str, Any] = {"session_id": "after", "timeout_ms": 15000}
        if name == "public":
            found = own.public(made["order_id"], token=made["token"], **query).json()
        else:
            found = own.status(made["order_id"], **query)
        assert found["already_paid_order_id"] == bought["order_id"]
        ended[name] = time.monotonic()
        own.http.close()

    proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "after"}
    while_polling(poll, lambda: shop.post(bought["order_id"], "paid", proof), ended)
