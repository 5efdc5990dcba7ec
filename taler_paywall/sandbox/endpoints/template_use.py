"""A buyer makes an order from a template, without the merchant (merchant API, POST templates/ID)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox import links
from taler_paywall.sandbox.backend import backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.endpoints import order_templates, orders
from taler_paywall.sandbox.endpoints.order_templates import FIXED_ORDER, INVENTORY_CART, PAIVANA
from taler_paywall.sandbox.fields import form_body, json_body, needed, objects_of, optional, text, web_url
from taler_paywall.timestamp import FOREVER, NEVER, decode_duration, encode_timestamp

_FORM: Final = "application/x-www-form-urlencoded"


async def use_template(request: Request) -> JSONResponse:
    """Make an order of what the template and the buyer say; the answer is that of POST private/orders."""
    backend, instance = backend_of(request), instance_of(request)
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM
    body = await (form_body if is_form else json_body)(request)
    details = order_templates.find(backend, instance, request.path_params["template_id"])
    template = details["template_contract"]
    template_type = template.get("template_type", FIXED_ORDER)
    if (optional(body, "template_type", text) or FIXED_ORDER) != template_type:
        raise ApiError(Code.MERCHANT_POST_USING_TEMPLATES_WRONG_TYPE, f"this is a template for {template_type}")
    if template_type == INVENTORY_CART:
        raise _cart_refused(body)
    order: dict[str, Any] = {
        "summary": _summary(template, body),
        "minimum_age": template.get("minimum_age"),
        "pay_deadline": _pay_deadline(template, backend.now()),
    }
    if template_type == PAIVANA:
        order["fulfillment_url"] = needed(body, "website", web_url)
    if template_type == PAIVANA and "choices" in template:
        order |= {"version": 1, "choices": template["choices"]}
    else:
        order["amount"] = str(_amount(template, details.get("required_currency"), body))
    session_id = needed(body, "paivana_id", _session) if template_type == PAIVANA else None
    posted = {"order": order, "session_id": session_id}
    return orders.answer(orders.make(backend, instance, posted, links.base_url(request, instance)))


def _cart_refused(body: Mapping[str, Any]) -> ApiError:
    selected = [needed(item, "product_id", text) for item in needed(body, "inventory_selection", objects_of)]
    if not selected:
        return ApiError(Code.GENERIC_PARAMETER_MALFORMED, "inventory_selection: nothing is selected")
    return ApiError(Code.MERCHANT_GENERIC_PRODUCT_UNKNOWN, f"{selected[0]}: the sandbox has no inventory")


def _summary(template: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    fixed: str | None = template.get("summary")
    given = optional(body, "summary", text)
    if fixed is not None and given is not None:
        detail = "summary: the template has one already"
        raise ApiError(Code.MERCHANT_POST_USING_TEMPLATES_SUMMARY_CONFLICT_TEMPLATES_CONTRACT_SUBJECT, detail)
    summary = given if fixed is None else fixed
    if summary is None:
        raise ApiError(Code.MERCHANT_POST_USING_TEMPLATES_NO_SUMMARY, "neither template nor buyer gives a summary")
    return summary


def _amount(template: Mapping[str, Any], currency: str | None, body: Mapping[str, Any]) -> Amount:
    """Find the price, with the tip: the template's and the tip, or what the buyer says, which has it already.

    Args:
        currency: that the template demands, if any.
    """
    fixed = optional(template, "amount", Amount.parse)
    given, tip = optional(body, "amount", Amount.parse), optional(body, "tip", Amount.parse)
    named = {amount.currency for amount in (fixed, given, tip) if amount} | ({currency} if currency else set())
    if len(named) > 1:
        detail = f"amount and tip must have the currency of the template, but there are {', '.join(sorted(named))}"
        raise ApiError(Code.MERCHANT_GENERIC_CURRENCY_MISMATCH, detail, status=400)
    if fixed is None:
        if given is None:
            raise ApiError(Code.MERCHANT_POST_USING_TEMPLATES_NO_AMOUNT, "neither template nor buyer gives an amount")
        if tip is not None and tip > given:
            raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "tip: is in the amount already", parameter="tip")
        return given
    total = fixed if tip is None else fixed.add(tip)[0]
    if given is not None and (tip is None or given != total):
        detail = "amount: the template has one already"
        raise ApiError(Code.MERCHANT_POST_USING_TEMPLATES_AMOUNT_CONFLICT_TEMPLATES_CONTRACT_AMOUNT, detail)
    return total


def _session(value: object) -> str:
    if not text(value):
        raise CodecError("must not be empty")
    return text(value)


def _pay_deadline(template: Mapping[str, Any], now: int) -> dict[str, Any] | None:
    duration = optional(template, "pay_duration", decode_duration)
    if duration is None:
        return None
    return encode_timestamp(NEVER if duration == FOREVER else now + duration // 1_000_000)
