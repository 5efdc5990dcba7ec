"""Refunds, granted by the merchant and collected by the wallet (merchant API, sections 5.4 and 5.9)."""

from __future__ import annotations

import time
from typing import Any

from .shop import (
    FORGED_HASH,
    REFUNDABLE,
    Shop,
    coin,
    while_polling,
)
from .traffic import refused


def test_refund_grows_to_a_new_total(shop: Shop) -> None:
    """Refunds are totals, shown to merchant and buyer until the wallet has collected them (facts 24, 25, 28)."""
    bought = shop.bought(amount="KUDOS:10", body=REFUNDABLE)
    order_id, h_contract = bought["order_id"], bought["h_contract"]
    for total in ("KUDOS:2.5", "KUDOS:5", "KUDOS:5", "KUDOS:10"):
        answer = shop.refund(order_id, total)
        assert answer.status_code == 200
        assert answer.json()["h_contract"] == h_contract
        assert answer.json()["taler_refund_uri"] == f"taler+http://refund/{shop.url[7:]}{order_id}/"
    found = shop.status(order_id)
    assert found["order_status"] == "paid"
    assert found["refunded"] is found["refund_pending"] is True
    assert found["refund_amount"] == "KUDOS:10"
    assert [detail["amount"] for detail in found["refund_details"]] == ["KUDOS:2.5", "KUDOS:2.5", "KUDOS:5"]
    assert all(detail["pending"] and detail["reason"] == "because" for detail in found["refund_details"])
    status = shop.public(order_id, h_contract=h_contract)
    assert status.status_code == 200
    assert status.json()["refund_amount"] == "KUDOS:10"
    assert status.json()["refund_taken"] == "KUDOS:0"
    collected = shop.post(order_id, "refund", {"h_contract": h_contract}).json()
    assert collected["refund_amount"] == "KUDOS:10"
    assert collected["merchant_pub"] == bought["contract_terms"]["merchant_pub"]
    assert all(one["type"] == "success" and one["exchange_status"] == 200 for one in collected["refunds"])
    assert {one["coin_pub"] for one in collected["refunds"]} == {bought["coins"][0]["coin_pub"]}
    assert shop.public(order_id, h_contract=h_contract).json()["refund_taken"] == "KUDOS:10"
    assert shop.status(order_id)["refund_pending"] is False


def test_refund_without_reorder_url_is_hidden_from_strangers(shop: Shop) -> None:
    """Without credentials a refunded order is as closed as any other (fact 24)."""
    bought = shop.bought(body=REFUNDABLE, fulfillment_url=None, fulfillment_message="Thank you")
    assert shop.refund(bought["order_id"], "KUDOS:5").status_code == 200
    refused(shop.public(bought["order_id"]), 403, 2105)
    assert shop.public(bought["order_id"], h_contract=bought["h_contract"]).status_code == 200


def test_refunds_are_taken_from_several_coins(shop: Shop) -> None:
    """A refund larger than one coin goes to the next one."""
    made = shop.order(body=REFUNDABLE)
    claimed = shop.claim(made)
    coins = [coin("KUDOS:2"), coin("KUDOS:3")]
    assert shop.post(made["order_id"], "pay", {"coins": coins}).status_code == 200
    assert shop.refund(made["order_id"], "KUDOS:1").status_code == 200
    assert shop.refund(made["order_id"], "KUDOS:4").status_code == 200
    collected = shop.post(made["order_id"], "refund", {"h_contract": claimed["h_contract"]}).json()
    first, second = (one["coin_pub"] for one in coins)
    assert [(one["coin_pub"], one["refund_amount"]) for one in collected["refunds"]] == [
        (first, "KUDOS:1"),
        (first, "KUDOS:1"),
        (second, "KUDOS:2"),
    ]


def test_refunds_that_are_not_possible(shop: Shop) -> None:
    """Each reason against a refund has its code."""
    bought = shop.bought(body=REFUNDABLE)
    order_id = bought["order_id"]
    refused(shop.refund("none", "KUDOS:1"), 404, 2005)
    refused(shop.refund(order_id, None), 400, 25)
    refused(shop.refund(order_id, "x"), 400, 26)
    refused(shop.refund(order_id, "KUDOS:1", reason=None), 400, 25)
    refused(shop.refund(order_id, "EUR:1"), 409, 2024)
    refused(shop.refund(order_id, "KUDOS:5.01"), 409, 2530)
    assert shop.refund(order_id, "KUDOS:3").status_code == 200
    refused(shop.refund(order_id, "KUDOS:2"), 409, 2530)
    refused(shop.refund(shop.bought()["order_id"], "KUDOS:1"), 403, 2532)
    refused(shop.refund(shop.order(body=REFUNDABLE)["order_id"], "KUDOS:1"), 409, 2531)


def test_refunds_end_with_the_deadline(shop: Shop) -> None:
    """After the refund deadline the contract allows no refund any more."""
    bought = shop.bought(body={"refund_delay": {"d_us": 1_000_000}})
    time.sleep(2.1)
    refused(shop.refund(bought["order_id"], "KUDOS:1"), 403, 2532)


def test_collecting_refunds(shop: Shop) -> None:
    """Only who knows the contract can collect, and nothing granted is an empty answer."""
    bought = shop.bought(body=REFUNDABLE)
    refused(shop.post(bought["order_id"], "refund", {"h_contract": FORGED_HASH}), 403, 2009)
    refused(shop.post("none", "refund", {"h_contract": FORGED_HASH}), 404, 2005)
    refused(shop.post(bought["order_id"], "refund", {}), 400, 25)
    assert shop.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]}).status_code == 204


def test_polls_for_refunds(shop: Shop) -> None:
    """A wallet can wait for a refund above an amount, and a page until it is collected."""
    bought = shop.bought(body=REFUNDABLE)
    order_id, h_contract = bought["order_id"], bought["h_contract"]
    ended: dict[str, float] = {}

    def poll(name: str) -> None:
        own = Shop(shop.url)
        query: dict[str, Any] = {"refund": "KUDOS:0"} if name == "public" else {"refund": "KUDOS:1.5"}
        found = own.public(order_id, h_contract=h_contract, timeout_ms=15000, **query).json()
        assert found["refund_amount"] == "KUDOS:2"
        ended[name] = time.monotonic()
        own.http.close()

    while_polling(poll, lambda: shop.refund(order_id, "KUDOS:2"), ended)
    started = time.monotonic()
    query: dict[str, Any] = {"await_refund_obtained": "yes", "timeout_ms": 200}
    assert shop.public(order_id, h_contract=h_contract, **query).json()["refund_pending"] is True
    assert time.monotonic() - started >= 0.2
