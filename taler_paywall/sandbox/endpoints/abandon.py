"""A wallet gives an order up: unclaim, abort (merchant API, sections 5.6 and 5.10)."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.sandbox import standing
from taler_paywall.sandbox.backend import backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import binary, json_body, needed, objects_of, optional, web_url

#: Purpose of the wallet's signature on an unclaim: not known to the reference, and no wallet of ours sends one.
WALLET_ORDER_UNCLAIM: Final = 1226
#: What the exchange answers for coins that were never deposited with it.
_NOT_DEPOSITED: Final = 404


async def post_unclaim(request: Request) -> Response:
    """Take an order back, on the signature of the key that claimed it, so that another wallet can claim it."""
    backend, instance = backend_of(request), instance_of(request)
    body = await json_body(request)
    signature = needed(body, "unclaim_sig", binary(64))
    h_contract = needed(body, "h_contract", binary(64))
    order = standing.find(backend, instance, request.path_params["order_id"])
    if order.nonce is None or order.h_contract is None:
        raise ApiError(Code.MERCHANT_GENERIC_ORDER_UNKNOWN, "no wallet has claimed this order")
    signed = (crockford.decode(h_contract), crockford.decode(signature))
    genuine = contract.verify_hash(crockford.decode(order.nonce), WALLET_ORDER_UNCLAIM, *signed)
    if h_contract != order.h_contract or not genuine:
        detail = "unclaim_sig is not of the key that claimed this order, or h_contract not of this order"
        raise ApiError(Code.MERCHANT_GENERIC_CONTRACT_HASH_DOES_NOT_MATCH_ORDER, detail)
    if order.paid_at is not None:
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_ALREADY_PAID, "the order is paid")
    backend.store.unclaim_order(order)
    standing.announce(backend, order)
    return Response(status_code=204)


async def post_abort(request: Request) -> JSONResponse:
    """Give the coins of an incomplete payment back: none was ever taken, because payments here are all or nothing."""
    backend, instance = backend_of(request), instance_of(request)
    body = await json_body(request)
    h_contract = needed(body, "h_contract", binary(64))
    coins = needed(body, "coins", objects_of)
    if not coins:
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_ABORT_COINS_ARRAY_EMPTY, "coins is empty")
    for coin in coins:
        needed(coin, "coin_pub", binary(32))
        optional(coin, "contribution", Amount.parse)
        optional(coin, "exchange_url", web_url)
    order = backend.store.find_order(instance.name, request.path_params["order_id"])
    if order is None or order.h_contract is None:
        detail = "there is no such order, or no wallet has claimed it"
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_ABORT_CONTRACT_NOT_FOUND, detail)
    if order.h_contract != h_contract:
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_ABORT_CONTRACT_HASH_MISSMATCH, "h_contract is not of this order")
    if order.paid_at is not None:
        detail = "the payment is complete: only the merchant can give it back"
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_ABORT_REFUND_REFUSED_PAYMENT_COMPLETE, detail)
    refund: dict[str, Any] = {"type": "failure", "exchange_status": _NOT_DEPOSITED}
    return JSONResponse({"refunds": [refund for _ in coins]})
