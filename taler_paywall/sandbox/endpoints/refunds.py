"""Refunds: the merchant grants them, the wallet collects them (merchant API, sections 5.4 and 5.9).

There is no exchange: the signatures that a collected refund carries are of a play exchange.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.sandbox import links, standing
from taler_paywall.sandbox.access import Permission, owned_instance_of
from taler_paywall.sandbox.backend import EXCHANGE_PUB, EXCHANGE_SEED, Backend, backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import binary, json_body, needed, text
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.state.ledger import Refund
from taler_paywall.sandbox.state.store import Order
from taler_paywall.timestamp import decode_timestamp, encode_timestamp

#: Purpose of the play exchange's signature on a refund.
_EXCHANGE_CONFIRM_REFUND: Final = 1035
#: What an exchange answers when it has wired the money already, and its code for that (merchant API, exchange codes).
_EXCHANGE_GONE: Final = 410
_EXCHANGE_REFUND_MERCHANT_ALREADY_PAID: Final = 1503
_FAILURE: Final = {
    "type": "failure",
    "exchange_status": _EXCHANGE_GONE,
    "exchange_code": _EXCHANGE_REFUND_MERCHANT_ALREADY_PAID,
    "exchange_reply": {"code": _EXCHANGE_REFUND_MERCHANT_ALREADY_PAID, "hint": "the money was wired already"},
}


async def grant(request: Request) -> JSONResponse:
    """Raise the refund of an order to a new total (merchant API, POST private/orders/ID/refund)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_REFUND)
    body = await json_body(request)
    wanted = needed(body, "refund", Amount.parse)
    reason = needed(body, "reason", text)
    order = standing.find(backend, instance, request.path_params["order_id"])
    found = standing.look(backend, order, None, with_refunded=True)
    raise_to(backend, found, wanted, reason, by_contract=True)
    return answer(order)


def answer(order: Order) -> JSONResponse:
    """Tell whoever has granted a refund how the wallet gets it (merchant API, MerchantRefundResponse)."""
    return JSONResponse({"taler_refund_uri": links.refund_uri(order), "h_contract": order.h_contract})


def raise_to(backend: Backend, found: Standing, wanted: Amount, reason: str, *, by_contract: bool) -> None:
    """Raise the refund of an order to a new total.

    Args:
        by_contract: whether the deadlines in the contract must allow it.

    Raises:
        ApiError: there cannot be such a refund.
    """
    order = found.order
    _check_refund(backend, found, wanted, by_contract=by_contract)
    increase, _ = wanted.subtract(found.refund_amount)
    with backend.database.transaction():
        for coin_pub, amount in _spread(backend, found, increase).items():
            backend.ledger.grant_refund(order, coin_pub, amount, reason, backend.now())
        if not increase.is_zero:
            backend.outbox.emit(order.instance, "refund", _event(backend, order, wanted, reason))
    standing.announce(backend, order)


def _event(backend: Backend, order: Order, wanted: Amount, reason: str) -> dict[str, Any]:
    """What webhooks are told of a refund (merchant API, webhooks); the time is in nanoseconds."""
    return {
        "timestamp": backend.now() * 1_000_000_000,
        "order_id": order.order_id,
        "contract_terms": order.contract_terms,
        "refund_amount": str(wanted),
        "reason": reason,
    }


def _check_refund(backend: Backend, found: Standing, wanted: Amount, *, by_contract: bool) -> None:
    order = found.order
    if wanted.currency != backend.currency:
        detail = f"refund: the currency here is {backend.currency}, not {wanted.currency}"
        raise ApiError(Code.MERCHANT_GENERIC_CURRENCY_MISMATCH, detail)
    if order.paid_at is None:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_ORDER_UNPAID, "the order is not paid")
    if by_contract:
        _check_deadlines(backend, order)
    if not found.refund_amount <= wanted <= order.amount:
        detail = f"the new total must be from {found.refund_amount} to {order.amount}"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_INCONSISTENT_AMOUNT, detail)


def _check_deadlines(backend: Backend, order: Order) -> None:
    deadline, start = (decode_timestamp(order.proposal[name]) for name in ("refund_deadline", "timestamp"))
    if deadline <= start:
        detail = "the contract allows no refunds"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_NOT_ALLOWED_BY_CONTRACT, detail)
    # After the refund deadline, refunds are the merchant's good will.
    _refuse_late_refund(backend, order)


def _refuse_late_refund(backend: Backend, order: Order) -> None:
    if _is_wired(backend, order) and not backend.generation.grants_late_refunds:
        detail = "the wire transfer deadline has passed: the money has left the exchange"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_REFUND_AFTER_WIRE_DEADLINE, detail)


def _is_wired(backend: Backend, order: Order) -> bool:
    return decode_timestamp(order.proposal["wire_transfer_deadline"]) <= backend.now()


def _spread(backend: Backend, found: Standing, increase: Amount) -> dict[str, Amount]:
    """Take an amount from the coins of an order, in the order in which they were spent."""
    shares: dict[str, Amount] = {}
    for coin_pub, contribution in backend.ledger.coins_of(found.order).items():
        refunded = (refund.amount for refund in found.refunds if refund.coin_pub == coin_pub)
        left, _ = contribution.subtract(standing.total(backend.currency, refunded))
        share = min(left, increase)
        if not share.is_zero:
            shares[coin_pub] = share
            increase, _ = increase.subtract(share)
    return shares


async def collect(request: Request) -> Response:
    """Hand the refunds of an order out to the wallet (merchant API, POST orders/ID/refund)."""
    backend, instance = backend_of(request), instance_of(request)
    body = await json_body(request)
    h_contract = needed(body, "h_contract", binary(64))
    order = standing.find(backend, instance, request.path_params["order_id"])
    if order.h_contract != h_contract:
        raise ApiError(Code.MERCHANT_GENERIC_CONTRACT_HASH_DOES_NOT_MATCH_ORDER, "h_contract is not of this order")
    refunds = backend.ledger.refunds_of(order)
    if not refunds:
        return Response(status_code=204)
    if any(not refund.collected for refund in refunds):
        _refuse_late_refund(backend, order)
    if not _is_wired(backend, order):
        backend.ledger.collect_refunds(order)
        standing.announce(backend, order)
    total = standing.total(backend.currency, (refund.amount for refund in refunds))
    members = {
        "refund_amount": str(total),
        "refunds": [_coin_refund(order, refund) for refund in backend.ledger.refunds_of(order)],
        "merchant_pub": instance.public_key,
    }
    return JSONResponse(members)


def _coin_refund(order: Order, refund: Refund) -> dict[str, Any]:
    return {
        **(_success(order) if refund.collected else _FAILURE),
        "rtransaction_id": refund.serial,
        "coin_pub": refund.coin_pub,
        "refund_amount": str(refund.amount),
        "execution_time": encode_timestamp(refund.granted_at),
    }


def _success(order: Order) -> dict[str, Any]:
    h_contract = crockford.decode(order.h_contract or "", 64)
    signature = contract.sign_hash(EXCHANGE_SEED, _EXCHANGE_CONFIRM_REFUND, h_contract)
    return {
        "type": "success",
        "exchange_status": 200,
        "exchange_sig": crockford.encode(signature),
        "exchange_pub": EXCHANGE_PUB,
    }
