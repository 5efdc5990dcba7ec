"""What a wallet does with an order: claim, pay, prove (merchant API, sections 5.6 to 5.8).

There is no exchange, so the signatures on coins are not verified: a coin counts if it has the right form and was
not spent before.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall import contract, crockford
from taler_paywall.amount import Amount
from taler_paywall.sandbox import standing
from taler_paywall.sandbox.backend import Backend, Instance, backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.endpoints.coins import read_coins
from taler_paywall.sandbox.fields import binary, integer, json_body, members_of, needed, objects_of, optional, text
from taler_paywall.sandbox.state.store import Order
from taler_paywall.timestamp import decode_timestamp

#: Code of the exchange for a coin without enough money left (merchant API, exchange_reply).
_EXCHANGE_INSUFFICIENT_FUNDS: Final = 1012


async def post_claim(request: Request) -> JSONResponse:
    """Give an order to the first wallet that asks for it (merchant API, POST orders/ID/claim)."""
    backend, instance = backend_of(request), instance_of(request)
    body = await json_body(request)
    nonce = needed(body, "nonce", binary(32))
    token = optional(body, "token", binary(16))
    order = backend.store.find_order(instance.name, request.path_params["order_id"])
    if order is None or not hmac.compare_digest(token or "", order.claim_token or token or ""):
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_CLAIM_NOT_FOUND, "there is no such order, or the token is wrong")
    if order.nonce not in (None, nonce):
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_CLAIM_ALREADY_CLAIMED, "another wallet has claimed this order")
    terms, h_contract = give_to(backend, order, nonce)
    signature = contract.sign_hash(instance.seed, contract.MERCHANT_CONTRACT, h_contract)
    return JSONResponse({"contract_terms": terms, "sig": crockford.encode(signature)})


def give_to(backend: Backend, order: Order, nonce: str) -> tuple[dict[str, Any], bytes]:
    """Give an order that nobody else has to the wallet with a nonce; return its contract terms and their hash."""
    terms = {**order.proposal, "nonce": nonce}
    h_contract = contract.contract_hash(terms, any_names=True)
    backend.store.claim_order(order, nonce, crockford.encode(h_contract))
    standing.announce(backend, order)
    return terms, h_contract


async def post_pay(request: Request) -> JSONResponse:
    """Take coins for a claimed order and bind it to the session (merchant API, POST orders/ID/pay)."""
    backend, instance = backend_of(request), instance_of(request)
    body = await json_body(request)
    coins = read_coins(needed(body, "coins", objects_of), backend.currency)
    order = _claimed_order(backend, instance, request)
    # A wallet that was told of no session pays for the one that the order is already in, or was made for.
    session_id = optional(body, "session_id", text) or order.session_id or order.intended_session or ""
    with backend.database.transaction():
        if order.paid_at is None:
            choice_index = _choice(body, order)
            _check_payment(backend, order, order.prices[choice_index or 0], coins)
            backend.ledger.spend(order, coins)
            backend.store.pay_order(order, backend.now(), choice_index)
            event = {"order_id": order.order_id, "contract_terms": order.contract_terms}
            backend.outbox.emit(instance.name, "pay", event)
        else:
            _check_repeated_payment(backend, order, coins)
        backend.store.bind_order(order, session_id)
    standing.announce(backend, order, session_id)
    signature = contract.sign_hash(instance.seed, contract.MERCHANT_PAYMENT_OK, _hash_of(order))
    return JSONResponse({"sig": crockford.encode(signature)})


def _choice(body: Mapping[str, Any], order: Order) -> int | None:
    """Read which of its choices is paid for; an order of version 0 has none."""
    if not order.has_choices:
        return None
    # Where wallets put it is not known for sure.
    within = optional(body, "wallet_data", members_of) or {}
    index = optional(body, "choice_index", integer)
    index = optional(within, "choice_index", integer) if index is None else index
    if index is None:
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_CHOICE_INDEX_MISSING, "choice_index is missing")
    if index >= len(order.prices):
        detail = f"choice_index: there are {len(order.prices)} choices"
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_CHOICE_INDEX_OUT_OF_BOUNDS, detail)
    return index


def _check_payment(backend: Backend, order: Order, price: Amount, coins: Mapping[str, Amount]) -> None:
    if decode_timestamp(order.proposal["pay_deadline"]) <= backend.now():
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_OFFER_EXPIRED, "the pay deadline has passed")
    given = standing.total(backend.currency, coins.values())
    if given < price:
        detail = f"the coins are worth {given}, the price is {price}"
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_PAYMENT_INSUFFICIENT, detail)
    for coin_pub in coins:
        if backend.ledger.is_spent(coin_pub):
            reply = {"code": _EXCHANGE_INSUFFICIENT_FUNDS, "coin_pub": coin_pub}
            detail = "a coin has been spent before"
            raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_INSUFFICIENT_FUNDS, detail, exchange_reply=reply)


def _check_repeated_payment(backend: Backend, order: Order, coins: Mapping[str, Amount]) -> None:
    spent = backend.ledger.coins_of(order)
    if spent != coins:
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_ALREADY_PAID, "the order was paid with other coins")
    refunded = standing.total(backend.currency, (refund.amount for refund in backend.ledger.refunds_of(order)))
    left, _ = standing.total(backend.currency, spent.values()).subtract(refunded)
    if left < order.amount:
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAY_REFUNDED, "the coins were enough, but were refunded since")


async def post_paid(request: Request) -> JSONResponse:
    """Move a purchase to another session, on the merchant's own signature (merchant API, POST orders/ID/paid)."""
    backend, instance = backend_of(request), instance_of(request)
    body = await json_body(request)
    signature = crockford.decode(needed(body, "sig", binary(64)))
    h_contract = needed(body, "h_contract", binary(64))
    session_id = needed(body, "session_id", text)
    public_key = contract.public_key(instance.seed)
    # Before the database is touched, so that nobody can probe for orders.
    if not contract.verify_hash(public_key, contract.MERCHANT_PAYMENT_OK, crockford.decode(h_contract), signature):
        detail = "sig is not this merchant's signature over h_contract"
        raise ApiError(Code.MERCHANT_POST_ORDERS_ID_PAID_COIN_SIGNATURE_INVALID, detail)
    order = _claimed_order(backend, instance, request)
    if order.h_contract != h_contract or order.paid_at is None:
        raise ApiError(Code.MERCHANT_GENERIC_ORDER_UNKNOWN, "this order was not paid under that contract")
    backend.store.bind_order(order, session_id)
    standing.announce(backend, order, session_id)
    return JSONResponse({"refunded": bool(backend.ledger.refunds_of(order))})


def _claimed_order(backend: Backend, instance: Instance, request: Request) -> Order:
    order = standing.find(backend, instance, request.path_params["order_id"])
    if order.h_contract is None:
        raise ApiError(Code.MERCHANT_GENERIC_ORDER_UNKNOWN, "no wallet has claimed this order")
    return order


def _hash_of(order: Order) -> bytes:
    return crockford.decode(order.h_contract or "", 64)
