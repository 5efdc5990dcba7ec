"""Refunds, granted by the merchant and collected by the wallet (merchant API, sections 5.4 and 5.9)."""

from __future__ import annotations

import time
from typing import Any

import httpx
from running import TLS

from .shop import (
    FORGED_HASH,
    REFUNDABLE,
    Process,
    Shop,
    coin,
    while_polling,
)
from .traffic import answered, empty, refused

HOUR = 3600


def test_refund_grows_to_a_new_total(shop: Shop) -> None:
    """Refunds are totals, shown to merchant and buyer until the wallet has collected them (facts 24, 25, 28)."""
    bought = shop.bought(amount="KUDOS:10", body=REFUNDABLE)
    order_id, h_contract = bought["order_id"], bought["h_contract"]
    for total in ("KUDOS:2.5", "KUDOS:5", "KUDOS:5", "KUDOS:10"):
        uri = f"taler+http://refund/{shop.url[7:]}{order_id}/"
        answered(shop.refund(order_id, total), 200, h_contract=h_contract, taler_refund_uri=uri)
    members = {"order_status": "paid", "refunded": True, "refund_pending": True, "refund_amount": "KUDOS:10"}
    found = answered(shop.ask(order_id), 200, **members)
    assert [detail["amount"] for detail in found["refund_details"]] == ["KUDOS:2.5", "KUDOS:2.5", "KUDOS:5"]
    assert all(detail["pending"] and detail["reason"] == "because" for detail in found["refund_details"])
    status = shop.public(order_id, h_contract=h_contract)
    answered(status, 200, refund_amount="KUDOS:10", refund_taken="KUDOS:0", refund_pending=True)
    merchant_pub = bought["contract_terms"]["merchant_pub"]
    collected = answered(collect(shop, bought), 200, refund_amount="KUDOS:10", merchant_pub=merchant_pub)
    assert all(one["type"] == "success" and one["exchange_status"] == 200 for one in collected["refunds"])
    assert {one["coin_pub"] for one in collected["refunds"]} == {bought["coins"][0]["coin_pub"]}
    answered(shop.public(order_id, h_contract=h_contract), 200, refund_taken="KUDOS:10", refund_pending=False)
    answered(shop.ask(order_id), 200, refund_pending=False)


def test_refund_without_reorder_url_is_hidden_from_strangers(shop: Shop) -> None:
    """Without credentials a refunded order is as closed as any other (fact 24)."""
    bought = shop.bought(body=REFUNDABLE, fulfillment_url=None, fulfillment_message="Thank you")
    assert shop.refund(bought["order_id"], "KUDOS:5").status_code == 200
    refused(shop.public(bought["order_id"]), 403, 2105)
    answered(shop.public(bought["order_id"], h_contract=bought["h_contract"]), 200, refund_amount="KUDOS:5")


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
    refused(shop.http.post(f"private/orders/{order_id}/refund", json={}), 401, 40)


def put_clock(process: Process, ahead: int) -> None:
    assert httpx.put(f"{process.control}clock", params={"shift": ahead}, trust_env=False, verify=TLS).status_code == 200


def collect(shop: Shop, bought: dict[str, Any]) -> httpx.Response:
    return shop.post(bought["order_id"], "refund", {"h_contract": bought["h_contract"]})


def test_refunds_end_when_the_money_is_wired(processes: Any) -> None:
    """After the refund deadline the merchant may still refund, after the wire transfer deadline nobody can."""
    process = processes("--port", "0", "--control")
    shop = Shop(process.url)
    collected, granted = (shop.bought(body=REFUNDABLE) for _ in range(2))
    answered(shop.refund(collected["order_id"], "KUDOS:1"), 200, taler_refund_uri=str)
    answered(collect(shop, collected), 200, refund_amount="KUDOS:1")
    put_clock(process, HOUR)
    answered(shop.refund(granted["order_id"], "KUDOS:1"), 200, taler_refund_uri=str)
    put_clock(process, 8 * 24 * HOUR)
    refused(shop.refund(granted["order_id"], "KUDOS:2"), 410, 2539)
    refused(collect(shop, granted), 410, 2539)
    found = answered(shop.ask(granted["order_id"]), 200, refund_pending=True)
    assert found["refund_details"][0]["pending"] is True
    # What the wallet has already can be asked for again.
    assert answered(collect(shop, collected), 200, refund_amount="KUDOS:1")["refunds"][0]["type"] == "success"
    shop.http.close()


def test_late_refunds_of_old_backends_fail_at_the_exchange(processes: Any) -> None:
    """Backends of 2022 grant a refund after the wire transfer deadline; the wallet hears that it is gone (fact 27)."""
    process = processes("--port", "0", "--control", "--generation", "2022")
    shop = Shop(process.url)
    bought = shop.bought(body=REFUNDABLE)
    answered(shop.refund(bought["order_id"], "KUDOS:1"), 200, taler_refund_uri=str)
    answered(collect(shop, bought), 200, refund_amount="KUDOS:1")
    put_clock(process, 8 * 24 * HOUR)
    answered(shop.refund(bought["order_id"], "KUDOS:3"), 200, taler_refund_uri=str)
    first, second = answered(collect(shop, bought), 200, refund_amount="KUDOS:3")["refunds"]
    assert (first["type"], first["exchange_status"]) == ("success", 200)
    assert (second["type"], second["exchange_status"], second["exchange_code"]) == ("failure", 410, 1503)
    assert second["exchange_reply"]["code"] == 1503
    assert (second["refund_amount"], second["coin_pub"]) == ("KUDOS:2", bought["coins"][0]["coin_pub"])
    assert "exchange_sig" not in second
    answered(shop.ask(bought["order_id"]), 200, refund_pending=True, refund_amount="KUDOS:3")
    shop.http.close()


def test_collecting_refunds(shop: Shop) -> None:
    """Only who knows the contract can collect, and nothing granted is an empty answer."""
    bought = shop.bought(body=REFUNDABLE)
    refused(shop.post(bought["order_id"], "refund", {"h_contract": FORGED_HASH}), 403, 2009)
    refused(shop.post("none", "refund", {"h_contract": FORGED_HASH}), 404, 2005)
    refused(shop.post(bought["order_id"], "refund", {}), 400, 25)
    unclaimed = shop.order()
    refused(shop.post(unclaimed["order_id"], "refund", {"h_contract": FORGED_HASH}), 403, 2009)
    refused(shop.post(bought["order_id"], "refund", {"h_contract": "x"}), 400, 26)
    refused(shop.http.post("instances/nobody/orders/x/refund", json={"h_contract": FORGED_HASH}), 404, 2000)
    empty(collect(shop, bought), 204)


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
