"""GET /public/poll-payment, as clients of 2019 use it (seed document 002)."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from .shop import FORGED_HASH, REFUNDABLE, Shop, coin, fresh_url
from .traffic import answered, refused


def poll(shop: Shop, **query: Any) -> httpx.Response:
    return shop.http.get("public/poll-payment", params=query)


def test_unpaid_order_is_answered_with_how_to_pay_it(shop: Shop) -> None:
    """A claimed order that is not paid: status 200, and nothing but `paid` and the pay URI."""
    made = shop.order()
    h_contract = shop.claim(made)["h_contract"]
    body = answered(poll(shop, order_id=made["order_id"], h_contract=h_contract, session_id="s"), 200, paid=False)
    uri = f"taler+http://pay/{shop.url.removeprefix('http://')}{made['order_id']}/s?c={made['token']}"
    assert body == {"paid": False, "taler_pay_uri": uri}


def test_paid_order_in_its_session_and_in_another(shop: Shop) -> None:
    """Paid without a session and in the session of the payment; in another session it is to be paid."""
    bought = shop.bought("one")
    asked = {"order_id": bought["order_id"], "h_contract": bought["h_contract"]}
    assert answered(poll(shop, **asked), 200, paid=True) == {"paid": True, "refunded": False}
    assert answered(poll(shop, **asked, session_id="one"), 200, paid=True) == {"paid": True, "refunded": False}
    answered(poll(shop, **asked, session_id="two"), 200, paid=False, taler_pay_uri=str)


def test_refund_is_told_with_its_amount(shop: Shop) -> None:
    """Only a refunded order has a refund amount."""
    bought = shop.bought(body=REFUNDABLE)
    assert shop.refund(bought["order_id"], "KUDOS:2").status_code == 200
    body = answered(poll(shop, order_id=bought["order_id"], h_contract=bought["h_contract"]), 200, refunded=True)
    assert body == {"paid": True, "refunded": True, "refund_amount": "KUDOS:2"}


def test_other_order_for_the_same_page_is_named(shop: Shop) -> None:
    """Where the session has paid for the same page before, the answer says with which order."""
    url = fresh_url()
    bought = shop.bought("s", fulfillment_url=url)
    made = shop.order(fulfillment_url=url)
    h_contract = shop.claim(made)["h_contract"]
    answer = poll(shop, order_id=made["order_id"], h_contract=h_contract, session_id="s", timeout=60)
    answered(answer, 200, paid=False, already_paid_order_id=bought["order_id"])


def test_poll_ends_with_the_payment(shop: Shop) -> None:
    """The time-out is in seconds, and a payment ends the wait."""
    made = shop.order()
    claimed = shop.claim(made)
    seen: list[httpx.Response] = []
    asked = {"order_id": made["order_id"], "h_contract": claimed["h_contract"], "session_id": "s", "timeout": 60}
    thread = threading.Thread(target=lambda: seen.append(poll(shop, **asked)))
    thread.start()
    assert shop.post(made["order_id"], "pay", {"coins": [coin()], "session_id": "s"}).status_code == 200
    thread.join(timeout=15)
    answered(seen[0], 200, paid=True)


@pytest.mark.parametrize("missing", ["order_id", "h_contract"])
def test_both_credentials_are_needed(shop: Shop, missing: str) -> None:
    """Without the order id or without the contract hash there is no answer."""
    asked = {"order_id": "x", "h_contract": FORGED_HASH}
    del asked[missing]
    refused(poll(shop, **asked), 400, 25)


def test_malformed_and_unknown(shop: Shop) -> None:
    """A malformed hash or time-out is a client's error; an unknown hash is not found."""
    made = shop.order()
    refused(poll(shop, order_id=made["order_id"], h_contract="x"), 400, 26)
    refused(poll(shop, order_id=made["order_id"], h_contract=FORGED_HASH, timeout="1.5"), 400, 26)
    refused(poll(shop, order_id=made["order_id"], h_contract=FORGED_HASH), 404, 2005)
    shop.claim(made)
    refused(poll(shop, order_id=made["order_id"], h_contract=FORGED_HASH), 404, 2005)


def test_instance_is_a_parameter(shop: Shop) -> None:
    """Instances were named in the query then; one that is not there is unknown."""
    bought = shop.bought()
    asked = {"order_id": bought["order_id"], "h_contract": bought["h_contract"]}
    answered(poll(shop, **asked, instance="default"), 200, paid=True)
    refused(poll(shop, **asked, instance="nobody"), 404, 2000)
