"""What a wallet does with an order: claim, pay, prove (merchant API, sections 5.6 to 5.8)."""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest

from taler_paywall import contract, crockford

from .shop import (
    FORGED_TOKEN,
    Shop,
    coin,
    fresh_nonce,
)
from .traffic import answered, refused


def test_an_order_belongs_to_the_wallet_that_claims_it_first(shop: Shop) -> None:
    """A second wallet is refused before and after the payment, the same one is not (fact 22)."""
    made = shop.order()
    nonce = fresh_nonce()
    first = shop.claim(made, nonce)
    again = shop.post(made["order_id"], "claim", {"nonce": nonce, "token": made["token"]})
    answered(again, 200, contract_terms=first["contract_terms"], sig=first["sig"])
    refused(shop.post(made["order_id"], "claim", {"nonce": fresh_nonce(), "token": made["token"]}), 409, 2301)
    answered(shop.post(made["order_id"], "pay", {"coins": [coin()]}), 200, sig=str)
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
    assert answered(answer, 200, sig=bought["sig"]).keys() == {"sig"}
    assert shop.status(bought["order_id"], session_id="two")["order_status"] == "paid"
    assert shop.status(bought["order_id"], session_id="one")["order_status"] == "claimed"


def test_coins_are_spent_once(shop: Shop) -> None:
    """A coin pays one order, and a paid order takes no other coins."""
    bought = shop.bought()
    refused(shop.post(bought["order_id"], "pay", {"coins": [coin()]}), 409, 2160)
    made = shop.order()
    shop.claim(made)
    answer = shop.post(made["order_id"], "pay", {"coins": bought["coins"]})
    spent = {"code": 1012, "coin_pub": bought["coins"][0]["coin_pub"]}
    assert refused(answer, 409, 2150)["exchange_reply"] == spent
    assert shop.status(made["order_id"])["order_status"] == "claimed"


def test_coins_must_cover_the_price(shop: Shop) -> None:
    """Several coins add up; less than the price is refused."""
    made = shop.order()
    shop.claim(made)
    coins = [coin("KUDOS:2"), coin("KUDOS:2.99999999")]
    refused(shop.post(made["order_id"], "pay", {"coins": coins}), 400, 2156)
    coins.append(coin("KUDOS:0.00000001"))
    answered(shop.post(made["order_id"], "pay", {"coins": coins}), 200, sig=str)


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


def test_signatures_of_another_purpose_are_no_proof(shop: Shop) -> None:
    """A genuine signature has the right key and the right purpose."""
    bought = shop.bought()
    seed = secrets.token_bytes(32)
    h_contract = contract.contract_hash(bought["contract_terms"])
    foreign = crockford.encode(contract.sign_hash(seed, contract.MERCHANT_PAYMENT_OK, h_contract))
    proof = {"sig": foreign, "h_contract": bought["h_contract"], "session_id": ""}
    refused(shop.post(bought["order_id"], "paid", proof), 403, 2201)


def test_large_bodies_are_refused(shop: Shop) -> None:
    """More than a megabyte is not read."""
    made = shop.order()
    for action in ("claim", "pay", "paid"):
        refused(shop.post(made["order_id"], action, {"padding": "x" * 1024 * 1024}), 413, 32)


def test_zero_amounts_can_be_paid(shop: Shop) -> None:
    """An order that costs nothing is paid with no coins (fact 31)."""
    made = shop.order(amount="KUDOS:0")
    shop.claim(made)
    answered(shop.post(made["order_id"], "pay", {"coins": []}), 200, sig=str)
    answered(shop.ask(made["order_id"]), 200, order_status="paid", refund_amount="KUDOS:0")


def test_the_contract_is_signed(shop: Shop) -> None:
    """The signatures of claim and payment are genuine, for their own purposes."""
    bought = shop.bought()
    public_key = crockford.decode(bought["contract_terms"]["merchant_pub"], 32)
    h_contract = contract.contract_hash(bought["contract_terms"])
    again = shop.claim(bought, bought["contract_terms"]["nonce"])
    assert again["contract_terms"] == bought["contract_terms"]
    assert contract.verify_hash(public_key, contract.MERCHANT_CONTRACT, h_contract, crockford.decode(again["sig"], 64))
    assert contract.verify_hash(
        public_key, contract.MERCHANT_PAYMENT_OK, h_contract, crockford.decode(bought["sig"], 64)
    )


def test_expired_offers_cannot_be_paid(shop: Shop) -> None:
    """After the pay deadline the answer is 410."""
    deadline = int(time.time()) + 2
    made = shop.order(pay_deadline={"t_s": deadline})
    shop.claim(made, fresh_nonce())
    while time.time() <= deadline + 1:
        time.sleep(0.1)
    refused(shop.post(made["order_id"], "pay", {"coins": [coin()]}), 410, 2161)
