"""The endpoints of an instance: which address is answered by which function (merchant API)."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from taler_paywall.sandbox import abandon, orders, payment, poll_payment, public, refunds, sessions

ENDPOINTS: Final = [
    Route("/config", public.get_config),
    Route("/orders/{order_id}", public.get_order),
    Route("/orders/{order_id}/claim", payment.post_claim, methods=["POST"]),
    Route("/orders/{order_id}/pay", payment.post_pay, methods=["POST"]),
    Route("/orders/{order_id}/paid", payment.post_paid, methods=["POST"]),
    Route("/orders/{order_id}/refund", refunds.collect, methods=["POST"]),
    Route("/orders/{order_id}/unclaim", abandon.post_unclaim, methods=["POST"]),
    Route("/orders/{order_id}/abort", abandon.post_abort, methods=["POST"]),
    Route("/sessions/{session_id}", sessions.get_session),
    Route("/public/poll-payment", poll_payment.get_poll_payment),
    Route("/private/orders", orders.post_order, methods=["POST"]),
    Route("/private/orders/{order_id}", orders.get_order),
    Route("/private/orders/{order_id}/refund", refunds.grant, methods=["POST"]),
]
