"""What has become of a request, as events."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from taler_paywall.decision import (
    Decision,
    Denial,
    Grant,
    NotAcceptable,
    PaymentRequired,
    Refunded,
    TryAgain,
    Unavailable,
)
from taler_paywall.events import Event, Kind
from taler_paywall.offer import Offer
from taler_paywall.visit import Visit


def events_of(visit: Visit, offer: Offer, decision: Decision, seconds: float) -> Iterator[Event]:
    """Tell what a decision means.

    Args:
        visit: the request.
        offer: what was asked for.
        decision: of the flow.
        seconds: that it took.
    """
    order = decision.order
    order_id = order.order_id if order else ""
    about = Event("unknown", rule=offer.rule.text, resource=offer.resource.name, order_id=order_id, seconds=seconds)
    if isinstance(decision, Grant):
        about = replace(about, amount=decision.payment.amount)
        if decision.reason == "paid":
            yield replace(about, kind="paid", reason="again" if decision.order.state == "paid" else "first", step=9)
        yield replace(about, kind="delivered", reason=decision.reason, step=9 if decision.reason == "paid" else 3)
        return
    if order and isinstance(decision, PaymentRequired | TryAgain) and not visit.has(order):
        yield replace(about, kind="order", amount=str(offer.amount), step=4)
    kind, step = _denied(decision)
    detail = decision.detail if isinstance(decision, Unavailable) else ""
    yield replace(about, kind=kind, reason=decision.reason, step=step, detail=detail)


def _denied(decision: Denial) -> tuple[Kind, int]:
    """Return the kind of a denial, and the step that led to it."""
    match decision:
        case Unavailable():
            return "unknown", 5
        case Refunded(collect_url=url):
            return "refunded", 8 if url else 7
        case TryAgain():
            return "refused", 6
        case NotAcceptable():
            return "refused", 9
        case PaymentRequired():
            return "refused", 10
        case _:
            return "refused", 4
