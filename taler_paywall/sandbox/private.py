"""The merchant's own endpoints: make an order, look at it, refund it (merchant API, sections 3, 4 and 5.4)."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox import links, standing, terms
from taler_paywall.sandbox.backend import Backend, Instance, backend_of, owned_instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import json_body, members_of, milliseconds, needed, optional, text, yes
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.store import Order
from taler_paywall.timestamp import decode_timestamp, encode_timestamp


async def post_order(request: Request) -> JSONResponse:
    """Make an order; the same request again gets the same answer (merchant API, POST private/orders)."""
    backend, instance = backend_of(request), owned_instance_of(request)
    body = await json_body(request)
    # The posted body decides what "the same order" is: defaults that depend on the time are not in it.
    request_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    order = _made_before(backend, instance, body)
    if order is None:
        order = _make(backend, instance, body, request_hash, links.base_url(request, instance))
    elif order.request_hash != request_hash:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ALREADY_EXISTS, "another order has this order_id")
    answer = {"order_id": order.order_id, "token": order.claim_token, "pay_deadline": order.proposal["pay_deadline"]}
    return JSONResponse({name: value for name, value in answer.items() if value is not None})


def _made_before(backend: Backend, instance: Instance, body: dict[str, Any]) -> Order | None:
    order_id = optional(needed(body, "order", members_of), "order_id", text)
    return None if order_id is None else backend.store.find_order(instance.name, order_id)


def _make(backend: Backend, instance: Instance, body: dict[str, Any], request_hash: str, base_url: str) -> Order:
    proposal = terms.proposal(body, instance, base_url, backend.currency, backend.now())
    try:
        # Wallets would refuse a contract that has no hash, so the merchant hears of it now.
        contract.contract_hash(proposal)
    except CodecError as error:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_PROPOSAL_PARSE_ERROR, f"order: {error}") from error
    token = crockford.encode(secrets.token_bytes(16)) if terms.wants_token(body) else None
    backend.store.add_order(instance.name, request_hash, token, backend.now(), proposal)
    return standing.find(backend, instance, proposal["order_id"])


async def get_order(request: Request) -> JSONResponse:
    """Tell how an order stands for a session (merchant API, GET private/orders/ID)."""
    backend, instance = backend_of(request), owned_instance_of(request)
    query = request.query_params
    session_id = optional(query, "session_id", text) or None
    with_refunded = optional(query, "allow_refunded_for_repurchase", yes) or False
    order = standing.find(backend, instance, request.path_params["order_id"])
    found = await standing.wait(
        *(backend, order, session_id),
        with_refunded=with_refunded,
        done=lambda now: now.is_paid or (now.order_status == "unpaid" and now.already_paid is not None),
        seconds=optional(query, "timeout_ms", milliseconds) or 0,
    )
    describe = {"unpaid": _unpaid, "claimed": _claimed, "paid": _paid}[found.order_status]
    status_url = links.order_status_url(links.base_url(request, instance), found.order, session_id)
    return JSONResponse({"order_status": found.order_status, "order_status_url": status_url, **describe(found)})


def _unpaid(found: Standing) -> dict[str, Any]:
    order = found.order
    answer: dict[str, Any] = {
        "taler_pay_uri": links.pay_uri(order, found.session_id),
        "creation_time": encode_timestamp(order.created),
        "summary": order.proposal["summary"],
        "total_amount": order.proposal["amount"],
        "pay_deadline": order.proposal["pay_deadline"],
        "proto_contract_terms": order.proposal,
    }
    if found.already_paid:
        answer["already_paid_order_id"] = found.already_paid.order_id
        answer["already_paid_fulfillment_url"] = found.already_paid.fulfillment_url
    return answer


def _claimed(found: Standing) -> dict[str, Any]:
    return {"contract_terms": found.order.contract_terms}


def _paid(found: Standing) -> dict[str, Any]:
    order = found.order
    return {
        "refunded": bool(found.refunds),
        "refund_pending": found.refund_pending,
        "refund_amount": str(found.refund_amount),
        "refund_details": [
            {
                "reason": refund.reason,
                "pending": not refund.collected,
                "timestamp": encode_timestamp(refund.granted_at),
                "amount": str(refund.amount),
            }
            for refund in found.refunds
        ],
        # Nothing is ever wired, and no exchange can cause trouble: its fields under their old and new names.
        "wired": False,
        "deposit_total": order.proposal["amount"],
        "wire_details": [],
        "wire_reports": [],
        "exchange_code": 0,
        "exchange_http_status": 0,
        "exchange_ec": 0,
        "exchange_hc": 0,
        "contract_terms": order.contract_terms,
        "last_payment": encode_timestamp(order.paid_at or 0),
    }


async def post_refund(request: Request) -> JSONResponse:
    """Raise the refund of an order to a new total (merchant API, POST private/orders/ID/refund)."""
    backend, instance = backend_of(request), owned_instance_of(request)
    body = await json_body(request)
    wanted = needed(body, "refund", Amount.parse)
    reason = needed(body, "reason", text)
    order = standing.find(backend, instance, request.path_params["order_id"])
    found = standing.look(backend, order, None, with_refunded=True)
    _check_refund(backend, found, wanted)
    increase, _ = wanted.subtract(found.refund_amount)
    with backend.store.transaction():
        for coin_pub, amount in _spread(backend, found, increase).items():
            backend.store.add_refund(order, coin_pub, amount, reason, backend.now())
    standing.announce(backend, order)
    return JSONResponse({"taler_refund_uri": links.refund_uri(order), "h_contract": order.h_contract})


def _check_refund(backend: Backend, found: Standing, wanted: Amount) -> None:
    order = found.order
    if wanted.currency != backend.currency:
        detail = f"refund: the currency here is {backend.currency}, not {wanted.currency}"
        raise ApiError(Code.MERCHANT_GENERIC_CURRENCY_MISMATCH, detail)
    if order.paid_at is None:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_ORDER_UNPAID, "the order is not paid")
    deadline, start = (decode_timestamp(order.proposal[name]) for name in ("refund_deadline", "timestamp"))
    if deadline <= start or deadline < backend.now():
        detail = "the contract allows no refunds, or not any more"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_NOT_ALLOWED_BY_CONTRACT, detail)
    if not found.refund_amount <= wanted <= order.amount:
        detail = f"the new total must be from {found.refund_amount} to {order.amount}"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_INCONSISTENT_AMOUNT, detail)


def _spread(backend: Backend, found: Standing, increase: Amount) -> dict[str, Amount]:
    """Take an amount from the coins of an order, in the order in which they were spent."""
    shares: dict[str, Amount] = {}
    for coin_pub, contribution in backend.store.coins_of(found.order).items():
        refunded = (refund.amount for refund in found.refunds if refund.coin_pub == coin_pub)
        left, _ = contribution.subtract(standing.total(backend.currency, refunded))
        share = min(left, increase)
        if not share.is_zero:
            shares[coin_pub] = share
            increase, _ = increase.subtract(share)
    return shares
