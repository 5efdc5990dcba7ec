"""The merchant makes an order and looks how it stands (merchant API, sections 3 and 4)."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox import links, standing, terms
from taler_paywall.sandbox.access import Permission, owned_instance_of
from taler_paywall.sandbox.backend import Backend, Instance, backend_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.endpoints import etag, forget
from taler_paywall.sandbox.fields import json_body, members_of, milliseconds, needed, optional, session_id_of, text, yes
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.state.store import Order
from taler_paywall.timestamp import encode_timestamp


async def post_order(request: Request) -> JSONResponse:
    """Make an order; the same request again gets the same answer (merchant API, POST private/orders)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_WRITE)
    body = await json_body(request)
    return answer(make(backend, instance, body, links.base_url(request, instance)))


def answer(order: Order) -> JSONResponse:
    """Tell what the sender of an order needs to know of it (merchant API, PostOrderResponse)."""
    members = {"order_id": order.order_id, "token": order.claim_token, "pay_deadline": order.proposal["pay_deadline"]}
    return JSONResponse({name: value for name, value in members.items() if value is not None})


def make(backend: Backend, instance: Instance, body: dict[str, Any], base_url: str) -> Order:
    """Make an order, or find the one that the same request has made before.

    Args:
        body: of POST private/orders (merchant API, PostOrderRequest).
        base_url: of the instance, as the sender sees it.

    Raises:
        ApiError: the order is refused.
    """
    request_hash = _hash_of(body)
    order = _made_before(backend, instance, body)
    if order is None:
        return _make(backend, instance, body, request_hash, base_url)
    if order.request_hash != request_hash:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ALREADY_EXISTS, "another order has this order_id")
    return order


def _hash_of(body: dict[str, Any]) -> str:
    """Tell what "the same order" is: the posted body, because defaults that depend on the time are not in it."""
    order = _present(needed(body, "order", members_of))
    contents = {**_present(body), "order": order}
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _made_before(backend: Backend, instance: Instance, body: dict[str, Any]) -> Order | None:
    order_id = optional(needed(body, "order", members_of), "order_id", text)
    return None if order_id is None else backend.store.find_order(instance.name, order_id)


def _make(backend: Backend, instance: Instance, body: dict[str, Any], request_hash: str, base_url: str) -> Order:
    now = backend.now()
    today = terms.proposal(body, instance, base_url, backend.currency, now)
    proposal = backend.generation.contract(today, body["order"])
    forget.salt(proposal)
    try:
        # Wallets would refuse a contract that has no hash, so the merchant hears of it now.
        contract.contract_hash(proposal, any_names=True)
    except CodecError as error:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_PROPOSAL_PARSE_ERROR, f"order: {error}") from error
    claim_token = crockford.encode(secrets.token_bytes(16)) if terms.wants_token(body) else None
    intended_session = optional(body, "session_id", session_id_of) or None
    with backend.database.transaction():
        backend.store.add_order(
            *(instance.name, proposal),
            request_hash=request_hash,
            claim_token=claim_token,
            intended_session=intended_session,
            created=now,
        )
        event = {"order_id": proposal["order_id"], "contract": proposal, "instance_id": instance.name}
        backend.outbox.emit(instance.name, "order_created", event)
    order = standing.find(backend, instance, proposal["order_id"])
    standing.announce(backend, order, order.intended_session)
    return order


async def get_order(request: Request) -> Response:
    """Tell how an order stands for a session (merchant API, GET private/orders/ID)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_READ)
    query = request.query_params
    session_id = optional(query, "session_id", text) or None
    with_refunded = optional(query, "allow_refunded_for_repurchase", yes) or False
    order = standing.find(backend, instance, request.path_params["order_id"])
    base_url = links.base_url(request, instance)

    def describe(found: Standing) -> dict[str, Any]:
        members = {"unpaid": _unpaid, "claimed": _claimed, "paid": _paid}[found.order_status](found)
        status_url = links.order_status_url(base_url, found.order, session_id)
        return {"order_status": found.order_status, "order_status_url": status_url, **members}

    found = await standing.wait(
        *(backend, order, session_id),
        with_refunded=with_refunded,
        done=etag.change_of(describe, request) or _is_settled,
        seconds=optional(query, "timeout_ms", milliseconds) or 0,
    )
    return etag.answer(request, describe(found))


def _is_settled(found: Standing) -> bool:
    return found.is_paid or (found.order_status == "unpaid" and found.already_paid is not None)


def _unpaid(found: Standing) -> dict[str, Any]:
    order = found.order
    answer: dict[str, Any] = {
        "taler_pay_uri": links.pay_uri(order, found.session_id),
        "creation_time": encode_timestamp(order.created),
        "summary": order.proposal["summary"],
        "pay_deadline": order.proposal["pay_deadline"],
        "proto_contract_terms": order.proposal,
    }
    if not order.has_choices:
        answer["total_amount"] = str(order.amount)
    if found.already_paid:
        answer["already_paid_order_id"] = found.already_paid.order_id
        answer["already_paid_fulfillment_url"] = found.already_paid.fulfillment_url
    return answer


def _claimed(found: Standing) -> dict[str, Any]:
    return {"contract_terms": found.order.contract_terms}


def _paid(found: Standing) -> dict[str, Any]:
    order = found.order
    answer = {
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
        "deposit_total": str(Amount.zero(order.amount.currency)),
        "wire_details": [],
        "wire_reports": [],
        "exchange_code": 0,
        "exchange_http_status": 0,
        "exchange_ec": 0,
        "exchange_hc": 0,
        "contract_terms": order.contract_terms,
        "last_payment": encode_timestamp(order.paid_at or 0),
    }
    return {**answer, "choice_index": order.choice_index} if order.has_choices else answer
