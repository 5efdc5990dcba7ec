"""The merchant keeps templates of orders, from which buyers make orders themselves (merchant API, templates)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox.access import Permission, owned_instance_of
from taler_paywall.sandbox.backend import Backend, Instance, backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import boolean, chosen_id, integer, json_body, members_of, needed, optional, text
from taler_paywall.timestamp import decode_duration

#: What a buyer can make of a template; one that does not say is of the first type.
FIXED_ORDER: Final = "fixed-order"
INVENTORY_CART: Final = "inventory-cart"
PAIVANA: Final = "paivana"

#: What buyers do not see of a template.
_PRIVATE: Final = frozenset({"template_description"})


async def get_templates(request: Request) -> JSONResponse:
    """List the templates (merchant API, GET private/templates)."""
    instance = owned_instance_of(request, Permission.TEMPLATES_READ)
    known = backend_of(request).templates.of(instance.name)
    entries = [
        {"template_id": template_id, "template_description": details["template_description"]}
        for template_id, details in known.items()
    ]
    return JSONResponse({"templates": entries})


async def post_template(request: Request) -> Response:
    """Add a template; the same again changes nothing (merchant API, POST private/templates)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.TEMPLATES_WRITE)
    body = await json_body(request)
    template_id, details = needed(body, "template_id", chosen_id), _details(body)
    known = backend.templates.find(instance.name, template_id)
    if known is None:
        backend.templates.add(instance.name, template_id, details)
    elif known != details:
        detail = "another template has this template_id"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_TEMPLATES_CONFLICT_TEMPLATE_EXISTS, detail)
    return Response(status_code=204)


async def get_template(request: Request) -> JSONResponse:
    """Show a template to its merchant (merchant API, GET private/templates/ID)."""
    instance = owned_instance_of(request, Permission.TEMPLATES_READ)
    details = find(backend_of(request), instance, request.path_params["template_id"])
    return JSONResponse({"template_id": request.path_params["template_id"], **details})


async def patch_template(request: Request) -> Response:
    """Give a template other contents, all of them (merchant API, PATCH private/templates/ID)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.TEMPLATES_WRITE)
    details = _details(await json_body(request))
    if not backend.templates.change(instance.name, request.path_params["template_id"], details):
        raise _unknown()
    return Response(status_code=204)


async def delete_template(request: Request) -> Response:
    """Delete a template; orders made from it stay (merchant API, DELETE private/templates/ID)."""
    instance = owned_instance_of(request, Permission.TEMPLATES_WRITE)
    if not backend_of(request).templates.remove(instance.name, request.path_params["template_id"]):
        raise _unknown()
    return Response(status_code=204)


async def show_template(request: Request) -> JSONResponse:
    """Show a buyer's wallet what can be made of a template (merchant API, GET templates/ID)."""
    details = find(backend_of(request), instance_of(request), request.path_params["template_id"])
    return JSONResponse({name: value for name, value in details.items() if name not in _PRIVATE})


def find(backend: Backend, instance: Instance, template_id: str) -> dict[str, Any]:
    """Return a template.

    Raises:
        ApiError: there is none of that id (2018).
    """
    details = backend.templates.find(instance.name, template_id)
    if details is None:
        raise _unknown()
    return details


def _unknown() -> ApiError:
    return ApiError(Code.MERCHANT_GENERIC_TEMPLATE_UNKNOWN, "there is no such template")


def _details(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read a template without its id (merchant API, TemplatePatchDetails)."""
    contract = needed(body, "template_contract", _contract)
    if optional(body, "otp_id", text):
        raise ApiError(Code.MERCHANT_GENERIC_OTP_DEVICE_UNKNOWN, "the sandbox has no OTP devices")
    details = {
        "template_description": needed(body, "template_description", text),
        "template_contract": contract,
        "editable_defaults": optional(body, "editable_defaults", members_of),
        "required_currency": optional(contract, "currency", _currency)
        or optional(body, "required_currency", _currency),
    }
    return {name: value for name, value in details.items() if value is not None}


def _contract(value: object) -> dict[str, Any]:
    """Read what orders will be made of; members that are not known here are kept."""
    contract = {name: member for name, member in members_of(value).items() if member is not None}
    for name, read in _READERS.items():
        optional(contract, name, read)
    if "amount" in contract and "currency" in contract:
        raise CodecError("currency must not be given together with amount, which has one")
    return contract


def _template_type(value: object) -> str:
    if value not in (FIXED_ORDER, INVENTORY_CART, PAIVANA):
        raise CodecError(f"must be {FIXED_ORDER}, {INVENTORY_CART} or {PAIVANA}")
    return text(value)


def _currency(value: object) -> str:
    return Amount.zero(text(value)).currency


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "template_type": _template_type,
    "summary": text,
    "currency": _currency,
    "amount": Amount.parse,
    "minimum_age": integer,
    "pay_duration": decode_duration,
    "request_tip": boolean,
}
