"""Metrics: of several workers, of applications that are made again and again, and never a label that a client chose."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from conformance.till import Till
from prefork.workers import workers_of
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from running import Process, eventually

from taler_paywall import prometheus
from taler_paywall.events import Event

from .conftest import OpenSite

FOREIGN = {"Sec-Fetch-Site": "cross-site"}


def spawned(server: Process) -> set[int]:
    """Return the workers of uvicorn, without the child that multiprocessing keeps for itself."""
    return {worker for worker in workers_of(server) if b"spawn_main" in Path(f"/proc/{worker}/cmdline").read_bytes()}


def test_two_workers_are_one_site(open_site: OpenSite, till: Till, tmp_path: Path) -> None:
    """Whichever worker is asked tells the sum of all, whether the backend is there, and nothing that has passed."""
    site = open_site("asgi", "--workers", "2", options={}, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    statuses: list[int] = []

    def ask() -> int:
        # A browser of its own: whoever has a free hand takes the connection.
        with site.reader() as reader:
            statuses.append(reader.visit("/articles/bees").status_code)
        return len(list(tmp_path.glob("counter_*.db")))

    eventually(lambda: ask() == 2, "both workers count")
    assert site.sample("taler_paywall_events_total", event="order") == len(statuses)
    assert site.sample("taler_paywall_seconds_count", event="order") == len(statuses)
    assert site.sample("taler_paywall_backend_up") == 1
    with till.dead():
        eventually(lambda: ask() and site.sample("taler_paywall_backend_up") == 0, "a worker gives the backend up")
        before = spawned(site.process)
        assert len(before) == 2
        for worker in before:
            os.kill(worker, signal.SIGKILL)
    # What the dead have counted stays.
    eventually(lambda: len(spawned(site.process) - before) == 2, "others take their places")
    eventually(lambda: ask() and site.sample("taler_paywall_backend_up") == 1, "the others have not given it up")
    assert site.sample("taler_paywall_events_total", event="order") == statuses.count(302)
    assert site.sample("taler_paywall_events_total", event="unknown") == statuses.count(503) > 0


def test_an_application_may_be_made_again() -> None:
    """Whoever makes an application twice counts in the same metrics; another registry or namespace has its own."""
    registry = CollectorRegistry()
    for _ in range(2):
        prometheus.subscriber(registry=registry)(Event("order", rule="/a"))
    prometheus.subscriber(registry=registry, namespace="shop")(Event("order", rule="/a"))
    prometheus.subscriber(registry=CollectorRegistry())(Event("order", rule="/a"))
    labels = {"event": "order", "reason": "", "rule": "/a"}
    assert registry.get_sample_value("taler_paywall_events_total", labels) == 2
    assert registry.get_sample_value("shop_events_total", labels) == 1


def test_the_backend_goes_and_comes() -> None:
    """The gauge is 1 from the start, and follows what is told; no other event moves it."""
    registry = CollectorRegistry()
    count = prometheus.subscriber(registry=registry)
    steps: list[tuple[Event, int]] = [
        (Event("unknown", "backend-unreachable"), 1),
        (Event("backend-down"), 0),
        (Event("unknown", "circuit-open"), 0),
        (Event("backend-up"), 1),
    ]
    assert registry.get_sample_value("taler_paywall_backend_up") == 1
    for event, up in steps:
        count(event)
        assert registry.get_sample_value("taler_paywall_backend_up") == up, event


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_nothing_of_a_request_is_a_label(protocol: str, open_site: OpenSite) -> None:
    """A hundred addresses, queries, headers and methods make not one more time series than one of each kind."""
    site = open_site(protocol, options={"prefix": "/pay"})

    def ask(mark: str) -> None:
        with site.reader() as reader:
            for path in ("/articles/", "/articles//", "/search?about=", "/priceless/", "/pay/"):
                reader.http.get("/", extensions={"target": f"{path}{mark}?q={mark}".encode()}, headers={"X-Mark": mark})
            reader.http.request("BREW" + mark.upper(), "/articles/bees")
            reader.http.cookies.set("taler_session", mark)
            reader.press("/pay/reorder", {"page": f"/{mark}"}, Origin=f"http://{mark}.example", **FOREIGN)

    ask("bees")
    before = {name: site.labels(name) for name in ("taler_paywall_events_total", "taler_paywall_seconds_bucket")}
    for number in range(20):
        ask(f"planted{number}")
    assert {name: site.labels(name) for name in before} == before
    reasons = {reason for _, reason, _ in before["taler_paywall_events_total"]}
    assert reasons == {"", "unpaid", "ambiguous-path", "internal-error", "unknown-path", "foreign-form"}
    families = list(text_string_to_metric_families(site.shown("/metrics").decode()))
    assert {"taler_paywall_events", "taler_paywall_seconds"} <= {family.name for family in families}
    assert b"planted" not in site.shown("/metrics")
