"""From the order that a shop posts to the contract terms that a wallet is offered (merchant API, Order)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from taler_paywall import crockford
from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox.backend import EXCHANGE_PUB, EXCHANGE_URL, Instance
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import boolean, integer, items_of, members_of, needed, objects_of, optional, text
from taler_paywall.taler_uri import PayUri, canonical_base_url
from taler_paywall.timestamp import FOREVER, NEVER, decode_duration, decode_timestamp, encode_timestamp

#: How long an order can be paid, unless it says so itself: a day.
PAY_DELAY: Final = 24 * 3600
#: How long it can be refunded: not at all.
REFUND_DELAY: Final = 0
#: How long after the last refund the money would be wired: a week.
WIRE_TRANSFER_DELAY: Final = 7 * 24 * 3600

#: The account of a merchant without a bank, and how money would get there.
WIRE_METHOD: Final = "x-taler-bank"
H_WIRE: Final = crockford.encode(hashlib.sha512(b"payto://x-taler-bank/bank.sandbox.invalid/merchant").digest())

_LAST_SECOND: Final = 2**53 - 1
_ORDER_ID_PLACEHOLDER: Final = "${ORDER_ID}"
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,255}")


def _time(value: object) -> dict[str, int | str]:
    return encode_timestamp(decode_timestamp(value))


def _duration(value: object) -> dict[str, Any]:
    decode_duration(value)
    return members_of(value)


# What is taken over from the order as it stands.
_COPIED: Final[Mapping[str, Callable[[object], Any]]] = {
    "summary_i18n": members_of,
    "public_reorder_url": text,
    "fulfillment_message": text,
    "fulfillment_message_i18n": members_of,
    "minimum_age": integer,
    "delivery_location": members_of,
    "delivery_date": _time,
    "auto_refund": _duration,
    "extra": members_of,
    "$forgettable": members_of,
}
#: What contract terms can be without, so that the merchant may forget it.
DISPENSABLE: Final = frozenset({"products", *_COPIED} - {"$forgettable"})


def proposal(body: Mapping[str, Any], instance: Instance, base_url: str, currency: str, now: int) -> dict[str, Any]:
    """Complete an order to contract terms; only the nonce of the wallet that claims them is missing.

    Args:
        body: of POST private/orders (merchant API, PostOrderRequest).
        instance: the seller.
        base_url: of the instance, unless the order gives one.
        currency: in which alone things are sold here.
        now: seconds since 1970.

    Raises:
        ApiError: the order is refused.
    """
    order = needed(body, "order", members_of)
    _refuse_what_is_not_there(body)
    order_id = optional(order, "order_id", _order_id) or _new_order_id(now)
    fulfillment_url = optional(order, "fulfillment_url", text)
    terms: dict[str, Any] = {
        "order_id": order_id,
        "summary": needed(order, "summary", text),
        **_prices(order, currency),
        "products": optional(order, "products", objects_of) or [],
        "auditors": [],
        "exchanges": [{"url": EXCHANGE_URL, "master_pub": EXCHANGE_PUB, "priority": 1024}],
        "wire_method": WIRE_METHOD,
        "h_wire": H_WIRE,
        "merchant": {"name": "Play money merchant", "address": {}, "jurisdiction": {}},
        "merchant_pub": instance.public_key,
        "merchant_base_url": optional(order, "merchant_base_url", _base_url) or base_url,
        **_deadlines(body, order, now),
        **{name: optional(order, name, parse) for name, parse in _COPIED.items()},
        "fulfillment_url": fulfillment_url and fulfillment_url.replace(_ORDER_ID_PLACEHOLDER, order_id),
    }
    if decode_timestamp(terms["delivery_date"] or encode_timestamp(NEVER)) <= now:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_DELIVERY_DATE_IN_PAST, "delivery_date is in the past")
    return {name: value for name, value in terms.items() if value is not None}


def wants_token(body: Mapping[str, Any]) -> bool:
    """Tell whether the order is to have a claim token (merchant API, create_token)."""
    return optional(body, "create_token", boolean) is not False


def _refuse_what_is_not_there(body: Mapping[str, Any]) -> None:
    if optional(body, "inventory_products", items_of):
        raise ApiError(Code.MERCHANT_GENERIC_PRODUCT_UNKNOWN, "the sandbox has no inventory")
    if optional(body, "otp_id", text):
        raise ApiError(Code.MERCHANT_GENERIC_OTP_DEVICE_UNKNOWN, "the sandbox has no OTP devices")
    target = optional(body, "payment_target", text) or WIRE_METHOD
    if target != WIRE_METHOD:
        detail = f"payment_target: the merchant's only account is one of {WIRE_METHOD}"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_INSTANCE_CONFIGURATION_LACKS_WIRE, detail)


def _prices(order: Mapping[str, Any], currency: str) -> dict[str, Any]:
    version = optional(order, "version", integer) or 0
    if version == 0:
        return _price(order, currency)
    if version != 1:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "version: only 0 and 1 are known", parameter="version")
    choices = [_choice(choice, currency) for choice in needed(order, "choices", objects_of)]
    if not choices:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "choices: nobody could pay", parameter="choices")
    return {"version": 1, "choices": choices, "token_families": {}}


def _price(members: Mapping[str, Any], currency: str) -> dict[str, Any]:
    amount = _amount(members, "amount", currency)
    if amount is None:
        raise ApiError(Code.GENERIC_PARAMETER_MISSING, "amount is missing", parameter="amount")
    return {"amount": str(amount), "max_fee": str(_amount(members, "max_fee", currency) or Amount.zero(currency))}


def _choice(choice: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """Complete one of the ways to pay an order (merchant API, OrderChoice); the sandbox has no tokens."""
    for name in ("inputs", "outputs"):
        for item in optional(choice, name, objects_of) or []:
            if needed(item, "type", text) != "token":
                detail = f"{name}: the sandbox knows no {item['type']}"
                raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, detail, parameter=name)
            family = needed(item, "token_family_slug", text)
            detail = f"{name}: there is no token family {family}"
            raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_TOKEN_FAMILY_SLUG_UNKNOWN, detail)
    return {**_price(choice, currency), "inputs": [], "outputs": []}


def _deadlines(body: Mapping[str, Any], order: Mapping[str, Any], now: int) -> dict[str, Any]:
    timestamp = _or(optional(order, "timestamp", decode_timestamp), now)
    pay_deadline = _or(optional(order, "pay_deadline", decode_timestamp), now + PAY_DELAY)
    if pay_deadline <= now:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_PAY_DEADLINE_IN_PAST, "pay_deadline is in the past")
    delay = _or(optional(body, "refund_delay", decode_duration), REFUND_DELAY)
    # Without refunds the deadline is the moment of the order itself.
    refund_deadline = _later(now, delay // 1_000_000) if 0 < delay < FOREVER else NEVER if delay else timestamp
    given = optional(order, "refund_deadline", decode_timestamp)
    if given is not None:
        if given < now:
            raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_REFUND_DEADLINE_IN_PAST, "refund_deadline is in the past")
        refund_deadline = given
    last = max(refund_deadline, timestamp)
    wire_deadline = _or(optional(order, "wire_transfer_deadline", decode_timestamp), _later(last, WIRE_TRANSFER_DELAY))
    if wire_deadline == NEVER:
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_WIRE_DEADLINE_IS_NEVER, "the money would never be wired")
    if wire_deadline < refund_deadline:
        detail = "wire_transfer_deadline is before refund_deadline"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_REFUND_AFTER_WIRE_DEADLINE, detail)
    return {
        "timestamp": encode_timestamp(timestamp),
        "pay_deadline": encode_timestamp(pay_deadline),
        "refund_deadline": encode_timestamp(refund_deadline),
        "wire_transfer_deadline": encode_timestamp(wire_deadline),
    }


def _amount(order: Mapping[str, Any], name: str, currency: str) -> Amount | None:
    amount = optional(order, name, Amount.parse)
    if amount is not None and amount.currency != currency:
        detail = f"{name}: the currency here is {currency}, not {amount.currency}"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_ORDERS_NO_EXCHANGE_FOR_CURRENCY, detail)
    return amount


def _order_id(value: object) -> str:
    order_id = text(value)
    if not _ORDER_ID.fullmatch(order_id) or order_id in (".", ".."):
        raise CodecError("may have up to 255 letters, digits and . _ ~ - only, because it becomes part of URIs")
    return order_id


def _new_order_id(now: int) -> str:
    # The form that the real backend gives its order ids, with 64 random bits.
    return time.strftime("%Y.%j-", time.gmtime(now)) + crockford.encode(secrets.token_bytes(8))


def _base_url(value: object) -> str:
    if not text(value).endswith("/"):
        raise CodecError("must end with a slash")
    # Brought to the form that wallets will read from the pay URI.
    return PayUri(canonical_base_url(text(value)), "none", "").merchant_base_url


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _later(start: int, delay: int) -> int:
    # Beyond what JSON can say there is only "never".
    return start + delay if start + delay <= _LAST_SECOND else NEVER
