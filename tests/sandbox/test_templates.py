"""Templates: the merchant keeps them, buyers make orders from them (merchant API, section 5.12)."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from taler_paywall.taler_uri import PayUri

from .shop import Shop, coin, fresh_url
from .traffic import answered, empty, refused

FIXED = {"summary": "Coffee", "amount": "KUDOS:2"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def template(contract: Any, **changed: Any) -> dict[str, Any]:
    name = f"template-{secrets.token_hex(4)}"
    return {"template_id": name, "template_description": "At the counter", "template_contract": contract, **changed}


def post(shop: Shop, body: Any) -> httpx.Response:
    return shop.http.post("private/templates", json=body, headers=shop.owner)


def ask(shop: Shop, method: str, name: str, body: Any = None) -> httpx.Response:
    return shop.http.request(method, f"private/templates/{name}", json=body, headers=shop.owner)


def kept(shop: Shop, contract: Any, **changed: Any) -> str:
    """Post a template and return the address at which it is used."""
    body = template(contract, **changed)
    empty(post(shop, body), 204)
    return f"templates/{body['template_id']}"


def terms_of(shop: Shop, made: dict[str, Any]) -> dict[str, Any]:
    terms: dict[str, Any] = shop.claim(made)["contract_terms"]
    return terms


def test_templates_are_kept_listed_changed_and_deleted(shop: Shop) -> None:
    """What was posted is listed and shown, a patch replaces all of it, and after the deletion it is unknown."""
    contract = {**FIXED, "minimum_age": 18, "pay_duration": {"d_us": 60_000_000}, "website_regex": "^http"}
    body = template(contract, editable_defaults={"summary": "Tea"}, otp_id=None)
    name = body["template_id"]
    empty(post(shop, body), 204)
    listed = answered(shop.http.get("private/templates", headers=shop.owner), 200, templates=list)["templates"]
    assert {"template_id": name, "template_description": "At the counter"} in listed
    shown = {member: value for member, value in body.items() if member != "otp_id"}
    assert answered(ask(shop, "GET", name), 200, template_contract=contract) == shown
    public = {"template_contract": contract, "editable_defaults": {"summary": "Tea"}}
    assert answered(shop.http.get(f"templates/{name}"), 200, template_contract=contract) == public
    patch = {"template_description": "New", "template_contract": {"currency": "KUDOS", "summary": None}}
    empty(ask(shop, "PATCH", name, patch), 204)
    changed = {"template_contract": {"currency": "KUDOS"}, "required_currency": "KUDOS"}
    assert answered(shop.http.get(f"templates/{name}"), 200, required_currency="KUDOS") == changed
    assert answered(ask(shop, "GET", name), 200, template_description="New")["template_id"] == name
    empty(ask(shop, "DELETE", name), 204)
    for method in ("GET", "PATCH", "DELETE"):
        refused(ask(shop, method, name, patch), 404, 2018)
    refused(shop.http.get(f"templates/{name}"), 404, 2018)
    refused(shop.http.post(f"templates/{name}", json={}), 404, 2018)


def test_posting_a_template_again(shop: Shop) -> None:
    """The same contents again change nothing, others under the same id are refused."""
    body = template(FIXED)
    empty(post(shop, body), 204)
    empty(post(shop, {**body, "template_contract": {**FIXED, "currency": None}}), 204)
    refused(post(shop, {**body, "template_description": "Other"}), 409, 2850)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"template_id": None}, 400, 25),
        ({"template_id": "a/b"}, 400, 26),
        ({"template_id": "."}, 400, 26),
        ({"template_id": "x" * 256}, 400, 26),
        ({"template_description": None}, 400, 25),
        ({"template_description": 1}, 400, 26),
        ({"template_contract": None}, 400, 25),
        ({"template_contract": []}, 400, 26),
        ({"template_contract": {"template_type": "tea"}}, 400, 26),
        ({"template_contract": {"summary": 1}}, 400, 26),
        ({"template_contract": {"currency": "K€"}}, 400, 26),
        ({"template_contract": {"amount": 5}}, 400, 26),
        ({"template_contract": {"amount": "KUDOS:1", "currency": "KUDOS"}}, 400, 26),
        ({"template_contract": {"minimum_age": -1}}, 400, 26),
        ({"template_contract": {"pay_duration": 5}}, 400, 26),
        ({"template_contract": {"request_tip": "yes"}}, 400, 26),
        ({"editable_defaults": "x"}, 400, 26),
        ({"required_currency": ""}, 400, 26),
        ({"otp_id": "device"}, 404, 2021),
    ],
)
def test_bad_templates_are_refused(shop: Shop, changed: dict[str, Any], status: int, code: int) -> None:
    """Each mistake in a template has its code, when it is posted and when it is patched."""
    body = template(FIXED, **changed) if "template_contract" not in changed else {**template(FIXED), **changed}
    refused(post(shop, body), status, code)
    if "template_id" not in changed:
        refused(ask(shop, "PATCH", "none", body), status, code)


def test_templates_are_the_owners_only(shop: Shop) -> None:
    """To keep them needs the bearer token, to use them needs none; both an instance that exists."""
    body = template(FIXED)
    for method, path in (
        ("GET", "private/templates"),
        ("POST", "private/templates"),
        *((method, "private/templates/x") for method in ("GET", "PATCH", "DELETE")),
    ):
        refused(shop.http.request(method, path, json=body), 401, 40)
        refused(shop.http.request(method, f"instances/none/{path}", json=body, headers=shop.owner), 404, 2000)
    refused(shop.http.get("instances/none/templates/x"), 404, 2000)
    refused(shop.http.post("instances/none/templates/x", json={}), 404, 2000)
    for path in ("private/templates", "templates/x"):
        refused(shop.http.post(path, content=b" " * 1_100_000, headers=shop.owner), 413, 32)
        refused(shop.http.post(path, content=b"{", headers=shop.owner), 400, 22)
    refused(shop.http.patch("private/templates/x", content=b" " * 1_100_000, headers=shop.owner), 413, 32)


def test_a_fixed_order(shop: Shop) -> None:
    """What the template fixes is in the contract, and the answer is that of POST private/orders."""
    path = kept(shop, {**FIXED, "minimum_age": 16, "pay_duration": {"d_us": 600_000_000}})
    made = answered(shop.http.post(path, json={}), 200, order_id=str, token=str, pay_deadline=dict)
    assert abs(made["pay_deadline"]["t_s"] - time.time() - 600) < 10
    terms = terms_of(shop, made)
    assert (terms["summary"], terms["amount"], terms["minimum_age"]) == ("Coffee", "KUDOS:2", 16)
    paid = shop.post(made["order_id"], "pay", {"coins": [coin("KUDOS:2")], "session_id": ""})
    assert paid.status_code == 200
    assert shop.status(made["order_id"])["order_status"] == "paid"


@pytest.mark.parametrize(
    ("contract", "body", "amount"),
    [
        ({}, {"summary": "Tea", "amount": "KUDOS:3"}, "KUDOS:3"),
        ({"currency": "kudos"}, {"summary": "Tea", "amount": "KUDOS:3", "template_type": "fixed-order"}, "KUDOS:3"),
        ({"template_type": "fixed-order"}, {"summary": "Tea", "amount": "KUDOS:3", "tip": "KUDOS:1"}, "KUDOS:3"),
        ({"amount": "KUDOS:2", "request_tip": True}, {"summary": "Tea", "tip": "KUDOS:1"}, "KUDOS:3"),
        ({"amount": "KUDOS:2"}, {"summary": "Tea", "tip": "KUDOS:0.5", "amount": "KUDOS:2.50"}, "KUDOS:2.5"),
    ],
)
def test_what_the_buyer_says(shop: Shop, contract: Any, body: Any, amount: str) -> None:
    """What the template leaves open the buyer says, as JSON or as a form; a tip is part of the price."""
    path = kept(shop, contract)
    as_json = shop.http.post(path, json={**body, "paivana_id": None, "unknown": 1})
    as_form = shop.http.post(path, content=urlencode(body), headers=FORM)
    for answer in (as_json, as_form):
        terms = terms_of(shop, answered(answer, 200, order_id=str))
        assert (terms["summary"], terms["amount"]) == ("Tea", amount)


@pytest.mark.parametrize(
    ("contract", "body", "status", "code"),
    [
        (FIXED, {"amount": "KUDOS:2"}, 400, 2860),
        (FIXED, {"amount": "KUDOS:9", "tip": "KUDOS:1"}, 400, 2860),
        (FIXED, {"summary": "Coffee"}, 400, 2861),
        ({"summary": "Coffee"}, {}, 400, 2862),
        ({"amount": "KUDOS:2"}, {}, 400, 2863),
        (FIXED, {"template_type": "paivana"}, 400, 2864),
        (FIXED, {"template_type": 5}, 400, 26),
        ({**FIXED, "template_type": "paivana"}, {}, 400, 2864),
        ({"currency": "KUDOS"}, {"summary": "s", "amount": "EUR:1"}, 400, 2024),
        (FIXED, {"tip": "EUR:1"}, 400, 2024),
        ({}, {"summary": "s", "amount": "EUR:1"}, 409, 2514),
        ({}, {"summary": "s", "amount": "1"}, 400, 26),
        ({}, {"summary": "s", "amount": "KUDOS:1", "tip": "KUDOS:2"}, 400, 26),
        ({}, {"summary": 1, "amount": "KUDOS:1"}, 400, 26),
        ({**FIXED, "pay_duration": {"d_us": 0}}, {}, 400, 2507),
        ({"template_type": "inventory-cart"}, {"template_type": "inventory-cart"}, 400, 25),
        (
            {"template_type": "inventory-cart"},
            {"template_type": "inventory-cart", "inventory_selection": []},
            *(400, 26),
        ),
        (
            {"template_type": "inventory-cart"},
            {"template_type": "inventory-cart", "inventory_selection": [{"product_id": "x", "quantity": "1.5"}]},
            *(404, 2006),
        ),
    ],
)
def test_bad_uses_are_refused(shop: Shop, contract: Any, body: Any, status: int, code: int) -> None:
    """Each mistake of a buyer has its code."""
    refused(shop.http.post(kept(shop, contract), json=body), status, code)


def test_a_paywall_finds_the_order_of_its_paivana_template(shop: Shop) -> None:
    """The buyer's own id is the session: paid in it, the order is found by session and web site."""
    website, paivana_id = fresh_url(), f"1790000000-{secrets.token_urlsafe(32)}"
    path = kept(shop, {**FIXED, "template_type": "paivana"})
    body = {"template_type": "paivana", "website": website, "paivana_id": paivana_id}
    session = f"sessions/{paivana_id}"
    refused(shop.http.get(session, params={"fulfillment_url": website}), 404, 2099)
    made = answered(shop.http.post(path, content=urlencode(body), headers=FORM), 200, token=str)
    found = shop.http.get(session, params={"fulfillment_url": website})
    answered(found, 202, order_id=made["order_id"])
    uri = shop.status(made["order_id"], session_id=paivana_id)["taler_pay_uri"]
    assert PayUri.parse(uri).session_id == paivana_id
    terms = terms_of(shop, made)
    assert terms["fulfillment_url"] == website
    paid = shop.post(made["order_id"], "pay", {"coins": [coin("KUDOS:2")], "session_id": paivana_id})
    assert paid.status_code == 200
    found = shop.http.get(session, params={"fulfillment_url": website})
    answered(found, 200, order_id=made["order_id"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"paivana_id": "x"}, 25),
        ({"website": "http://shop.example/"}, 25),
        ({"website": "shop", "paivana_id": "x"}, 26),
        ({"website": "http://shop.example/", "paivana_id": ""}, 26),
        ({"website": "http://shop.example/", "paivana_id": 5}, 26),
    ],
)
def test_paivana_needs_site_and_session(shop: Shop, body: dict[str, Any], code: int) -> None:
    """Without both, an order could not be found again."""
    path = kept(shop, {**FIXED, "template_type": "paivana"})
    refused(shop.http.post(path, json={"template_type": "paivana", **body}), 400, code)


def test_a_paivana_template_may_offer_choices(shop: Shop) -> None:
    """A list of choices in the template makes an order of which the buyer chooses how to pay it."""
    choices = [{"amount": "KUDOS:1"}, {"amount": "KUDOS:2"}]
    path = kept(shop, {"summary": "Article", "template_type": "paivana", "choices": choices})
    body = {"template_type": "paivana", "website": fresh_url(), "paivana_id": "choosy"}
    terms = terms_of(shop, answered(shop.http.post(path, json=body), 200, order_id=str))
    assert terms["version"] == 1
    assert [choice["amount"] for choice in terms["choices"]] == ["KUDOS:1", "KUDOS:2"]


def test_templates_survive_a_restart(processes: Any, tmp_path: Any) -> None:
    """With --state, templates are still there after kill -9."""
    state = str(tmp_path / "state.sqlite")
    first = processes("--port", "0", "--state", state)
    shop = Shop(first.url)
    path = kept(shop, FIXED)
    first.kill()
    shop.http.close()
    shop = Shop(processes("--port", "0", "--state", state).url)
    answered(shop.http.get(path), 200, template_contract=FIXED)
    shop.http.close()


def test_scripts_of_any_site_may_use_templates(shop: Shop) -> None:
    """The public endpoints are open to scripts, the merchant's are not."""
    path = kept(shop, FIXED)
    for answer in (shop.http.get(path), shop.http.post(path, json={}), shop.http.options(path)):
        assert answer.headers["access-control-allow-origin"] == "*"
    private = shop.http.get("private/templates", headers=shop.owner)
    assert "access-control-allow-origin" not in private.headers
