"""What a session has bought, for paywalls that know nothing else (merchant API, GET sessions/ID)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from taler_paywall.sandbox.backend import backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import milliseconds, needed, optional, web_url
from taler_paywall.sandbox.standing import session_topic
from taler_paywall.sandbox.state.store import Order


async def get_session(request: Request) -> JSONResponse:
    """Name the order of a session for a fulfillment URL: paid (200) or not yet (202)."""
    backend, instance = backend_of(request), instance_of(request)
    session_id: str = request.path_params["session_id"]
    url = needed(request.query_params, "fulfillment_url", web_url)
    seconds = optional(request.query_params, "timeout_ms", milliseconds) or 0

    def is_paid(order: Order | None) -> bool:
        return order is not None and order.paid_at is not None and order.session_id == session_id

    order = await backend.bell.poll(
        lambda: backend.store.find_in_session(instance.name, session_id, url),
        is_paid,
        [session_topic(instance.name, session_id, url)],
        seconds,
    )
    if order is None:
        detail = "no order was made or paid in this session for this fulfillment_url"
        raise ApiError(Code.MERCHANT_GENERIC_SESSION_UNKNOWN, detail)
    return JSONResponse({"order_id": order.order_id}, 200 if is_paid(order) else 202)
