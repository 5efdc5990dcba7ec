"""Contract members that the merchant can forget (merchant API, sections 5.3 and 8.2)."""

from __future__ import annotations

from typing import Any

import pytest

from taler_paywall import contract, crockford

from .shop import Shop, coin
from .traffic import answered, empty, refused

#: An order with forgettable members at every place where there can be some.
ORDER: dict[str, Any] = {
    "$forgettable": {"extra": True, "products": "SALT"},
    "products": [
        {"description": "tea", "quantity": 1, "$forgettable": {"description": True}},
        {"description": "cup", "quantity": 2, "$forgettable": {"description": True}},
    ],
    "extra": {"buyer": {"name": "Ada", "town": "London", "$forgettable": {"name": True}}, "rows": [[{"x": 1}]]},
}


def terms_of(shop: Shop, order_id: str) -> dict[str, Any]:
    terms: dict[str, Any] = shop.status(order_id)["contract_terms"]
    return terms


def hash_of(terms: dict[str, Any]) -> str:
    return crockford.encode(contract.contract_hash(terms))


def test_true_becomes_a_salt(shop: Shop) -> None:
    """Salts that the merchant gave are kept, and each `true` becomes one of 32 random bytes (fact 32)."""
    terms = shop.claim(shop.order(**ORDER))["contract_terms"]
    assert terms["$forgettable"]["products"] == "SALT"
    made = [
        terms["$forgettable"]["extra"],
        *(product["$forgettable"]["description"] for product in terms["products"]),
        terms["extra"]["buyer"]["$forgettable"]["name"],
    ]
    assert len(set(made)) == 4
    for salt in made:
        crockford.decode(salt, 32)


def test_orders_with_forgettable_members_can_be_paid(shop: Shop) -> None:
    """They are bought, shown and made again like any other (fact 32)."""
    bought = shop.bought(order_id="forgettable-1", fulfillment_url=None, **ORDER)
    assert shop.status(bought["order_id"])["order_status"] == "paid"
    again = shop.order(order_id="forgettable-1", fulfillment_url=None, **ORDER)
    assert again["token"] == bought["token"]


def test_forgetting_keeps_the_contract_hash(shop: Shop) -> None:
    """What is forgotten is gone from every answer, its hash is in its place, and the contract is the same."""
    bought = shop.bought(**ORDER)
    order_id, h_contract = bought["order_id"], bought["h_contract"]
    empty(shop.forget(order_id, ["$.products[0].description", "$.extra.buyer.name", "$.unknown.y"]), 200)
    terms = terms_of(shop, order_id)
    assert [product.get("description") for product in terms["products"]] == [None, "cup"]
    assert terms["products"][0].keys() == {"quantity", "$forgotten"}
    assert terms["extra"]["buyer"].keys() == {"town", "$forgotten"}
    assert hash_of(terms) == h_contract
    empty(shop.forget(order_id, ["$.products[*].description"]), 200)
    empty(shop.forget(order_id, ["$.extra"]), 200)
    terms = terms_of(shop, order_id)
    assert "extra" not in terms
    assert terms["$forgotten"].keys() == {"extra"}
    assert hash_of(terms) == h_contract
    assert "London" not in shop.ask(order_id).text
    assert shop.public(order_id, h_contract=h_contract, session_id="one").status_code == 200


def test_forgetting_before_the_claim(shop: Shop) -> None:
    """A wallet may be offered a contract of which something is forgotten already."""
    made = shop.order(**ORDER)
    empty(shop.forget(made["order_id"], ["$.extra.buyer.name"]), 200)
    claimed = shop.claim(made)
    assert "Ada" not in str(claimed)
    assert shop.post(made["order_id"], "pay", {"coins": [coin()]}).status_code == 200
    assert terms_of(shop, made["order_id"]) == claimed["contract_terms"]


def test_nothing_to_forget(shop: Shop) -> None:
    """What is forgotten already, or never was there, changes nothing."""
    order_id = shop.order(**ORDER)["order_id"]
    empty(shop.forget(order_id, ["$.extra.buyer.name"]), 200)
    for fields in (
        ["$.extra.buyer.name"],
        ["$.extra.buyer.age", "$.products[7].description", "$.summary.x", "$.extra.rows[0][0].y", "$.extra[0].x"],
        [],
    ):
        empty(shop.forget(order_id, fields), 204)


@pytest.mark.parametrize(
    "field",
    [
        *("extra", "$", "$.", "$extra", ".extra", "$.extra.", "$..extra", "$.extra[0]", "$.extra[*]", "$[0].x", ""),
        *("$.a[x].b", "$.a[-1].b", "$.a[].b", "$.a b", "$.a.$forgettable", "$.a\n", "$.ä"),
    ],
)
def test_paths_that_are_none(shop: Shop, field: str) -> None:
    """A path begins with `$.`, goes through members and array items, and ends with a member."""
    order_id = shop.order(**ORDER)["order_id"]
    refused(shop.forget(order_id, ["$.extra", field]), 400, 2510)
    assert "Ada" in shop.ask(order_id).text


@pytest.mark.parametrize(
    "field",
    [
        "$.amount",
        "$.summary",
        "$.extra.buyer.town",
        "$.products[*].quantity",
        "$.extra.rows[0][*].x",
        "$.merchant.name",
    ],
)
def test_members_that_are_not_forgettable(shop: Shop, field: str) -> None:
    """Without a salt in the contract there is no forgetting, and then nothing of the request is done."""
    order_id = shop.order(**ORDER)["order_id"]
    refused(shop.forget(order_id, ["$.extra.buyer.name", field]), 409, 2511)
    assert "Ada" in shop.ask(order_id).text


def test_members_that_the_order_needs(shop: Shop) -> None:
    """Even where the merchant marked them, an order without price or deadline could not be served."""
    order_id = shop.order(**{"$forgettable": {"amount": True, "pay_deadline": True}})["order_id"]
    for field in ("$.amount", "$.pay_deadline"):
        refused(shop.forget(order_id, [field]), 409, 2511)


def test_requests_to_forget_that_are_refused(shop: Shop) -> None:
    """Only the merchant may ask, for an order that exists, with a list of texts."""
    order_id = shop.order(**ORDER)["order_id"]
    refused(shop.http.patch(f"private/orders/{order_id}/forget", json={"fields": []}), 401, 40)
    refused(shop.forget("none", ["$.extra"]), 404, 2005)
    path = "instances/nobody/private/orders/x/forget"
    refused(shop.http.patch(path, json={"fields": []}, headers=shop.owner), 404, 2000)
    refused(shop.forget(order_id, None), 400, 25)
    refused(shop.forget(order_id, "$.extra"), 400, 26)
    refused(shop.forget(order_id, [1]), 400, 26)


@pytest.mark.parametrize(
    "marks", [{"absent": True}, {"extra": False}, {"extra": 5}, {"extra": None}, {"a-b": True}, {"$forgotten": True}]
)
def test_marks_that_make_no_sense_are_refused(shop: Shop, marks: dict[str, Any]) -> None:
    """A contract that wallets would call malformed is not made."""
    refused(shop.post_order(extra={"x": 1}, **{"$forgettable": marks}), 400, 2502)
    answered(shop.post_order(extra={"x": 1}, **{"$forgettable": {}}), 200, order_id=str)
