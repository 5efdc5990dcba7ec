"""What the owner of a site is told of it: events, metrics, spans, and the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from reader import Reader
from running import TLS, Process

from taler_paywall.events import Event


@dataclass(frozen=True)
class Listening:
    """A site of `telling.site`.

    Args:
        url: of the site, no slash at the end.
        process: of its server.
    """

    url: str
    process: Process

    def reader(self) -> Reader:
        """Open a browser, which the caller closes."""
        return Reader(self.url)

    def shown(self, path: str) -> bytes:
        """Return one of the site's free pages."""
        with httpx.Client(trust_env=False, verify=TLS, timeout=20) as client:
            return client.get(self.url + path).raise_for_status().content

    @property
    def events(self) -> list[Event]:
        """Everything that was told so far."""
        return msgspec.json.decode(self.shown("/events"), type=list[Event])

    @property
    def spans(self) -> list[dict[str, Any]]:
        """All spans that have ended, the server's included."""
        return msgspec.json.decode(self.shown("/spans"), type=list[dict[str, Any]])

    @property
    def log(self) -> list[str]:
        """The lines of the server's log."""
        # Other ends of lines are part of a line.
        return self.process.output.split("\n")

    def sample(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric that have these labels, among others."""
        families = text_string_to_metric_families(self.shown("/metrics").decode())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def labels(self, name: str) -> set[tuple[str, ...]]:
        """Return the values of the labels that a metric has been given, in the order of their names."""
        families = text_string_to_metric_families(self.shown("/metrics").decode())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return {tuple(value for _, value in sorted(sample.labels.items())) for sample in samples}
