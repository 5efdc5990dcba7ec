"""The wire format of coins, and what a repeated payment is told (merchant API, POST orders/ID/pay)."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from taler_paywall import crockford

from .shop import REFUNDABLE, Shop, coin, fresh_url
from .traffic import answered, refused


def base32(size: int) -> str:
    return crockford.encode(secrets.token_bytes(size))


@pytest.mark.parametrize(
    "members",
    [
        {"ub_sig": {"cipher": "CS", "cs_signature_r": base32(32), "cs_signature_s": base32(32)}},
        {"minimum_age_sig": base32(64), "age_commitment": [base32(32)], "h_age_commitment": base32(32)},
        {"minimum_age_sig": None, "age_commitment": None, "h_age_commitment": None},
        {"contribution": "KUDOS:7", "unknown": {"member": [1]}},
        {"coin_pub": base32(32).lower()},
    ],
)
def test_coins_of_every_kind_are_taken(shop: Shop, members: dict[str, Any]) -> None:
    """Both ciphers, age commitments, too much money, members that nobody knows."""
    made = shop.order()
    shop.claim(made)
    answered(shop.post(made["order_id"], "pay", {"coins": [coin(**members)]}), 200, sig=str)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"coin_sig": None}, 25),
        ({"coin_sig": base32(63)}, 26),
        ({"coin_pub": base32(31)}, 26),
        ({"coin_pub": 5}, 26),
        ({"h_denom": "!" * 103}, 26),
        ({"ub_sig": None}, 25),
        ({"ub_sig": base32(256)}, 26),
        ({"ub_sig": {"cipher": "DSA"}}, 26),
        ({"ub_sig": {"cipher": "RSA"}}, 26),
        ({"ub_sig": {"cipher": "RSA", "rsa_signature": ""}}, 26),
        ({"ub_sig": {"cipher": "CS", "cs_signature_r": base32(32)}}, 26),
        ({"contribution": "5"}, 26),
        ({"contribution": 5.0}, 26),
        ({"contribution": "EUR:5"}, 30),
        ({"exchange_url": "exchange"}, 26),
        ({"age_commitment": base32(32)}, 26),
        ({"h_age_commitment": "x"}, 26),
        ({"minimum_age_sig": "x"}, 26),
    ],
)
def test_malformed_coins_are_refused(shop: Shop, members: dict[str, Any], code: int) -> None:
    """Each member is checked, and nothing is spent."""
    made = shop.order()
    shop.claim(made)
    refused(shop.post(made["order_id"], "pay", {"coins": [coin(**members)]}), 400, code)
    assert shop.status(made["order_id"])["order_status"] == "claimed"


def test_more_money_than_there_is(shop: Shop) -> None:
    """Coins whose sum no amount can say are refused, not cut."""
    made = shop.order()
    shop.claim(made)
    largest = "KUDOS:4503599627370496.99999999"
    refused(shop.post(made["order_id"], "pay", {"coins": [coin(largest), coin("KUDOS:0.00000001")]}), 400, 26)
    answered(shop.post(made["order_id"], "pay", {"coins": [coin(largest)]}), 200, sig=str)


def test_repeated_payment_with_less_money(shop: Shop) -> None:
    """The same coins with other contributions are another payment."""
    bought = shop.bought()
    coins = [{**bought["coins"][0], "contribution": "KUDOS:0.1"}]
    refused(shop.post(bought["order_id"], "pay", {"coins": coins}), 409, 2160)


def test_payment_without_a_session_is_for_the_one_of_the_order(shop: Shop) -> None:
    """What the order was made for counts where the wallet names nothing, and a repetition changes nothing."""
    url = fresh_url()
    made = shop.order(body={"session_id": "meant"}, fulfillment_url=url)
    assert "/meant?c=" in shop.status(made["order_id"])["taler_pay_uri"]
    shop.claim(made)
    coins = [coin()]
    answered(shop.post(made["order_id"], "pay", {"coins": coins}), 200, sig=str)
    assert shop.status(made["order_id"], session_id="meant")["order_status"] == "paid"
    answered(shop.post(made["order_id"], "pay", {"coins": coins, "session_id": "other"}), 200, sig=str)
    answered(shop.post(made["order_id"], "pay", {"coins": coins}), 200, sig=str)
    assert shop.status(made["order_id"], session_id="other")["order_status"] == "paid"
    refused(shop.post_order(body={"session_id": "a/b"}), 400, 26)


def test_payment_that_was_refunded_since_is_not_enough_any_more(shop: Shop) -> None:
    """The same coins again are fine, until they were given back."""
    bought = shop.bought(body=REFUNDABLE)
    again = {"coins": bought["coins"], "session_id": "one"}
    answered(shop.post(bought["order_id"], "pay", again), 200, sig=bought["sig"])
    assert shop.refund(bought["order_id"], "KUDOS:5").status_code == 200
    refused(shop.post(bought["order_id"], "pay", again), 402, 2167)
