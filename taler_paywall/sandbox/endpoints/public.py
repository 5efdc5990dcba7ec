"""The endpoints that anybody may ask: what this backend is, and how an order stands (merchant API, 2 and 5.5)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from taler_paywall.amount import Amount
from taler_paywall.sandbox import links, pages, standing, terms
from taler_paywall.sandbox.backend import EXCHANGE_PUB, EXCHANGE_URL, backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.endpoints import etag
from taler_paywall.sandbox.fields import binary, milliseconds, optional, text, yes
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.state.store import Order
from taler_paywall.timestamp import encode_duration


async def get_config(request: Request) -> JSONResponse:
    """Tell what this backend is (merchant API, GET config)."""
    instance_of(request)
    backend = backend_of(request)
    currency = backend.currency
    specification = {
        "name": f"{currency} (play money)",
        "currency": currency,
        "num_fractional_input_digits": 2,
        "num_fractional_normal_digits": 2,
        "num_fractional_trailing_zero_digits": 2,
        "alt_unit_names": {"0": currency},
    }
    config = {
        "version": backend.generation.version,
        "name": "taler-merchant",
        "implementation": "urn:taler-paywall:sandbox",
        "currency": currency,
        "currencies": {currency: specification},
        "exchanges": [{"base_url": EXCHANGE_URL, "currency": currency, "master_pub": EXCHANGE_PUB}],
        "have_self_provisioning": False,
        "have_donau": False,
        "mandatory_tan_channels": [],
        "default_pay_delay": encode_duration(terms.PAY_DELAY * 1_000_000),
        "default_refund_delay": encode_duration(terms.REFUND_DELAY * 1_000_000),
        "default_wire_transfer_delay": encode_duration(terms.WIRE_TRANSFER_DELAY * 1_000_000),
        "default_persona": "developer",
        "default_wire_transfer_rounding_interval": "NONE",
        "report_generators": {},
    }
    return JSONResponse(config)


@dataclass(frozen=True)
class Question:
    """What GET orders/ID is asked, and with which credentials.

    Args:
        refund_above: wait until more than this is refunded.
        await_refund: wait until no refund is pending.
    """

    h_contract: str | None
    token: str | None
    session_id: str | None
    with_refunded: bool
    timeout: float
    await_refund: bool
    refund_above: Amount | None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Question:
        """Read the query string.

        Raises:
            ApiError: it is malformed (26).
        """
        return cls(
            h_contract=optional(query, "h_contract", binary(64)),
            token=optional(query, "token", binary(16)),
            session_id=optional(query, "session_id", text) or None,
            with_refunded=optional(query, "allow_refunded_for_repurchase", yes) or False,
            timeout=optional(query, "timeout_ms", milliseconds) or 0,
            await_refund=optional(query, "await_refund_obtained", yes) or False,
            refund_above=optional(query, "refund", Amount.parse),
        )

    def is_entitled(self, order: Order) -> bool:
        """Tell whether the asker may know about this order (merchant API, GET orders/ID, rows 3 to 6).

        Raises:
            ApiError: a credential is wrong (2105, 2106).
        """
        by_contract = self.h_contract is not None and order.h_contract is not None
        if by_contract and self.h_contract != order.h_contract:
            raise ApiError(Code.MERCHANT_GET_ORDERS_ID_INVALID_CONTRACT_HASH, "h_contract is not of this order")
        if self.token is not None and not hmac.compare_digest(self.token, order.claim_token or ""):
            raise ApiError(Code.MERCHANT_GET_ORDERS_ID_INVALID_TOKEN, "token is not the claim token of this order")
        return by_contract or self.token is not None or order.claim_token is None

    def is_answered(self, found: Standing) -> bool:
        """Tell whether the asker need not wait any longer."""
        if not found.is_paid:
            return found.already_paid is not None
        if self.await_refund and found.refund_pending:
            return False
        return self.refund_above is None or found.refund_amount > self.refund_above


async def get_order(request: Request) -> Response:
    """Tell the buyer how an order stands: as JSON, or as a page to pay at (merchant API, GET orders/ID)."""
    if not pages.wants_html(request):
        return await _answer(request, html=False)
    try:
        return await _answer(request, html=True)
    except ApiError as error:
        return pages.error_page(request, error)


async def _answer(request: Request, *, html: bool) -> Response:
    backend, instance = backend_of(request), instance_of(request)
    order = standing.find(backend, instance, request.path_params["order_id"])
    question = Question.read(request.query_params)
    if question.refund_above and question.refund_above.currency != backend.currency:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, f"refund: the currency here is {backend.currency}")
    if not question.is_entitled(order):
        return _elsewhere(order, html=html)
    found = await standing.wait(
        *(backend, order, question.session_id),
        with_refunded=question.with_refunded,
        done=etag.change_of(_describe, request) or question.is_answered,
        seconds=0 if html else question.timeout,
    )
    if html:
        return _page(request, found)
    return etag.answer(request, _describe(found), 200 if found.is_paid else 402)


def _elsewhere(order: Order, *, html: bool) -> Response:
    """Send somebody without credentials to where anyone can buy the same (rows 5 and 6)."""
    url = order.proposal.get("public_reorder_url")
    if url is None:
        detail = "h_contract or token is needed to see this order"
        raise ApiError(Code.MERCHANT_GET_ORDERS_ID_INVALID_TOKEN, detail)
    return RedirectResponse(url, 302) if html else JSONResponse({"public_reorder_url": url}, 202)


def _page(request: Request, found: Standing) -> Response:
    if found.is_paid:
        return pages.refund_page(request, found) if found.refunds else pages.paid_page(request, found)
    if found.already_paid and found.order.fulfillment_url:
        return RedirectResponse(found.order.fulfillment_url, 302)
    return pages.order_page(request, found)


def _describe(found: Standing) -> dict[str, Any]:
    return _paid(found) if found.is_paid else _unpaid(found)


def _paid(found: Standing) -> dict[str, Any]:
    answer = {
        "refunded": bool(found.refunds),
        "refund_pending": found.refund_pending,
        "refund_amount": str(found.refund_amount),
        "refund_taken": str(found.refund_taken),
    }
    return _with_fulfillment_url(answer, found)


def _unpaid(found: Standing) -> dict[str, Any]:
    answer: dict[str, Any] = {"taler_pay_uri": links.pay_uri(found.order, found.session_id)}
    if found.already_paid:
        answer["already_paid_order_id"] = found.already_paid.order_id
    return _with_fulfillment_url(answer, found)


def _with_fulfillment_url(answer: dict[str, Any], found: Standing) -> dict[str, Any]:
    url = found.order.fulfillment_url
    return answer if url is None else {**answer, "fulfillment_url": url}
