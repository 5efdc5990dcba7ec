"""The merchant looks through the orders, and deletes some (merchant API, sections 5.1 and 5.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall.errors import CodecError
from taler_paywall.sandbox import standing
from taler_paywall.sandbox.access import Permission, owned_instance_of
from taler_paywall.sandbox.backend import Backend, backend_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import milliseconds, optional, text, yes
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.state.store import Order, Search
from taler_paywall.timestamp import decode_timestamp, encode_timestamp

_LIMIT: Final = 20
_WHOLE: Final = re.compile(r"-?[0-9]{1,16}")


async def get_orders(request: Request) -> JSONResponse:
    """List the orders that have certain traits (merchant API, GET private/orders)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_READ)
    search = _search(request.query_params)
    seconds = optional(request.query_params, "timeout_ms", milliseconds) or 0
    found = await backend.bell.poll(
        lambda: backend.store.search(instance.name, search),
        bool,
        [standing.instance_topic(instance.name)],
        # New orders come after all others only where the oldest come first.
        seconds if search.limit > 0 else 0,
    )
    return JSONResponse({"orders": [_entry(backend, order) for order in found]})


def _search(query: Mapping[str, str]) -> Search:
    """Read what is looked for, also under the names that it had before protocol version 12.

    Raises:
        ApiError: the query is malformed (26).
    """
    limit = _first(optional(query, "limit", _whole), optional(query, "delta", _whole))
    in_milliseconds = optional(query, "date_ms", _natural)
    return Search(
        paid=optional(query, "paid", _yes_no_all),
        refunded=optional(query, "refunded", _yes_no_all),
        wired=optional(query, "wired", _yes_no_all),
        session_id=optional(query, "session_id", text),
        fulfillment_url=optional(query, "fulfillment_url", text),
        summary=optional(query, "summary_filter", text),
        date=_first(
            *(optional(query, name, _natural) for name in ("date_s", "date")),
            None if in_milliseconds is None else in_milliseconds // 1000,
        ),
        offset=_first(optional(query, "offset", _natural), optional(query, "start", _natural)),
        limit=_LIMIT if limit is None else limit,
    )


def _entry(backend: Backend, order: Order) -> dict[str, Any]:
    found = Standing(order, None, None, backend.ledger.refunds_of(order))
    pending, _ = found.refund_amount.subtract(found.refund_taken)
    is_in_time = backend.now() < decode_timestamp(order.proposal["refund_deadline"])
    return {
        "order_id": order.order_id,
        "row_id": order.serial,
        "timestamp": encode_timestamp(order.created),
        "amount": str(order.amount),
        "summary": order.proposal["summary"],
        "refundable": found.is_paid and is_in_time and found.refund_amount < order.amount,
        "paid": found.is_paid,
        "refund_amount": str(found.refund_amount),
        "pending_refund_amount": str(pending),
    }


async def delete_order(request: Request) -> Response:
    """Delete an order that nobody has paid (merchant API, DELETE private/orders/ID)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_WRITE)
    force = optional(request.query_params, "force", yes) or False
    order = standing.find(backend, instance, request.path_params["order_id"])
    if order.paid_at is not None:
        raise ApiError(Code.MERCHANT_PRIVATE_DELETE_ORDERS_ALREADY_PAID, "the order is paid")
    is_open = order.nonce is not None and backend.now() < decode_timestamp(order.proposal["pay_deadline"])
    if is_open and not force:
        detail = "a wallet has claimed the order and may still pay it"
        raise ApiError(Code.MERCHANT_PRIVATE_DELETE_ORDERS_AWAITING_PAYMENT, detail)
    backend.store.delete_order(order)
    standing.announce(backend, order)
    return Response(status_code=204)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _whole(value: object) -> int:
    if not _WHOLE.fullmatch(text(value)):
        raise CodecError("must be a whole number")
    return int(text(value))


def _natural(value: object) -> int:
    number = _whole(value)
    if number < 0:
        raise CodecError("must not be negative")
    return number


def _yes_no_all(value: object) -> bool | None:
    return None if text(value).lower() == "all" else yes(value)
