"""Claim, pay, prove, refund, and the public order status (merchant API, sections 5.4 to 5.9)."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

import pytest

from taler_paywall import contract, crockford

from .shop import HTML, Shop, coin, fresh_nonce, fresh_url, refused

REFUNDABLE = {"refund_delay": {"d_us": 300_000_000}}
FORGED_HASH = crockford.encode(secrets.token_bytes(64))
FORGED_TOKEN = crockford.encode(secrets.token_bytes(16))


def test_an_order_belongs_to_the_wallet_that_claims_it_first(shop: Shop) -> None:
    """A second wallet is refused before and after the payment, the same one is not (fact 22)."""
    made = shop.order()
    nonce = fresh_nonce()
    assert shop.claim(made, nonce) == shop.claim(made, nonce)
    refused(shop.post(made["order_id"], "claim", {"nonce": fresh_nonce(), "token": made["token"]}), 409, 2301)
    assert shop.post(made["order_id"], "pay", {"coins": [coin()]}).status_code == 200
    refused(shop.post(made["order_id"], "claim", {"nonce": fresh_nonce(), "token": made["token"]}), 409, 2301)


def test_claims_need_the_token(shop: Shop) -> None:
    """A wrong or missing token makes the order unknown; an order without a token needs none."""
    made = shop.order()
    refused(shop.post("none", "claim", {"nonce": fresh_nonce()}), 404, 2300)
    refused(shop.post(made["order_id"], "claim", {"nonce": fresh_nonce()}), 404, 2300)
    refused(shop.post(made["order_id"], "claim", {"nonce": fresh_nonce(), "token": FORGED_TOKEN}), 404, 2300)
    refused(shop.post(made["order_id"], "claim", {"token": made["token"]}), 400, 25)
    refused(shop.post(made["order_id"], "claim", {"nonce": "XYZ", "token": made["token"]}), 400, 26)
    open_order = shop.order(body={"create_token": False})
    assert shop.claim(open_order)["contract_terms"]["order_id"] == open_order["order_id"]


def test_the_same_coins_again_move_the_session(shop: Shop) -> None:
    """A repeated payment gets the same signature, and binds the order to the new session (fact 29)."""
    bought = shop.bought("one")
    answer = shop.post(bought["order_id"], "pay", {"coins": bought["coins"], "session_id": "two"})
    assert answer.json() == {"sig": bought["sig"]}
    assert shop.status(bought["order_id"], session_id="two")["order_status"] == "paid"
    assert shop.status(bought["order_id"], session_id="one")["order_status"] == "claimed"


def test_coins_are_spent_once(shop: Shop) -> None:
    """A coin pays one order, and a paid order takes no other coins."""
    bought = shop.bought()
    refused(shop.post(bought["order_id"], "pay", {"coins": [coin()]}), 409, 2160)
    made = shop.order()
    shop.claim(made)
    answer = shop.post(made["order_id"], "pay", {"coins": bought["coins"]})
    refused(answer, 409, 2150)
    assert answer.json()["exchange_reply"] == {"code": 1012, "coin_pub": bought["coins"][0]["coin_pub"]}
    assert shop.status(made["order_id"])["order_status"] == "claimed"


def test_coins_must_cover_the_price(shop: Shop) -> None:
    """Several coins add up; less than the price is refused."""
    made = shop.order()
    shop.claim(made)
    coins = [coin("KUDOS:2"), coin("KUDOS:2.99999999")]
    refused(shop.post(made["order_id"], "pay", {"coins": coins}), 406, 2156)
    coins.append(coin("KUDOS:0.00000001"))
    assert shop.post(made["order_id"], "pay", {"coins": coins}).status_code == 200


def test_only_claimed_orders_can_be_paid(shop: Shop) -> None:
    """An order that does not exist, or that nobody has claimed, is unknown."""
    refused(shop.post("none", "pay", {"coins": [coin()]}), 404, 2005)
    refused(shop.post(shop.order()["order_id"], "pay", {"coins": [coin()]}), 404, 2005)


TWICE = coin()


@pytest.mark.parametrize(
    ("coins", "code"),
    [
        (None, 25),
        ("x", 26),
        ([1], 26),
        ([{}], 25),
        ([coin(coin_pub="X")], 26),
        ([coin(coin_sig="0" * 102)], 26),
        ([coin(h_denom=5)], 26),
        ([coin(ub_sig={"cipher": "CS", "rsa_signature": "00"})], 26),
        ([coin(ub_sig={"cipher": "RSA"})], 26),
        ([coin(ub_sig={"cipher": "RSA", "rsa_signature": ""})], 26),
        ([coin(exchange_url="ftp://x/")], 26),
        ([coin(exchange_url="http://[")], 26),
        ([coin("EUR:5")], 30),
        ([coin("5")], 26),
        ([TWICE, TWICE], 26),
    ],
)
def test_malformed_coins_are_refused(shop: Shop, coins: Any, code: int) -> None:
    """Coins are in the real wire format, or refused."""
    made = shop.order()
    shop.claim(made)
    refused(shop.post(made["order_id"], "pay", {"coins": coins}), 400, code)


def test_proofs_are_checked_before_the_order_is_looked_up(shop: Shop) -> None:
    """A forged proof is refused alike for known and unknown orders; a genuine one must fit its order."""
    bought, other = shop.bought(), shop.bought()
    genuine = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": "s"}
    for order_id in (bought["order_id"], "none"):
        refused(shop.post(order_id, "paid", {**genuine, "sig": other["sig"]}), 403, 2201)
        refused(shop.post(order_id, "paid", {**genuine, "sig": "x"}), 400, 26)
        refused(shop.post(order_id, "paid", {"sig": bought["sig"], "session_id": "s"}), 400, 25)
    refused(shop.post("none", "paid", genuine), 404, 2005)
    refused(shop.post(other["order_id"], "paid", genuine), 404, 2005)


def test_a_signed_but_unpaid_contract_proves_nothing(shop: Shop) -> None:
    """The signature of a claim is not one of a payment."""
    made = shop.order()
    claimed = shop.claim(made)
    proof = {"sig": claimed["sig"], "h_contract": claimed["h_contract"], "session_id": ""}
    refused(shop.post(made["order_id"], "paid", proof), 403, 2201)


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
    for query in ({}, {"h_contract": claimed["h_contract"]}):
        assert shop.public(order_id, **query).status_code == 200
        assert shop.public(order_id, headers=HTML, **query).status_code == 200


def test_without_credentials_and_reorder_url_nothing_is_told(shop: Shop) -> None:
    """Somebody without credentials, and without a place to go to, is refused (row 6)."""
    made = shop.order()
    refused(shop.public(made["order_id"]), 403, 2105)
    refused(shop.public(made["order_id"], h_contract=FORGED_HASH), 403, 2105)
    assert shop.public(made["order_id"], headers=HTML).status_code == 403


@pytest.mark.parametrize("query", [{"token": "x"}, {"h_contract": "x"}, {"timeout_ms": "1.5"}, {"refund": "EUR:1"}])
def test_malformed_public_queries_are_refused(shop: Shop, query: dict[str, str]) -> None:
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

    _paid_meanwhile(poll, lambda: shop.post(order_id, "pay", {"coins": [coin()]}), ended)


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
    _paid_meanwhile(poll, lambda: shop.post(bought["order_id"], "paid", proof), ended)


def _paid_meanwhile(poll: Any, act: Any, ended: dict[str, float]) -> None:
    threads = [threading.Thread(target=poll, args=(name,)) for name in ("public", "private")]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    assert not ended
    acted = time.monotonic()
    assert act().status_code == 200
    for thread in threads:
        thread.join(timeout=20)
    assert set(ended) == {"public", "private"}
    assert max(ended.values()) - acted < 3


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

    _paid_meanwhile(poll, lambda: shop.refund(order_id, "KUDOS:2"), ended)
    started = time.monotonic()
    query: dict[str, Any] = {"await_refund_obtained": "yes", "timeout_ms": 200}
    assert shop.public(order_id, h_contract=h_contract, **query).json()["refund_pending"] is True
    assert time.monotonic() - started >= 0.2


def test_signatures_of_another_purpose_are_no_proof(shop: Shop) -> None:
    """A genuine signature has the right key and the right purpose."""
    bought = shop.bought()
    seed = secrets.token_bytes(32)
    h_contract = contract.contract_hash(bought["contract_terms"])
    foreign = crockford.encode(contract.sign_hash(seed, contract.MERCHANT_PAYMENT_OK, h_contract))
    proof = {"sig": foreign, "h_contract": bought["h_contract"], "session_id": ""}
    refused(shop.post(bought["order_id"], "paid", proof), 403, 2201)
