"""The merchant makes an order and looks how it stands (merchant API, sections 3 and 4)."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall import contract, crockford
from taler_paywall.errors import CodecError
from taler_paywall.sandbox import links, standing, terms
from taler_paywall.sandbox.access import Permission, owned_instance_of
from taler_paywall.sandbox.backend import Backend, Instance, backend_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import json_body, members_of, milliseconds, needed, optional, text, yes
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.store import Order
from taler_paywall.timestamp import encode_timestamp


async def post_order(request: Request) -> JSONResponse:
    """Make an order; the same request again gets the same answer (merchant API, POST private/orders)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_WRITE)
    body = await json_body(request)
    order = make(backend, instance, body, links.base_url(request, instance))
    answer = {"order_id": order.order_id, "token": order.claim_token, "pay_deadline": order.proposal["pay_deadline"]}
    return JSONResponse({name: value for name, value in answer.items() if value is not None})


def make(backend: Backend, instance: Instance, body: dict[str, Any], base_url: str) -> Order:
    """Make an order, or find the one that the same request has made before.

    Args:
        body: of POST private/orders (merchant API, PostOrderRequest).
        base_url: of the instance, as the sender sees it.

    Raises:
        ApiError: the order is refused.
    """
    # The posted body decides what "the same order" is: defaults that depend on the time are not in it.
    request_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    order = _made_before(backend, instance, body)
    if order is None:
        return _make(backend, instance, body, request_hash, base_url)
    if order.request_hash != request_hash:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ALREADY_EXISTS, "another order has this order_id")
    return order


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
    backend.store.add_order(
        *(instance.name, proposal),
        request_hash=request_hash,
        claim_token=crockford.encode(secrets.token_bytes(16)) if terms.wants_token(body) else None,
        intended_session=optional(body, "session_id", text) or None,
        created=backend.now(),
    )
    return standing.find(backend, instance, proposal["order_id"])


async def get_order(request: Request) -> JSONResponse:
    """Tell how an order stands for a session (merchant API, GET private/orders/ID)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_READ)
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
