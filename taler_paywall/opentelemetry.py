"""What the paywall tells, as spans of OpenTelemetry; needs the extra ``opentelemetry``, and an SDK to see them."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry.trace import Status, StatusCode, TracerProvider, get_tracer

from taler_paywall.events import Event

_ATTRIBUTES = ("reason", "rule", "resource", "step", "order_id")


def subscriber(*, tracer_provider: TracerProvider | None = None) -> Callable[[Event], None]:
    """Return what makes a span of each event that took time, and of each ``unknown``, for the option ``on_event``.

    A span is a child of the one that the server or the framework has open for the request.

    Args:
        tracer_provider: where spans go; None for the one that the application sets.
    """
    tracer = get_tracer("taler_paywall", tracer_provider=tracer_provider)

    def trace(event: Event) -> None:
        if not event.seconds and event.kind != "unknown":
            return
        end = time.time_ns()
        told = {f"taler_paywall.{name}": value for name in _ATTRIBUTES if (value := getattr(event, name))}
        start = end - int(event.seconds * 1e9)
        span = tracer.start_span(f"taler_paywall {event.kind}", attributes=told, start_time=start)
        if event.kind == "unknown":
            span.set_status(Status(StatusCode.ERROR, event.detail or event.reason))
        span.end(end)

    return trace
