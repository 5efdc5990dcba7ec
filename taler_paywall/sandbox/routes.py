"""The endpoints of an instance: which address is answered by which function (merchant API)."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from taler_paywall.sandbox import (
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

ENDPOINTS: Final = [
    Route("/config", public.get_config),
    Route("/orders/{order_id}", public.get_order),
    Route("/orders/{order_id}/claim", payment.post_claim, methods=["POST"]),
    Route("/orders/{order_id}/pay", payment.post_pay, methods=["POST"]),
    Route("/orders/{order_id}/paid", payment.post_paid, methods=["POST"]),
    Route("/orders/{order_id}/refund", refunds.collect, methods=["POST"]),
    Route("/orders/{order_id}/unclaim", abandon.post_unclaim, methods=["POST"]),
    Route("/orders/{order_id}/abort", abandon.post_abort, methods=["POST"]),
    Route("/templates/{template_id}", order_templates.show_template),
    Route("/templates/{template_id}", template_use.use_template, methods=["POST"]),
    Route("/sessions/{session_id}", sessions.get_session),
    Route("/public/poll-payment", poll_payment.get_poll_payment),
    Route("/private/orders", history.get_orders),
    Route("/private/orders", orders.post_order, methods=["POST"]),
    Route("/private/orders/{order_id}", orders.get_order),
    Route("/private/orders/{order_id}", history.delete_order, methods=["DELETE"]),
    Route("/private/orders/{order_id}/forget", forget.patch_forget, methods=["PATCH"]),
    Route("/private/orders/{order_id}/refund", refunds.grant, methods=["POST"]),
    Route("/private/token", tokens.post_token, methods=["POST"]),
    Route("/private/token", tokens.delete_token, methods=["DELETE"]),
    Route("/private/tokens", tokens.get_tokens),
    Route("/private/tokens/{serial}", tokens.delete_token_by_serial, methods=["DELETE"]),
    Route("/private/templates", order_templates.get_templates),
    Route("/private/templates", order_templates.post_template, methods=["POST"]),
    Route("/private/templates/{template_id}", order_templates.get_template),
    Route("/private/templates/{template_id}", order_templates.patch_template, methods=["PATCH"]),
    Route("/private/templates/{template_id}", order_templates.delete_template, methods=["DELETE"]),
    Route("/private/webhooks", webhooks.get_webhooks),
    Route("/private/webhooks", webhooks.post_webhook, methods=["POST"]),
    Route("/private/webhooks/{webhook_id}", webhooks.get_webhook),
    Route("/private/webhooks/{webhook_id}", webhooks.patch_webhook, methods=["PATCH"]),
    Route("/private/webhooks/{webhook_id}", webhooks.delete_webhook, methods=["DELETE"]),
]
