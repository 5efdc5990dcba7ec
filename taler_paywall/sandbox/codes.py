"""Error answers: GNU Taler's numeric codes, each with its HTTP status (merchant API, error codes)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Self


class Code(IntEnum):
    """A GNU Taler error code that the sandbox sends, and the HTTP status it is sent with."""

    status: int

    def __new__(cls, number: int, status: int) -> Self:
        """Make a member from its number and its HTTP status."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.status = status
        return member

    GENERIC_METHOD_INVALID = 20, 405
    GENERIC_ENDPOINT_UNKNOWN = 21, 404
    GENERIC_JSON_INVALID = 22, 400
    GENERIC_HTTP_HEADERS_MALFORMED = 23, 400
    GENERIC_PARAMETER_MISSING = 25, 400
    GENERIC_PARAMETER_MALFORMED = 26, 400
    GENERIC_CURRENCY_MISMATCH = 30, 400
    GENERIC_UPLOAD_EXCEEDS_LIMIT = 32, 413
    GENERIC_UNAUTHORIZED = 40, 401
    GENERIC_FORBIDDEN = 44, 403
    GENERIC_INTERNAL_INVARIANT_FAILURE = 60, 500
    MERCHANT_GENERIC_INSTANCE_UNKNOWN = 2000, 404
    MERCHANT_GENERIC_ORDER_UNKNOWN = 2005, 404
    MERCHANT_GENERIC_PRODUCT_UNKNOWN = 2006, 404
    MERCHANT_GENERIC_CONTRACT_HASH_DOES_NOT_MATCH_ORDER = 2009, 403
    MERCHANT_GENERIC_OTP_DEVICE_UNKNOWN = 2021, 404
    MERCHANT_GENERIC_CURRENCY_MISMATCH = 2024, 409
    MERCHANT_GET_ORDERS_ID_INVALID_TOKEN = 2105, 403
    MERCHANT_GET_ORDERS_ID_INVALID_CONTRACT_HASH = 2106, 403
    MERCHANT_POST_ORDERS_ID_PAY_INSUFFICIENT_FUNDS = 2150, 409
    MERCHANT_POST_ORDERS_ID_PAY_PAYMENT_INSUFFICIENT = 2156, 406
    MERCHANT_POST_ORDERS_ID_PAY_ALREADY_PAID = 2160, 409
    MERCHANT_POST_ORDERS_ID_PAY_OFFER_EXPIRED = 2161, 410
    MERCHANT_POST_ORDERS_ID_PAID_COIN_SIGNATURE_INVALID = 2201, 403
    MERCHANT_POST_ORDERS_ID_CLAIM_NOT_FOUND = 2300, 404
    MERCHANT_POST_ORDERS_ID_CLAIM_ALREADY_CLAIMED = 2301, 409
    MERCHANT_PRIVATE_POST_ORDERS_INSTANCE_CONFIGURATION_LACKS_WIRE = 2500, 404
    MERCHANT_PRIVATE_POST_ORDERS_PROPOSAL_PARSE_ERROR = 2502, 400
    MERCHANT_PRIVATE_POST_ORDERS_ALREADY_EXISTS = 2503, 409
    MERCHANT_PRIVATE_POST_ORDERS_REFUND_AFTER_WIRE_DEADLINE = 2504, 400
    MERCHANT_PRIVATE_POST_ORDERS_DELIVERY_DATE_IN_PAST = 2505, 400
    MERCHANT_PRIVATE_POST_ORDERS_WIRE_DEADLINE_IS_NEVER = 2506, 400
    MERCHANT_PRIVATE_POST_ORDERS_PAY_DEADLINE_IN_PAST = 2507, 400
    MERCHANT_PRIVATE_POST_ORDERS_REFUND_DEADLINE_IN_PAST = 2508, 400
    MERCHANT_PRIVATE_POST_ORDERS_NO_EXCHANGE_FOR_CURRENCY = 2514, 409
    MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_INCONSISTENT_AMOUNT = 2530, 409
    MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_ORDER_UNPAID = 2531, 409
    MERCHANT_PRIVATE_POST_ORDERS_ID_REFUND_NOT_ALLOWED_BY_CONTRACT = 2532, 403


class ApiError(Exception):
    """A request that is answered with an error (merchant API, ErrorDetail).

    Args:
        code: decides the HTTP status too.
        detail: what is wrong with this request, for people.
        more: further members of the body.
    """

    def __init__(self, code: Code, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.more = more

    @property
    def body(self) -> dict[str, Any]:
        """The ErrorDetail object."""
        hint = self.code.name.lower().replace("_", " ")
        return {"code": int(self.code), "hint": hint, "detail": self.detail, **self.more}
