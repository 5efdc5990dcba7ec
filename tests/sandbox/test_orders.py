"""Configuration and making orders (merchant API, sections 1 to 3)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Any

import httpx
import pytest

from taler_paywall.sandbox.backend import Backend
from taler_paywall.sandbox.server import create_app
from taler_paywall.sandbox.state.database import Database
from taler_paywall.sandbox.wallet.purse import Purse
from taler_paywall.sandbox.wallet.wallet import Wallet

from .shop import (
    TOKEN,
    Process,
    Shop,
    coin,
    fresh_url,
)
from .traffic import answered, refused


def test_config_names_the_backend_and_its_currency(shop: Shop) -> None:
    """The configuration has what clients check before they talk to a backend."""
    answer = shop.http.get("config")
    config = answered(answer, 200, name="taler-merchant")
    assert config["version"].count(":") == 2
    assert config["currency"] == "KUDOS"
    assert config["currencies"]["KUDOS"]["alt_unit_names"] == {"0": "KUDOS"}
    assert set(config["exchanges"][0]) == {"base_url", "currency", "master_pub"}
    assert config["default_pay_delay"] == {"d_us": 86_400_000_000}
    assert answer.headers["access-control-allow-origin"] == "*"


def test_minimal_order_gets_an_id_a_token_and_a_deadline(shop: Shop) -> None:
    """Without an id each request makes a new order, payable for a day."""
    first, second = shop.order(), shop.order()
    assert first["order_id"] != second["order_id"]
    assert len(first["token"]) == 26
    assert abs(first["pay_deadline"]["t_s"] - time.time() - 86400) < 10


def test_order_without_token(shop: Shop) -> None:
    """With create_token=false there is no token in the answer (fact 20)."""
    assert "token" not in shop.order(body={"create_token": False})
    assert "token" in shop.order(body={"create_token": None})


def test_contract_terms_are_complete(shop: Shop) -> None:
    """The claimed contract has all members that wallets demand, and what the merchant wrote."""
    extra = {"resource": "x", "list": [1, None]}
    made = shop.order(order_id="complete-1", extra=extra, public_reorder_url="http://shop.example/")
    terms = shop.claim(made)["contract_terms"]
    assert terms["order_id"] == "complete-1"
    assert terms["extra"] == extra
    assert terms["products"] == terms["auditors"] == []
    assert {"url", "master_pub", "priority"} <= set(terms["exchanges"][0])
    assert terms["merchant_base_url"] == shop.url
    assert len(terms["h_wire"]) == 103
    assert {"wire_method", "max_fee", "public_reorder_url", "nonce", "merchant_pub"} <= set(terms)
    assert terms["merchant"]["name"]
    assert terms["wire_transfer_deadline"]["t_s"] == terms["refund_deadline"]["t_s"] + 7 * 86400
    assert terms["refund_deadline"] == terms["timestamp"]


def test_order_id_is_put_into_the_fulfillment_url(shop: Shop) -> None:
    """The placeholder stands for the order id, also for one that the backend chose."""
    made = shop.order(fulfillment_url="http://shop.example/${ORDER_ID}")
    terms = shop.claim(made)["contract_terms"]
    assert terms["fulfillment_url"] == f"http://shop.example/{made['order_id']}"


def test_names_of_members_are_free(shop: Shop) -> None:
    """Only what is forgettable must have a plain name: languages have hyphens."""
    made = shop.order(summary_i18n={"de-CH": "Ein Artikel"}, extra={"a-b c é": 1, "$x": 2})
    assert shop.claim(made)["contract_terms"]["summary_i18n"] == {"de-CH": "Ein Artikel"}
    refused(shop.post_order(extra={"a-b": 1, "$forgettable": {"a-b": "salt"}}), 400, 2502)


def test_absent_and_null_are_the_same_order(shop: Shop) -> None:
    """Some clients write out what they do not set, and some do so only when they try again."""
    order: dict[str, Any] = {"order_id": "null-1", "fulfillment_url": fresh_url()}
    made = shop.order(**order)
    assert shop.order(**order, products=None, extra=None, body={"session_id": None, "lock_uuids": None}) == made


def test_allow_names_all_methods(shop: Shop) -> None:
    """A method that is not possible is answered with those that are."""
    answer = shop.http.put("private/orders", headers=shop.owner)
    refused(answer, 405, 20)
    assert {one.strip() for one in answer.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


def test_a_rebound_page_cannot_use_the_private_endpoints(shop: Shop) -> None:
    """A page under a name that a stranger's DNS has bent to this machine is refused; programs are not."""
    page = {**shop.owner, "Host": "evil.example", "Origin": "http://evil.example"}
    refused(shop.http.post("private/orders", json={}, headers=page), 403, 44)
    del page["Origin"]
    answered(shop.http.get("private/orders", headers=page), 200, orders=list)
    answered(shop.http.get("config", headers={**page, "Origin": "http://evil.example"}), 200, currency="KUDOS")


def test_same_order_again_gets_the_same_answer(shop: Shop) -> None:
    """A repeated request is answered as the first time, with other contents it is refused."""
    order: dict[str, Any] = {"order_id": "again-1", "fulfillment_url": fresh_url()}
    first = answered(shop.post_order(**order), 200, order_id="again-1", token=str, pay_deadline=dict)
    answered(shop.post_order(**order), 200, **first)
    refused(shop.post_order(**order, amount="KUDOS:6"), 409, 2503)
    shop.claim(first)
    answered(shop.post_order(**order), 200, **first)
    assert shop.post("again-1", "pay", {"coins": [coin()]}).status_code == 200
    answered(shop.post_order(**order), 200, **first)
    refused(shop.post_order(**order, amount="KUDOS:6"), 409, 2503)


def test_null_means_absent(shop: Shop) -> None:
    """A member that is null is a member that is not there, in the order and around it."""
    names = (
        *("version", "order_id", "public_reorder_url", "fulfillment_message", "minimum_age", "products", "max_fee"),
        *("timestamp", "refund_deadline", "pay_deadline", "wire_transfer_deadline", "delivery_date", "extra"),
        *("merchant_base_url", "delivery_location", "auto_refund", "choices", "$forgettable", "summary_i18n"),
    )
    around = ("refund_delay", "payment_target", "session_id", "inventory_products", "lock_uuids", "otp_id")
    body = dict.fromkeys((*around, "create_token"))
    terms = shop.claim(shop.order(body=body, **dict.fromkeys(names)))["contract_terms"]
    assert None not in terms.values()
    assert terms.keys() == shop.claim(shop.order())["contract_terms"].keys()


def test_what_the_sandbox_has_no_use_for_is_tolerated(shop: Shop) -> None:
    """Empty lists, locks and members that nobody knows are no reason to refuse an order."""
    body = {"inventory_products": [], "lock_uuids": ["x"], "order_id": "beside", "unknown": 1.5}
    made = shop.order(body=body, minimum_age=18, unknown={"x": 0.5})
    assert made["order_id"] != "beside"
    terms = shop.claim(made)["contract_terms"]
    assert terms["minimum_age"] == 18
    assert "unknown" not in terms


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"amount": "EUR:5"}, 409, 2514),
        ({"max_fee": "EUR:5"}, 409, 2514),
        ({"amount": "5"}, 400, 26),
        ({"amount": 5}, 400, 26),
        ({"amount": None}, 400, 25),
        ({"summary": None}, 400, 25),
        ({"summary": ["x"]}, 400, 26),
        ({"order_id": "a/b"}, 400, 26),
        ({"extra": {"price": 0.5}}, 400, 2502),
        ({"extra": {"big": 2**60}}, 400, 2502),
        ({"version": 2}, 400, 26),
        ({"merchant_base_url": "http://x"}, 400, 26),
        ({"pay_deadline": {"t_s": 1}}, 400, 2507),
        ({"refund_deadline": {"t_s": 1}}, 400, 2508),
        ({"delivery_date": {"t_s": 1}}, 400, 2505),
        ({"wire_transfer_deadline": {"t_s": "never"}}, 400, 2506),
        ({"refund_deadline": {"t_s": 9_000_000_000}, "wire_transfer_deadline": {"t_s": 8_000_000_000}}, 400, 2504),
        ({"refund_deadline": {"t_s": 2**53 - 1}}, 400, 2506),
    ],
)
def test_bad_orders_are_refused(shop: Shop, members: dict[str, Any], status: int, code: int) -> None:
    """Each mistake in an order has its code."""
    refused(shop.post_order(**members), status, code)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"refund_delay": {"d_us": "forever"}}, 400, 2506),
        ({"refund_delay": 5}, 400, 26),
        ({"create_token": "no"}, 400, 26),
        ({"payment_target": "iban"}, 404, 2500),
        ({"inventory_products": [{"product_id": "x", "quantity": 1}]}, 404, 2006),
        ({"otp_id": "x"}, 404, 2021),
    ],
)
def test_bad_requests_around_an_order_are_refused(shop: Shop, body: dict[str, Any], status: int, code: int) -> None:
    """What the sandbox does not have is refused instead of ignored."""
    refused(shop.post_order(body=body), status, code)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"order": NaN}', b"\xff", b'{"order": "\\ud800"}', b"[" * 100_000, b"1" * 9999]
)
def test_bodies_that_are_no_json_object_are_refused(shop: Shop, content: bytes) -> None:
    """Whatever is not a JSON object in UTF-8 gets code 22."""
    refused(shop.http.post("private/orders", content=content, headers=shop.owner), 400, 22)


def test_order_is_required_and_bodies_are_bounded(shop: Shop) -> None:
    """An empty object lacks the order, and more than a mebibyte is too much."""
    refused(shop.http.post("private/orders", json={}, headers=shop.owner), 400, 25)
    refused(shop.http.post("private/orders", content=b" " * 1_100_000, headers=shop.owner), 413, 32)


def test_the_bearer_token_is_checked(shop: Shop) -> None:
    """Private endpoints are for the token only; several blanks before it are tolerated (fact 34)."""
    made = shop.order()
    path = f"private/orders/{made['order_id']}"
    for wrong in ("", "Bearer", "Bearer secret-token:other", f"Basic {TOKEN}", f"Bearer x{TOKEN}", "Bearer \xff"):
        headers = [(b"authorization", wrong.encode("latin-1"))]
        refused(shop.http.get(path, headers=httpx.Headers(headers)), 401, 40)
    refused(shop.http.get(path), 401, 40)
    assert shop.http.get(path, headers={"Authorization": f"Bearer     {TOKEN}"}).status_code == 200


def test_unknown_paths_methods_instances_and_orders(shop: Shop) -> None:
    """What does not exist is said to be unknown, with the code of what is missing."""
    refused(shop.http.get("nothing"), 404, 21)
    refused(shop.http.delete("config"), 405, 20)
    refused(shop.http.get("instances/nobody/config"), 404, 2000)
    refused(shop.http.get("instances/nobody/private/orders/x", headers=shop.owner), 404, 2000)
    refused(shop.http.get("private/orders/none", headers=shop.owner), 404, 2005)
    refused(shop.http.get("orders/none"), 404, 2005)


def test_the_old_address_of_the_default_instance_redirects(shop: Shop) -> None:
    """/instances/default/… answers 308 to the path without the prefix."""
    answer = shop.http.get("instances/default/orders/x?token=y")
    assert answer.status_code == 308
    assert answer.headers["location"] == "/orders/x?token=y"


def test_addresses_follow_the_forwarded_headers(shop: Shop) -> None:
    """Behind a proxy the answers have the public address; the contract keeps that of the order's making."""
    forwarded = {"X-Forwarded-Host": "Pay.example:444", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/shop"}
    order = {"order": {"summary": "s", "amount": "KUDOS:1"}}
    made = shop.http.post("private/orders", json=order, headers={**shop.owner, **forwarded}).json()
    path = f"private/orders/{made['order_id']}"
    found = shop.http.get(path, headers={**shop.owner, **forwarded}).json()
    assert found["order_status_url"].startswith(f"https://pay.example:444/shop/orders/{made['order_id']}?token=")
    assert found["taler_pay_uri"].startswith(f"taler://pay/pay.example:444/shop/{made['order_id']}/?c=")
    # Claimed over another host, it is still the contract that the pay URI promises.
    assert shop.claim(made)["contract_terms"]["merchant_base_url"] == "https://pay.example:444/shop/"


def test_a_host_that_makes_no_address_is_refused(shop: Shop) -> None:
    """A malformed Host cannot get into contracts."""
    order = {"order": {"summary": "s", "amount": "KUDOS:1"}}
    headers = {**shop.owner, "X-Forwarded-Host": "evil.example/x y"}
    refused(shop.http.post("private/orders", json=order, headers=headers), 400, 23)


def test_the_port_is_told_and_the_secret_file_is_private(process: Process) -> None:
    """The sandbox writes its secret for its own user only."""
    path = process.state_home / "taler-paywall" / f"sandbox-{process.port}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_instances_are_merchants_of_their_own() -> None:
    """Another instance has its own address, key, token and orders."""
    database = Database(None)
    backend = Backend(database, currency="KUDOS", tokens={"default": "secret-token:a", "other": "secret-token:b"})

    async def talk() -> None:
        inside = httpx.ASGITransport(create_app(backend))
        async with httpx.AsyncClient(transport=inside, base_url="http://shop.example/") as client:
            body = {"order": {"summary": "s", "amount": "KUDOS:1", "order_id": "A"}}
            root, other = ({"Authorization": f"Bearer secret-token:{letter}"} for letter in "ab")
            refused(await client.post("instances/other/private/orders", json=body, headers=root), 401, 40)
            refused(await client.post("private/orders", json=body, headers=other), 401, 40)
            made = await client.post("instances/other/private/orders", json=body, headers=other)
            assert made.status_code == 200
            refused(await client.get("private/orders/A", headers=root), 404, 2005)
            refused(await client.get("instances/other/private/instances", headers=other), 404, 21)
            found = (await client.get("instances/other/private/orders/A", headers=other)).json()
            assert found["order_status_url"].startswith("http://shop.example/instances/other/orders/A?token=")
            assert found["proto_contract_terms"]["merchant_base_url"] == "http://shop.example/instances/other/"
            connection = sqlite3.connect(":memory:", isolation_level=None)
            outcome = await Wallet(Purse(connection, "me"), client).pay(found["taler_pay_uri"])
            connection.close()
            assert outcome.how == "paid"
            assert outcome.contract_terms
            assert outcome.contract_terms["merchant_pub"] != backend.instances["default"].public_key

    asyncio.run(talk())
    database.close()
