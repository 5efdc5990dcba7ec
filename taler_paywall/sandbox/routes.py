"""The endpoints of an instance: which address is answered by which function (merchant API)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from taler_paywall.sandbox.endpoints import (
    abandon,
    forget,
    history,
    order_templates,
    orders,
    payment,
    poll_payment,
    public,
    refunds,
    sessions,
    template_use,
    tokens,
    webhooks,
)

_Endpoint = Callable[[Request], Awaitable[Response]]


def _resource(path: str, **endpoints: _Endpoint) -> Route:
    """Give an address one endpoint for each of its methods; one route, so that it knows them all (RFC 9110, Allow)."""

    async def answer(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, answer, methods=list(endpoints))


ENDPOINTS: Final = [
    _resource("/config", GET=public.get_config),
    _resource("/orders/{order_id}", GET=public.get_order),
    _resource("/orders/{order_id}/claim", POST=payment.post_claim),
    _resource("/orders/{order_id}/pay", POST=payment.post_pay),
    _resource("/orders/{order_id}/paid", POST=payment.post_paid),
    _resource("/orders/{order_id}/refund", POST=refunds.collect),
    _resource("/orders/{order_id}/unclaim", POST=abandon.post_unclaim),
    _resource("/orders/{order_id}/abort", POST=abandon.post_abort),
    _resource("/templates/{template_id}", GET=order_templates.show_template, POST=template_use.use_template),
    _resource("/sessions/{session_id}", GET=sessions.get_session),
    _resource("/public/poll-payment", GET=poll_payment.get_poll_payment),
    _resource("/private/orders", GET=history.get_orders, POST=orders.post_order),
    _resource("/private/orders/{order_id}", GET=orders.get_order, DELETE=history.delete_order),
    _resource("/private/orders/{order_id}/forget", PATCH=forget.patch_forget),
    _resource("/private/orders/{order_id}/refund", POST=refunds.grant),
    _resource("/private/token", POST=tokens.post_token, DELETE=tokens.delete_token),
    _resource("/private/tokens", GET=tokens.get_tokens),
    _resource("/private/tokens/{serial}", DELETE=tokens.delete_token_by_serial),
    _resource("/private/templates", GET=order_templates.get_templates, POST=order_templates.post_template),
    _resource(
        "/private/templates/{template_id}",
        GET=order_templates.get_template,
        PATCH=order_templates.patch_template,
        DELETE=order_templates.delete_template,
    ),
    _resource("/private/webhooks", GET=webhooks.get_webhooks, POST=webhooks.post_webhook),
    _resource(
        "/private/webhooks/{webhook_id}",
        GET=webhooks.get_webhook,
        PATCH=webhooks.patch_webhook,
        DELETE=webhooks.delete_webhook,
    ),
]
