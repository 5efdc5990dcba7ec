"""Facts 11 to 20 of the merchant API: what GET orders/ID tells whom, with and without a claim token."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .era import Era
from .shop import FORGED_HASH, FORGED_TOKEN, HTML, coin, fresh_url
from .traffic import answered, led, refused, showed

AGAIN = "http://shop.example/again"


def _paid(era: Era, made: dict[str, Any], session_id: str = "") -> None:
    answered(era.shop.post(made["order_id"], "pay", {"coins": [coin()], "session_id": session_id}), 200, sig=str)


def _states(era: Era, made: dict[str, Any]) -> Any:
    """Take an order through its states; yield the contract hash that is known, and whether it is paid."""
    yield None, False
    claimed = era.shop.claim(made)
    yield claimed["h_contract"], False
    _paid(era, made)
    yield claimed["h_contract"], True


def test_fact_11_unknown_orders(era: Era) -> None:
    """An unknown order is 404 for programs and for browsers."""
    refused(era.shop.public("none"), 404, 2005)
    showed(era.shop.public("none", headers=HTML), 404, "code 2005")


def test_fact_12_without_credentials_the_way_to_a_new_order(era: Era) -> None:
    """Whoever has no credentials is sent to where anybody can buy the same, in any state of the order."""
    made = era.shop.order(public_reorder_url=AGAIN)
    for _ in _states(era, made):
        answered(era.shop.public(made["order_id"]), 202, public_reorder_url=AGAIN)
        led(era.shop.public(made["order_id"], headers=HTML), 302, AGAIN)


def test_fact_13_the_token_of_an_unpaid_order(era: Era) -> None:
    """With the right token an unpaid order is 402 for programs and for browsers."""
    made = era.shop.order(public_reorder_url=AGAIN)
    answered(era.shop.public(made["order_id"], token=made["token"]), 402, taler_pay_uri=str)
    showed(era.shop.public(made["order_id"], headers=HTML, token=made["token"]), 402, "taler+http://pay/")


def test_fact_14_credentials_of_a_claimed_order(era: Era) -> None:
    """Of a claimed order a wrong hash and a wrong token are 403, the right ones 402."""
    made = era.shop.order(public_reorder_url=AGAIN)
    claimed = era.shop.claim(made)
    refused(era.shop.public(made["order_id"], h_contract=FORGED_HASH), 403, 2106)
    refused(era.shop.public(made["order_id"], token=FORGED_TOKEN), 403, 2105)
    answered(era.shop.public(made["order_id"], token=made["token"]), 402, taler_pay_uri=str)
    answered(era.shop.public(made["order_id"], h_contract=claimed["h_contract"]), 402, taler_pay_uri=str)


def test_fact_15_credentials_of_a_paid_order(era: Era) -> None:
    """Of a paid order wrong credentials are 403, right ones 200 with the fulfillment URL, as a page too."""
    url = fresh_url()
    bought = era.shop.bought("", fulfillment_url=url, public_reorder_url=AGAIN)
    order_id = bought["order_id"]
    refused(era.shop.public(order_id, h_contract=FORGED_HASH), 403, 2106)
    refused(era.shop.public(order_id, token=FORGED_TOKEN), 403, 2105)
    answered(era.shop.public(order_id, h_contract=bought["h_contract"]), 200, fulfillment_url=url)
    answered(era.shop.public(order_id, token=bought["token"]), 200, fulfillment_url=url)
    showed(era.shop.public(order_id, headers=HTML, token=bought["token"]), 200, "play money")


def _proved(era: Era) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Buy order A, make order B for the same thing, and prove A in session S."""
    url = fresh_url()
    bought, made = era.shop.bought(fulfillment_url=url), era.shop.order(fulfillment_url=url)
    era.paid_again(bought["order_id"], bought, "S")
    return bought, made, url


def test_fact_16_a_proved_purchase_is_named(era: Era) -> None:
    """The new order names the proved one to its session only; a browser is led to the fulfillment URL."""
    bought, made, url = _proved(era)
    order_id, token = made["order_id"], made["token"]
    alone = answered(era.shop.public(order_id, token=token), 402, taler_pay_uri=str)
    assert "already_paid_order_id" not in alone
    known = era.shop.public(order_id, token=token, session_id="S")
    answered(known, 402, already_paid_order_id=bought["order_id"], fulfillment_url=url)
    led(era.shop.public(order_id, headers=HTML, token=token, session_id="S"), 302, url)


def test_fact_17_orders_without_a_token_are_open(era: Era) -> None:
    """An order without a token is 402 for everybody until it is paid, then 200."""
    made = era.shop.order(body={"create_token": False})
    for _, is_paid in _states(era, made):
        answer, page = era.shop.public(made["order_id"]), era.shop.public(made["order_id"], headers=HTML)
        answered(answer, 200, refunded=False) if is_paid else answered(answer, 402, taler_pay_uri=str)
        showed(page, 200 if is_paid else 402, "play money")


def test_fact_18_a_token_where_there_is_none(era: Era) -> None:
    """A wrong token is 403 although the order has none."""
    made = era.shop.order(body={"create_token": False})
    for _ in _states(era, made):
        refused(era.shop.public(made["order_id"], token=FORGED_TOKEN), 403, 2105)


def test_fact_19_hashes_where_there_is_no_token(era: Era) -> None:
    """Of an order without a token a wrong hash is 403, and the right one says how the order stands."""
    made = era.shop.order(body={"create_token": False})
    for h_contract, is_paid in _states(era, made):
        if h_contract:
            refused(era.shop.public(made["order_id"], h_contract=FORGED_HASH), 403, 2106)
            answered(
                era.shop.public(made["order_id"], h_contract=h_contract), 200 if is_paid else 402, fulfillment_url=str
            )


@pytest.mark.parametrize("create_token", [True, False, None])
def test_fact_20_tokens_are_made_unless_not_wanted(era: Era, create_token: bool | None) -> None:  # noqa: FBT001
    """An order gets a token, unless the merchant wants none."""
    wish = {} if create_token is None else {"create_token": create_token}
    answer: httpx.Response = era.shop.post_order(body=wish)
    made = answered(answer, 200, order_id=str)
    assert ("token" in made) is (create_token is not False)
    assert ("pay_deadline" in made) is not era.form.is_old
