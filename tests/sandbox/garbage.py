"""Requests that are wrong in every way, made from right ones; real ids and keys occur as placeholders."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st
from starlette.routing import Route

from taler_paywall.sandbox.routes import ENDPOINTS

from .shop import coin

#: What stands for real values in generated requests, so that a failing one can be told and repeated.
PLACEHOLDERS = [
    *(
        f"@{state}.{name}"
        for state in ("unpaid", "open", "claimed", "paid", "refunded")
        for name in ("order_id", "url")
    ),
    *(f"@{state}.h_contract" for state in ("claimed", "paid", "refunded")),
    *("@unpaid.token", "@claimed.token", "@claimed.nonce", "@paid.sig", "@paid.coin_pub", "@refunded.sig"),
    *("@nonce", "@login", "@session", "@template", "@webhook"),
]

_COIN = coin()
_URL = "http://shop.example/"
_EARLY, _LATE = {"t_s": 4_000_000_000}, {"t_s": 4_000_000_001}
WEBHOOK = {
    "webhook_id": "hook",
    "event_type": "pay",
    "url": "http://127.0.0.1:9/",
    "http_method": "POST",
    "header_template": "X-Order: {{ order_id }}",
    "body_template": "{{ contract_terms }}",
}
_CONTRACT = {"summary": "s", "amount": "KUDOS:1", "minimum_age": 0, "pay_duration": {"d_us": 60_000_000}}
TEMPLATE = {
    "template_id": "template",
    "template_description": "d",
    "template_contract": _CONTRACT,
    "editable_defaults": {"summary": "t"},
}
_DEADLINES = {"pay_deadline": {"t_s": "never"}, "refund_deadline": _EARLY, "wire_transfer_deadline": _LATE}
_ORDER = {
    "summary": "s",
    "summary_i18n": {"de": "Z"},
    "amount": "KUDOS:1",
    "max_fee": "KUDOS:1",
    "order_id": "o",
    "fulfillment_url": "@paid.url",
    "public_reorder_url": _URL,
    "merchant_base_url": _URL,
    "timestamp": {"t_s": 1},
    "delivery_date": _EARLY,
    "auto_refund": {"d_us": 1},
    "minimum_age": 0,
    "products": [{"description": "p", "quantity": 1}],
    "version": 0,
    "choices": [{"amount": "KUDOS:1", "inputs": [], "outputs": []}],
    "extra": {"a": [1, {"$forgettable": {"b": True}, "b": "x"}]},
    **_DEADLINES,
}
_POSTED = {
    "order": _ORDER,
    "refund_delay": {"d_us": 1},
    "create_token": True,
    "session_id": "@session",
    "payment_target": "x-taler-bank",
    "inventory_products": [],
    "lock_uuids": [],
    "otp_id": None,
}
_PROOF = {"sig": "@paid.sig", "h_contract": "@paid.h_contract", "session_id": "@session"}
_CLAIMED = "@claimed.h_contract"
_ABORTED = [{name: _COIN[name] for name in ("coin_pub", "contribution", "exchange_url")}]
LOGIN = {"scope": "order-simple:refreshable", "duration": {"d_us": 60_000_000}, "description": "d"}
#: A body that is right for each endpoint that takes one; of others one is made from what is in them all.
_BODIES: dict[str, Any] = {
    "POST /private/orders": _POSTED,
    "POST /private/orders/{order_id}/refund": {"refund": "KUDOS:1", "reason": "r"},
    "PATCH /private/orders/{order_id}/forget": {"fields": ["$.extra.a[1].b", "$.products[*].description"]},
    "POST /private/webhooks": WEBHOOK,
    "PATCH /private/webhooks/{webhook_id}": WEBHOOK,
    "POST /private/templates": TEMPLATE,
    "PATCH /private/templates/{template_id}": TEMPLATE,
    "POST /templates/{template_id}": {"template_type": "fixed-order", "summary": "s", "amount": "KUDOS:1", "tip": None},
    "POST /private/token": LOGIN,
    "POST /orders/{order_id}/claim": {"nonce": "@claimed.nonce", "token": "@claimed.token"},
    "POST /orders/{order_id}/unclaim": {"unclaim_sig": "@paid.sig", "h_contract": _CLAIMED},
    "POST /orders/{order_id}/pay": {"coins": [_COIN], "session_id": "@session", "choice_index": 0, "wallet_data": {}},
    "POST /orders/{order_id}/paid": _PROOF,
    "POST /orders/{order_id}/refund": {"h_contract": "@refunded.h_contract"},
    "POST /orders/{order_id}/abort": {"h_contract": _CLAIMED, "coins": _ABORTED},
}
_ANY = {**_PROOF, "order_id": "@paid.order_id", "amount": "KUDOS:1"}
_PARAMETERS = [
    *("h_contract", "token", "session_id", "refund", "await_refund_obtained", "allow_refunded_for_repurchase", "nonce"),
    *("paid", "refunded", "wired", "date_s", "date", "date_ms", "limit", "delta", "offset", "start", "fulfillment_url"),
    *("summary_filter", "force", "transfer", "order_id", "contract_url", "lp_not_etag", "timeout", "timeout_ms"),
]
#: No number that would make a poll last.
_WAITS = st.sampled_from(["", "0", "1", "-1", "x", "1.5", "0x1", "٣"])
_HEADERS = [
    *("Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Accept", "Cookie", "Content-Type"),
    *("Content-Encoding", "If-None-Match", "Authorization", "Origin", "Range", "Expect", "Accept-Encoding"),
]
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]

# Made once: a strategy that is new in every example costs more than what is drawn from it.
_HOW = st.sampled_from(["replace", "replace", "drop", "wrap", "twice", "add"])
_CHANGES = st.integers(0, 3)
_EITHER = st.booleans()
_NAMES = st.text(max_size=5)
_VALUES = st.text(max_size=12) | st.sampled_from([*PLACEHOLDERS, "yes", "no", "all", "5", "-5", "KUDOS:1", "0" * 103])
_QUERIES = st.dictionaries(st.sampled_from(_PARAMETERS), _VALUES, max_size=4)
_WILD_HEADERS = st.dictionaries(st.sampled_from(_HEADERS), st.binary(max_size=15), max_size=3)
_WILD_METHODS = st.sampled_from(_METHODS)
_PREFIXES = st.sampled_from(["", "", "/instances/other", "/instances/default"])
_CODINGS = st.sampled_from(["plain", "plain", "gzip", "cut", "fake", "form"])

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(PLACEHOLDERS),
    st.sampled_from(["KUDOS:0", "KUDOS:1", "KUDOS:4503599627370496.99999999", "EUR:1", "0" * 26, "0" * 52, "0" * 103]),
    st.sampled_from(
        ["", "\x00", "//", "\ud800", "http://[", "http://a/", "é", "$.", "$.extra.a[99999999999999999999]"]
    ),
    st.sampled_from([{"t_s": "never"}, {"t_s": 2**53 - 1}, {"t_s": 0}, {"d_us": 2**53 - 1}, {"d_us": "forever"}]),
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)
_AS_IT_IS = object()
_WILD_BODIES = st.just(_AS_IT_IS) | _JSON | st.binary(max_size=30)


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of routes.ENDPOINTS under one of its methods."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Wrong:
    """A request with placeholders.

    Args:
        body: JSON, or bytes as they are.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, bytes]
    body: Any
    coding: str


def endpoints() -> list[Endpoint]:
    """Return all endpoints that there are."""
    assert all(isinstance(route, Route) for route in ENDPOINTS)
    return [Endpoint(method, route.path) for route in ENDPOINTS for method in sorted(route.methods or ())]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every member and item inside a JSON value, as container and key."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


@cache
def _parts(name: str) -> st.SearchStrategy[str]:
    """Return what may stand in a path where an endpoint has this name."""
    real = [own for own in PLACEHOLDERS if own.endswith(f".{name}") or own == f"@{name.removesuffix('_id')}"]
    return st.sampled_from(real or PLACEHOLDERS) | st.text(max_size=4)


def _mutated(draw: st.DrawFn, valid: Any) -> Any:
    """Change a JSON value in up to three places."""
    value = copy.deepcopy(valid)
    for _ in range(draw(_CHANGES)):
        places = list(_places(value))
        if not places:
            return copy.deepcopy(draw(_JSON))
        container, key = places[draw(st.integers(0, len(places) - 1))]
        how = draw(_HOW)
        if how == "replace":
            # A copy, because Hypothesis may draw the same object again.
            container[key] = copy.deepcopy(draw(_JSON))
        elif how == "drop":
            del container[key]
        elif how == "wrap":
            container[key] = [container[key]] if draw(_EITHER) else {"x": container[key]}
        elif how == "twice":
            container[key] = [container[key], copy.deepcopy(container[key])]
        elif isinstance(container[key], dict):
            container[key][draw(_NAMES)] = copy.deepcopy(draw(_JSON))
    return value


@st.composite
def requests_to(draw: st.DrawFn, endpoint: Endpoint, *, wild: bool) -> Wrong:
    """Make a request to an endpoint.

    Args:
        wild: with any method, headers and bytes, rather than almost right.
    """
    valid = _BODIES.get(str(endpoint), _ANY)
    body: Any = _mutated(draw, valid) if endpoint.method in ("POST", "PATCH", "PUT") else None
    if wild and (other := draw(_WILD_BODIES)) is not _AS_IT_IS:
        body = other
    path = endpoint.path
    for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        path = path.replace(f"{{{name}}}", draw(_parts(name)))
    query = draw(_QUERIES)
    query |= {name: draw(_WAITS) for name in ("timeout", "timeout_ms") if name in query}
    headers = draw(_WILD_HEADERS) if wild else {}
    return Wrong(
        method=draw(_WILD_METHODS) if wild else endpoint.method,
        path=draw(_PREFIXES) + path,
        query=query,
        headers={name: bytes(byte for byte in value if 32 < byte != 127) for name, value in headers.items()},
        body=body,
        coding=draw(_CODINGS),
    )
