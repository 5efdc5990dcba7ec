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
from taler_paywall.sandbox.ledger import Refund
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.store import Order
from taler_paywall.timestamp import decode_timestamp, encode_timestamp

#: Purpose of the play exchange's signature on a refund.
_EXCHANGE_CONFIRM_REFUND: Final = 1035


async def grant(request: Request) -> JSONResponse:
    """Raise the refund of an order to a new total (merchant API, POST private/orders/ID/refund)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_REFUND)
    body = await json_body(request)
    wanted = needed(body, "refund", Amount.parse)
    reason = needed(body, "reason", text)
    order = standing.find(backend, instance, request.path_params["order_id"])
    found = standing.look(backend, order, None, with_refunded=True)
    _check_refund(backend, found, wanted)
    increase, _ = wanted.subtract(found.refund_amount)
    with backend.database.transaction():
        for coin_pub, amount in _spread(backend, found, increase).items():
            backend.ledger.grant_refund(order, coin_pub, amount, reason, backend.now())
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
    backend.ledger.collect_refunds(order)
    standing.announce(backend, order)
    total = standing.total(backend.currency, (refund.amount for refund in refunds))
    answer = {
        "refund_amount": str(total),
        "refunds": [_coin_refund(order, refund) for refund in refunds],
        "merchant_pub": instance.public_key,
    }
    return JSONResponse(answer)


def _coin_refund(order: Order, refund: Refund) -> dict[str, Any]:
    signature = contract.sign_hash(
        EXCHANGE_SEED, _EXCHANGE_CONFIRM_REFUND, crockford.decode(order.h_contract or "", 64)
    )
    return {
        "type": "success",
        "exchange_status": 200,
        "exchange_sig": crockford.encode(signature),
        "exchange_pub": EXCHANGE_PUB,
        "rtransaction_id": refund.serial,
        "coin_pub": refund.coin_pub,
        "refund_amount": str(refund.amount),
        "execution_time": encode_timestamp(refund.granted_at),
    }
