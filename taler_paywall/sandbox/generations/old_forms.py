"""What requests and answers looked like in 2022, endpoint by endpoint (merchant API, sections 2 to 5 and 11).

The keys of the tables are today's endpoints, as in routes.py. None of it is used for the current generation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from taler_paywall.sandbox.codes import Code

Members = dict[str, Any]

#: Endpoints that came later.
ABSENT: Final = frozenset(
    {
        "/orders/{order_id}/unclaim",
        "/private/token",
        "/private/tokens",
        "/private/tokens/{serial}",
        "/sessions/{session_id}",
    }
)

#: Error codes that came later, and what was said then: the nearest in the list of 2022.
CODES: Final[Mapping[int, Code]] = {
    Code.GENERIC_COMPRESSION_INVALID: Code.GENERIC_JSON_INVALID,
    Code.GENERIC_UNAUTHORIZED: Code.MERCHANT_GENERIC_UNAUTHORIZED,
    Code.GENERIC_TOKEN_EXPIRED: Code.MERCHANT_GENERIC_UNAUTHORIZED,
    Code.MERCHANT_GENERIC_CURRENCY_MISMATCH: Code.GENERIC_CURRENCY_MISMATCH,
    Code.MERCHANT_PRIVATE_POST_ORDERS_NO_EXCHANGE_FOR_CURRENCY: Code.GENERIC_CURRENCY_MISMATCH,
    Code.MERCHANT_PRIVATE_POST_ORDERS_PAY_DEADLINE_IN_PAST: Code.MERCHANT_PRIVATE_POST_ORDERS_PROPOSAL_PARSE_ERROR,
    Code.MERCHANT_PRIVATE_POST_ORDERS_REFUND_DEADLINE_IN_PAST: Code.MERCHANT_PRIVATE_POST_ORDERS_PROPOSAL_PARSE_ERROR,
}

#: Query parameters that came later: an old backend ignores them.
UNKNOWN_PARAMETERS: Final[Mapping[str, AbstractSet[str]]] = {
    "GET /private/orders": {"limit", "offset", "date_s", "session_id", "fulfillment_url", "summary_filter"},
    "GET /private/orders/{order_id}": {"lp_not_etag"},
    "DELETE /private/orders/{order_id}": {"force"},
    "GET /orders/{order_id}": {"lp_not_etag"},
}

#: Headers of requests that came later.
UNKNOWN_HEADERS: Final = frozenset({b"if-none-match"})

#: Query parameters whose default was another.
DEFAULT_PARAMETERS: Final[Mapping[str, Mapping[str, str]]] = {"GET /private/orders": {"delta": "-20"}}

#: Query parameters that make today's backend do what an old one always did: it knew no hidden purchases.
IMPLIED_PARAMETERS: Final[Mapping[str, Mapping[str, str]]] = {
    "GET /private/orders/{order_id}": {"allow_refunded_for_repurchase": "YES"},
    "GET /orders/{order_id}": {"allow_refunded_for_repurchase": "YES"},
}


def _without(members: Members, *names: str) -> Members:
    return {name: value for name, value in members.items() if name not in names}


def _only(members: Members, *names: str) -> Members:
    return {name: members[name] for name in names}


def _posted_order(body: Members) -> Members:
    order = body.get("order")
    if isinstance(order, dict):
        body = {**body, "order": _without(order, "version", "choices")}
    return _without(body, "otp_id")


def _payment(body: Members) -> Members:
    coins = body.get("coins")
    return {**body, "coins": [_coin(coin) for coin in coins]} if isinstance(coins, list) else body


def _coin(coin: Any) -> Any:
    match coin:
        case {"ub_sig": str(signature)}:
            # There was no other cipher yet.
            return {**coin, "ub_sig": {"cipher": "RSA", "rsa_signature": signature}}
        case _:
            return coin


def _config(answer: Members) -> Members:
    return _only(answer, "version", "name", "currency")


def _made_order(answer: Members) -> Members:
    return _without(answer, "pay_deadline")


def _history(answer: Members) -> Members:
    return {"orders": [_without(entry, "refund_amount", "pending_refund_amount") for entry in answer["orders"]]}


def _order_status(answer: Members) -> Members:
    if answer["order_status"] == "claimed":
        return _only(answer, "order_status", "contract_terms")
    # The exchange's fields are there under their old names too.
    later = ("proto_contract_terms", "last_payment", "choice_index", "exchange_code", "exchange_http_status")
    return _without(answer, *later)


def _nothing(_: Members) -> None:
    return None


#: How bodies of requests become today's.
REQUESTS: Final[Mapping[str, Callable[[Members], Members]]] = {
    "POST /private/orders": _posted_order,
    "POST /orders/{order_id}/pay": _payment,
}

#: What becomes of successful answers; None is 204 without a body.
ANSWERS: Final[Mapping[str, Callable[[Members], Members | None]]] = {
    "GET /config": _config,
    "POST /private/orders": _made_order,
    "POST /templates/{template_id}": _made_order,
    "GET /private/orders": _history,
    "GET /private/orders/{order_id}": _order_status,
    "POST /orders/{order_id}/paid": _nothing,
}
