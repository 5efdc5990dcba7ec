"""The merchant says whom to tell when something happens (merchant API, webhooks).

Every event type of the merchant API can be registered, but only order_created, pay and refund happen here: nothing is
ever wired, and there is no inventory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall.errors import CodecError
from taler_paywall.sandbox.access import Permission, owned_instance_of
from taler_paywall.sandbox.backend import backend_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import chosen_id, json_body, needed, optional, text, web_url
from taler_paywall.sandbox.state.outbox import Webhook, header_lines

_EVENT_TYPES: Final = frozenset(
    {
        *("order_created", "pay", "refund", "order_settled"),
        *("category_added", "category_updated", "category_deleted"),
        *("inventory_added", "inventory_updated", "inventory_deleted"),
    }
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What the HTTP client says itself, because a wrong value would break the connection.
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})


async def get_webhooks(request: Request) -> JSONResponse:
    """List the webhooks (merchant API, GET private/webhooks)."""
    instance = owned_instance_of(request, Permission.WEBHOOKS_READ)
    known = backend_of(request).outbox.webhooks(instance.name)
    entries = [{"webhook_id": webhook_id, "event_type": webhook.event_type} for webhook_id, webhook in known]
    return JSONResponse({"webhooks": entries})


async def post_webhook(request: Request) -> Response:
    """Add a webhook; the same again changes nothing (merchant API, POST private/webhooks)."""
    outbox, instance = backend_of(request).outbox, owned_instance_of(request, Permission.WEBHOOKS_WRITE)
    body = await json_body(request)
    webhook_id, webhook = needed(body, "webhook_id", chosen_id), _webhook(body)
    known = outbox.find(instance.name, webhook_id)
    if known is None:
        outbox.add(instance.name, webhook_id, webhook)
    elif known != webhook:
        detail = "another webhook has this webhook_id"
        raise ApiError(Code.MERCHANT_PRIVATE_POST_WEBHOOKS_CONFLICT_WEBHOOK_EXISTS, detail)
    return Response(status_code=204)


async def get_webhook(request: Request) -> JSONResponse:
    """Show a webhook (merchant API, GET private/webhooks/ID)."""
    instance = owned_instance_of(request, Permission.WEBHOOKS_READ)
    webhook_id = request.path_params["webhook_id"]
    webhook = backend_of(request).outbox.find(instance.name, webhook_id)
    if webhook is None:
        raise _unknown()
    members = {"webhook_id": webhook_id, **asdict(webhook)}
    return JSONResponse({name: value for name, value in members.items() if value is not None})


async def patch_webhook(request: Request) -> Response:
    """Give a webhook other contents, all of them (merchant API, PATCH private/webhooks/ID)."""
    instance = owned_instance_of(request, Permission.WEBHOOKS_WRITE)
    webhook = _webhook(await json_body(request))
    if not backend_of(request).outbox.change(instance.name, request.path_params["webhook_id"], webhook):
        raise _unknown()
    return Response(status_code=204)


async def delete_webhook(request: Request) -> Response:
    """Delete a webhook and what was still to be sent to it (merchant API, DELETE private/webhooks/ID)."""
    instance = owned_instance_of(request, Permission.WEBHOOKS_WRITE)
    if not backend_of(request).outbox.remove(instance.name, request.path_params["webhook_id"]):
        raise _unknown()
    return Response(status_code=204)


def _unknown() -> ApiError:
    return ApiError(Code.MERCHANT_GENERIC_WEBHOOK_UNKNOWN, "there is no such webhook")


def _webhook(body: Mapping[str, Any]) -> Webhook:
    return Webhook(
        event_type=needed(body, "event_type", _event_type),
        url=needed(body, "url", _receiver),
        http_method=needed(body, "http_method", _method),
        header_template=optional(body, "header_template", _headers),
        body_template=optional(body, "body_template", text),
    )


def _event_type(value: object) -> str:
    if text(value) not in _EVENT_TYPES:
        raise CodecError(f"must be one of {', '.join(sorted(_EVENT_TYPES))}")
    return text(value)


def _receiver(value: object) -> str:
    url = web_url(value)
    try:
        # What cannot be reached at all is refused now: later there is nobody to tell.
        reachable = httpx.URL(url).host and urlsplit(url).port != 0
    except (httpx.InvalidURL, ValueError) as error:
        raise CodecError(f"cannot be reached: {error}") from error
    if not reachable:
        raise CodecError("cannot be reached")
    return url


def _method(value: object) -> str:
    method = text(value).upper()
    if method not in _METHODS:
        raise CodecError(f"must be one of {', '.join(sorted(_METHODS))}")
    return method


def _headers(value: object) -> str:
    template = text(value)
    try:
        names = [name for name, _ in header_lines(template)]
    except ValueError as error:
        raise CodecError(str(error)) from error
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise CodecError(f"{name!r} cannot be the name of a header")
        if name.lower() in _FRAMING:
            raise CodecError(f"{name} is not for templates to say")
    return template
