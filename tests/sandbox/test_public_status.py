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
from .traffic import refused


def test_public_status_with_a_claim_token(shop: Shop) -> None:
    """The decision table for an order with a token, unclaimed, claimed and paid (facts 2 to 4, 11 to 15)."""
    url = fresh_url()
    made = shop.order(fulfillment_url=url, public_reorder_url="http://shop.example/again")
    order_id, token = made["order_id"], made["token"]

    def check(*, right: int, h_contract: str | None) -> None:
        without = shop.public(order_id)
        assert (without.status_code, without.json()) == (202, {"public_reorder_url": "http://shop.example/again"})
        page = shop.public(order_id, headers=HTML)
        assert (page.status_code, page.headers["location"]) == (302, "http://shop.example/again")
        assert shop.public(order_id, token=token).status_code == right
        assert shop.public(order_id, headers=HTML, token=token).status_code == right
        refused(shop.public(order_id, token=FORGED_TOKEN), 403, 2105)
        if h_contract:
            assert shop.public(order_id, h_contract=h_contract).status_code == right
            refused(shop.public(order_id, h_contract=FORGED_HASH), 403, 2106)

    check(right=402, h_contract=None)
    claimed = shop.claim(made)
    check(right=402, h_contract=claimed["h_contract"])
    assert shop.post(order_id, "pay", {"coins": [coin()], "session_id": "one"}).status_code == 200
    check(right=200, h_contract=claimed["h_contract"])
    assert shop.public(order_id, token=token, session_id="one").json() == {
        "fulfillment_url": url,
        "refunded": False,
        "refund_pending": False,
        "refund_amount": "KUDOS:0",
        "refund_taken": "KUDOS:0",
    }
    elsewhere = shop.public(order_id, token=token, session_id="two")
    assert elsewhere.status_code == 402
    assert elsewhere.json()["taler_pay_uri"].endswith(f"/{order_id}/two?c={token}")
    assert shop.public(order_id).headers["access-control-allow-origin"] == "*"


def test_public_status_without_a_claim_token(shop: Shop) -> None:
    """An order made without a token shows its status to anybody (facts 17 to 19)."""
    made = shop.order(body={"create_token": False})
    order_id = made["order_id"]
    for headers in (None, HTML):
        assert shop.public(order_id, headers=headers).status_code == 402
    refused(shop.public(order_id, token=FORGED_TOKEN), 403, 2105)
    claimed = shop.claim(made)
    assert shop.public(order_id).status_code == 402
    refused(shop.public(order_id, h_contract=FORGED_HASH), 403, 2106)
    assert shop.post(order_id, "pay", {"coins": [coin()]}).status_code == 200
    queries: list[dict[str, Any]] = [{}, {"h_contract": claimed["h_contract"]}]
    for query in queries:
        assert shop.public(order_id, **query).status_code == 200
        assert shop.public(order_id, headers=HTML, **query).status_code == 200


def test_without_credentials_and_reorder_url_nothing_is_told(shop: Shop) -> None:
    """Somebody without credentials, and without a place to go to, is refused (row 6)."""
    made = shop.order()
    refused(shop.public(made["order_id"]), 403, 2105)
    refused(shop.public(made["order_id"], h_contract=FORGED_HASH), 403, 2105)
    assert shop.public(made["order_id"], headers=HTML).status_code == 403


@pytest.mark.parametrize("query", [{"token": "x"}, {"h_contract": "x"}, {"timeout_ms": "1.5"}, {"refund": "EUR:1"}])
def test_malformed_public_queries_are_refused(shop: Shop, query: dict[str, Any]) -> None:
    """A malformed query gets code 26 as JSON, and a page for browsers (row 2)."""
    made = shop.order(body={"create_token": False})
    refused(shop.public(made["order_id"], **query), 400, 26)
    page = shop.public(made["order_id"], headers=HTML, **query)
    assert page.status_code == 400
    assert "code 26" in page.text


def test_public_status_tells_of_a_purchase_in_the_session(shop: Shop) -> None:
    """A proof in the session makes the new order's page lead to the old purchase (fact 16, row 8)."""
    url = fresh_url()
    bought, made = shop.bought("old", fulfillment_url=url), shop.order(fulfillment_url=url)
    proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "s16"}
    assert shop.post(bought["order_id"], "paid", proof).status_code == 200
    assert "already_paid_order_id" not in shop.public(made["order_id"], token=made["token"]).json()
    found = shop.public(made["order_id"], token=made["token"], session_id="s16")
    assert found.status_code == 402
    assert found.json()["already_paid_order_id"] == bought["order_id"]
    assert found.json()["fulfillment_url"] == url
    page = shop.public(made["order_id"], headers=HTML, token=made["token"], session_id="s16")
    assert (page.status_code, page.headers["location"]) == (302, url)


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
