"""The status of an order as clients of 2019 ask for it: GET /public/poll-payment."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall.sandbox import links, standing
from taler_paywall.sandbox.backend import backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import binary, needed, optional, seconds, text
from taler_paywall.sandbox.standing import Standing


async def get_poll_payment(request: Request) -> JSONResponse:
    """Tell whether an order is paid, in a session if one is given; unpaid is no error (200) here."""
    backend, query = backend_of(request), request.query_params
    # Instances had no addresses of their own then.
    instance = backend.instance(query["instance"]) if "instance" in query else instance_of(request)
    order_id = needed(query, "order_id", text)
    h_contract = needed(query, "h_contract", binary(64))
    session_id = optional(query, "session_id", text)
    timeout = optional(query, "timeout", seconds) or 0
    order = backend.store.find_order(instance.name, order_id)
    if order is None or order.h_contract != h_contract:
        raise ApiError(Code.MERCHANT_GENERIC_ORDER_UNKNOWN, "there is no such order, or h_contract is not of it")
    found = await standing.wait(
        *(backend, order, session_id),
        # Clients of that time knew of no purchases that are not shown because they were refunded.
        with_refunded=True,
        done=lambda now: now.is_paid or now.already_paid is not None,
        seconds=timeout,
    )
    return JSONResponse(_paid(found) if found.is_paid else _unpaid(found))


def _paid(found: Standing) -> dict[str, Any]:
    if not found.refunds:
        return {"paid": True, "refunded": False}
    return {"paid": True, "refunded": True, "refund_amount": str(found.refund_amount)}


def _unpaid(found: Standing) -> dict[str, Any]:
    answer: dict[str, Any] = {"paid": False, "taler_pay_uri": links.pay_uri(found.order, found.session_id)}
    if found.already_paid:
        answer["already_paid_order_id"] = found.already_paid.order_id
    return answer
