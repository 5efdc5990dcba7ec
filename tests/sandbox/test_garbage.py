"""No input makes the sandbox fail: whatever is wrong with a request has an answer that says so."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .shop import Shop, coin, fresh_nonce

_FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(["KUDOS:1", "KUDOS:4503599627370496.99999999", "EUR:1", "0" * 52, "0" * 103, "", "\x00", "//"]),
    st.sampled_from([{"t_s": "never"}, {"t_s": 2**53 - 1}, {"t_s": 0}, {"d_us": 2**53 - 1}, {"d_us": "forever"}]),
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NAMES = [
    *("order", "amount", "summary", "order_id", "fulfillment_url", "pay_deadline", "refund_deadline", "timestamp"),
    *("wire_transfer_deadline", "refund_delay", "create_token", "extra", "products", "max_fee", "auto_refund"),
    *("delivery_date", "version", "merchant_base_url", "minimum_age", "public_reorder_url", "refund", "reason"),
    *("coins", "session_id", "nonce", "token", "sig", "h_contract", "coin_pub", "coin_sig", "ub_sig", "h_denom"),
    *("contribution", "exchange_url", "summary_i18n", "payment_target", "inventory_products", "otp_id"),
]
_MEMBERS = st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=6)


def _answered(answer: Any) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.status_code != 402 and answer.headers["content-type"] == "application/json":
        assert answer.json()["code"] > 0


@_FUZZ
@given(order=_MEMBERS, around=_MEMBERS)
def test_orders_of_any_shape(shop: Shop, order: dict[str, Any], around: dict[str, Any]) -> None:
    """An order with strange members is made or refused, and one that was made can be asked for and claimed."""
    body = {**around, "order": {"summary": "s", "amount": "KUDOS:1", **order}}
    content = json.dumps(body)
    answer = shop.http.post("private/orders", content=content, headers=shop.owner)
    _answered(answer)
    if answer.status_code == 200:
        made = answer.json()
        path = f"orders/{made['order_id']}"
        _answered(shop.http.get(f"private/{path}", headers=shop.owner))
        _answered(shop.http.get(path, params={"token": made.get("token", "")}, headers={"Accept": "text/html"}))
        _answered(shop.post(made["order_id"], "claim", {"nonce": fresh_nonce(), "token": made.get("token")}))


@_FUZZ
@given(
    action=st.sampled_from(["claim", "pay", "paid", "refund"]),
    body=_MEMBERS | _JSON,
    changed=st.dictionaries(st.sampled_from(sorted(coin())), _JSON, max_size=2),
)
def test_wallet_requests_of_any_shape(shop: Shop, action: str, body: Any, changed: dict[str, Any]) -> None:
    """A wallet's requests with strange members are answered."""
    made = shop.order(body={"create_token": False})
    shop.claim(made)
    _answered(shop.http.post(f"orders/{made['order_id']}/{action}", content=json.dumps(body)))
    content = json.dumps({"coins": [{**coin(), **changed}], "session_id": "x"})
    _answered(shop.http.post(f"orders/{made['order_id']}/pay", content=content))
    _answered(shop.http.post(f"private/orders/{made['order_id']}/refund", content=json.dumps(body), headers=shop.owner))


@_FUZZ
@given(
    query=st.dictionaries(
        st.sampled_from(["h_contract", "token", "session_id", "refund", "await_refund_obtained", "nonce"]),
        st.text(max_size=12) | st.sampled_from(["0" * 103, "0" * 26, "KUDOS:1", "yes"]),
        max_size=4,
    ),
    html=st.booleans(),
)
def test_queries_of_any_shape(shop: Shop, *, query: dict[str, str], html: bool) -> None:
    """Strange query strings are answered, as JSON, as a page and as a form."""
    made = shop.order(body={"create_token": False})
    headers = {"Accept": "text/html" if html else "application/json"}
    _answered(shop.http.get(f"orders/{made['order_id']}", params=query, headers=headers))
    _answered(shop.http.get(f"private/orders/{made['order_id']}", params=query, headers=shop.owner))
    _answered(shop.http.get("sandbox/proof", params=query))
    _answered(shop.http.post("sandbox/refund", data={**query, "order_id": made["order_id"]}))


@_FUZZ
@given(content=st.binary(max_size=30), path=st.sampled_from(["private/orders", "orders/x/pay", "sandbox/pay"]))
def test_bodies_of_any_bytes(shop: Shop, content: bytes, path: str) -> None:
    """Bytes that mean nothing are answered."""
    _answered(shop.http.post(path, content=content, headers=shop.owner))


@_FUZZ
@given(
    name=st.sampled_from(["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Accept", "Cookie"]),
    value=st.binary(max_size=15),
    html=st.booleans(),
)
def test_headers_of_any_bytes(shop: Shop, *, name: str, value: bytes, html: bool) -> None:
    """Strange headers are answered, by the sandbox or by its server."""
    made = shop.order(body={"create_token": False})
    legal = bytes(byte for byte in value if 32 < byte < 127 or byte > 127)
    headers = [(b"Accept", b"text/html" if html else b"*/*"), (name.encode(), legal)]
    for path in (f"orders/{made['order_id']}", "instances/default/config"):
        _answered(shop.http.get(path, headers=headers))
    owner = [(b"Authorization", shop.owner["Authorization"].encode()), *headers]
    _answered(shop.http.get(f"private/orders/{made['order_id']}", headers=owner))
    _answered(shop.http.post("sandbox/pay", data={"order_id": made["order_id"]}, headers=headers))
