"""Orders with choices: version 1 of orders and contracts (merchant API, OrderV1)."""

from __future__ import annotations

from typing import Any

import pytest

from .shop import REFUNDABLE, Shop, coin
from .traffic import answered, refused

CHOICES: list[dict[str, Any]] = [{"amount": "KUDOS:5"}, {"amount": "KUDOS:2.50", "max_fee": "KUDOS:0.1", "inputs": []}]


def order(shop: Shop, choices: Any = CHOICES, **more: Any) -> dict[str, Any]:
    return shop.order(version=1, choices=choices, amount=None, **more)


def pay(shop: Shop, made: dict[str, Any], choice_index: Any, amount: str) -> Any:
    body = {"coins": [coin(amount)], "session_id": "one", "choice_index": choice_index}
    return shop.post(made["order_id"], "pay", body)


def test_the_contract_has_the_choices(shop: Shop) -> None:
    """A version 1 contract has complete choices, and no price of its own."""
    terms = shop.claim(order(shop))["contract_terms"]
    assert terms["version"] == 1
    assert terms["token_families"] == {}
    assert terms["choices"] == [
        {"amount": "KUDOS:5", "max_fee": "KUDOS:0", "inputs": [], "outputs": []},
        {"amount": "KUDOS:2.5", "max_fee": "KUDOS:0.1", "inputs": [], "outputs": []},
    ]
    assert not {"amount", "max_fee"} & terms.keys()


def test_version_0_can_be_said(shop: Shop) -> None:
    """It is what an order is without a version, and has no choices."""
    made = shop.order(version=0, choices=CHOICES)
    terms = shop.claim(made)["contract_terms"]
    assert terms["amount"] == "KUDOS:5"
    assert not {"version", "choices"} & terms.keys()


def test_an_unpaid_order_has_no_total(shop: Shop) -> None:
    """What it will cost is not known; the history says what the first choice costs."""
    made = order(shop)
    found = answered(shop.ask(made["order_id"]), 200, order_status="unpaid", summary=str, pay_deadline=dict)
    assert "total_amount" not in found
    assert found["proto_contract_terms"]["choices"][1]["amount"] == "KUDOS:2.5"
    entries = answered(shop.history(limit=-1), 200, orders=list)["orders"]
    assert (entries[0]["order_id"], entries[0]["amount"]) == (made["order_id"], "KUDOS:5")


def test_a_paid_order_costs_what_was_chosen(shop: Shop) -> None:
    """The merchant hears which choice was paid, and can refund that much."""
    made = order(shop, body=REFUNDABLE)
    order_id = made["order_id"]
    shop.claim(made)
    answered(pay(shop, made, 1, "KUDOS:2.5"), 200, sig=str)
    answered(shop.ask(order_id, session_id="one"), 200, order_status="paid", choice_index=1, deposit_total="KUDOS:0")
    refused(shop.refund(order_id, "KUDOS:2.51"), 409, 2530)
    answered(shop.refund(order_id, "KUDOS:2.5"), 200, taler_refund_uri=str)
    entries = answered(shop.history(limit=-1), 200, orders=list)["orders"]
    assert (entries[0]["amount"], entries[0]["refundable"]) == ("KUDOS:2.5", False)


def test_each_choice_has_its_price(shop: Shop) -> None:
    """What is enough for one choice may not be for another."""
    made = order(shop)
    shop.claim(made)
    assert pay(shop, made, 0, "KUDOS:2.5").json()["code"] == 2156
    answered(pay(shop, made, 0, "KUDOS:5"), 200, sig=str)
    assert shop.status(made["order_id"])["choice_index"] == 0


@pytest.mark.parametrize(("index", "code"), [(None, 2176), (2, 2177), (-1, 26), ("0", 26)])
def test_the_choice_must_be_one_of_the_contract(shop: Shop, index: Any, code: int) -> None:
    """A payment says which choice it is for."""
    made = order(shop)
    shop.claim(made)
    refused(pay(shop, made, index, "KUDOS:5"), 400, code)


TOKEN_OF = {"type": "token", "token_family_slug": "gold"}


@pytest.mark.parametrize(
    ("choices", "status", "code"),
    [
        (None, 400, 25),
        ([], 400, 26),
        ({}, 400, 26),
        (["KUDOS:1"], 400, 26),
        ([{}], 400, 25),
        ([{"amount": "EUR:1"}], 409, 2514),
        ([{"amount": "KUDOS:1", "inputs": [TOKEN_OF]}], 404, 2533),
        ([{"amount": "KUDOS:1", "outputs": [TOKEN_OF]}], 404, 2533),
        ([{"amount": "KUDOS:1", "outputs": [{"type": "token"}]}], 400, 25),
        ([{"amount": "KUDOS:1", "outputs": [{"type": "tax-receipt"}]}], 400, 26),
        ([{"amount": "KUDOS:1", "inputs": [{}]}], 400, 25),
    ],
)
def test_choices_that_are_refused(shop: Shop, choices: Any, status: int, code: int) -> None:
    """There are no token families and no tax receipts here, and an order needs a choice."""
    refused(shop.post_order(version=1, choices=choices, amount=None), status, code)


def test_unknown_versions_are_refused(shop: Shop) -> None:
    """Only 0 and 1 are known."""
    refused(shop.post_order(version=2), 400, 26)
