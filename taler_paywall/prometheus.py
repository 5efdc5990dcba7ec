"""What the paywall tells, as metrics for Prometheus; needs the extra ``prometheus``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from taler_paywall.events import Event

#: Upper bounds in seconds: a payment that is remembered, one question to the backend, and as long as all may take.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BACKEND_UP = {"backend-down": 0, "backend-up": 1}


# An application that is made several times, as tests do, has its metrics once.
@cache
def _metrics(registry: CollectorRegistry, namespace: str) -> tuple[Counter, Histogram, Gauge]:
    # Labels come from the configuration and from our code alone: what requests tell would have no end of values.
    told = "What has happened at the paywall."
    counter = Counter("events", told, ("event", "reason", "rule"), namespace=namespace, registry=registry)
    told = "What the paywall and the backend took until it had happened."
    histogram = Histogram("seconds", told, ("event",), namespace=namespace, registry=registry, buckets=_BUCKETS)
    told = "Whether the merchant backend is asked: 0 from its fifth failure in a row until it answers a probe."
    # Neither a sum over the workers, nor for ever the last word of one that has ended.
    gauge = Gauge("backend_up", told, namespace=namespace, registry=registry, multiprocess_mode="mostrecent")
    gauge.set(1)
    return counter, histogram, gauge


def subscriber(*, registry: CollectorRegistry = REGISTRY, namespace: str = "taler_paywall") -> Callable[[Event], None]:
    """Return what counts events, for the option ``on_event``.

    Args:
        registry: where the metrics are collected.
        namespace: that their names begin with; a second site in one process needs its own.
    """
    counter, histogram, gauge = _metrics(registry, namespace)

    def count(event: Event) -> None:
        counter.labels(event.kind, event.reason, event.rule).inc()
        if event.seconds:
            histogram.labels(event.kind).observe(event.seconds)
        if event.kind in _BACKEND_UP:
            gauge.set(_BACKEND_UP[event.kind])

    return count
