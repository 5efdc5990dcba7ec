"""A site that keeps all that the paywall tells, and shows it; `OPTIONS` are keywords of the middleware as JSON.

`/events` and `/spans` are JSON, `/metrics` is what Prometheus reads. One more subscriber fails at every event.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY, CollectorRegistry, make_asgi_app, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from taler_paywall import Resource, Rule, opentelemetry, prometheus
from taler_paywall.asgi import PaywallMiddleware, Receive, Scope, Send
from taler_paywall.events import Event
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywallMiddleware

_events: Final[list[Event]] = []
_exporter: Final = InMemorySpanExporter()
_provider: Final = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(_exporter))
_tracer: Final = _provider.get_tracer("the server")


@dataclass
class Broken:
    """A subscriber that always fails, and that no dictionary takes as a key."""

    def __repr__(self) -> str:
        return "<Broken>"

    def __call__(self, event: Event) -> None:
        raise LookupError(f"nobody listens to {event.kind}")


def no_price(resource: Resource) -> str:
    raise LookupError(f"no price of {resource.parts['slug']}")


_RULES: Final = [
    Rule("/articles/{slug}", "KUDOS:0.5", refundable=True),
    Rule("/search", "KUDOS:1", query=["about"]),
    Rule("/priceless/{slug}", no_price),
]
_OPTIONS: Final = json.loads(os.environ.get("OPTIONS", "{}")) | {
    "on_event": [
        Broken(),
        _events.append,
        prometheus.subscriber(),
        opentelemetry.subscriber(tracer_provider=_provider),
    ]
}


def _told(span: ReadableSpan) -> dict[str, Any]:
    return {
        "name": span.name,
        "parent": span.parent and f"{span.parent.span_id:x}",
        "id": f"{span.context.span_id:x}" if span.context else "",
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "description": span.status.description,
        "start": span.start_time,
        "end": span.end_time,
    }


def _content(path: str) -> bytes:
    if path == "/events":
        return msgspec.json.encode(_events)
    if path == "/spans":
        return msgspec.json.encode([_told(span) for span in _exporter.get_finished_spans()])
    return f"{os.getpid()} content".encode()


def _registry() -> CollectorRegistry:
    """Return where the metrics of this process are, or those of all."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
    return everybody


_asgi_metrics: Final = make_asgi_app(_registry())
_wsgi_metrics: Final = make_wsgi_app(_registry())


async def _origin(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] == "/metrics":
        await _asgi_metrics(scope, receive, send)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": _content(scope["path"])})


def _wsgi_origin(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/metrics":
        return cast("Iterable[bytes]", _wsgi_metrics(environ, start_response))
    start_response("200 OK", [])
    return [_content(environ["PATH_INFO"])]


def _listen() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.root.addHandler(handler)
    logging.getLogger("taler_paywall").setLevel(logging.DEBUG)


_listen()
_paywall: Final = PaywallMiddleware(_origin, _RULES, **_OPTIONS)
_wsgi_paywall: Final = WsgiPaywallMiddleware(_wsgi_origin, _RULES, **_OPTIONS)


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _paywall(scope, receive, send)
    with _tracer.start_as_current_span(f"GET {scope['path']}"):
        return await _paywall(scope, receive, send)


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    with _tracer.start_as_current_span(f"GET {environ['PATH_INFO']}"):
        return _wsgi_paywall(environ, start_response)
