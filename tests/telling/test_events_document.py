"""docs/events.md names every event, every field, every reason and every metric, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, get_args

from prometheus_client import CollectorRegistry

from taler_paywall import errors, prometheus
from taler_paywall.decision import GrantReason
from taler_paywall.events import Event, Kind

ROOT: Final = Path(__file__).parents[2]
TABLES: Final = re.findall(
    r"(?m)^\| ([\w ]+) \|.*\n\| --- .*\n((?:\|.*\n)+)", (ROOT / "docs" / "events.md").read_text()
)
#: How the modules of the paywall write a reason.
WRITTEN: Final = (r'Refused\(\d+, "([\w-]+)"', r'Unusable\("([\w-]+)"', r'reason: ClassVar\[str\] = "([\w-]+)"')


def first_cells(head: str) -> list[set[str]]:
    """Return the names in the first column of each table with this head."""
    found = [re.findall(r"(?m)^\| (.+?) \|", rows) for name, rows in TABLES if name == head]
    return [set(re.findall("`([^`]+)`", " ".join(cells))) for cells in found]


def reasons() -> set[str]:
    """Return all reasons in the table of reasons."""
    [_, rows] = [rows for name, rows in TABLES if name == "event"]
    options = {"recheck_after", "serve_known_for"}
    return set(re.findall("`([^`]+)`", " ".join(re.findall(r"(?m)^\| .+? \| (.+) \|", rows)))) - options


def test_events_and_fields() -> None:
    """The tables are whole."""
    assert first_cells("event")[0] == set(get_args(Kind))
    assert first_cells("field") == [set(Event.__struct_fields__)]


def test_reasons() -> None:
    """Whatever stands in the code as a reason stands in the table."""
    sources = [file.read_text() for file in sorted((ROOT / "taler_paywall").glob("*.py"))]
    written = {reason for source in sources for form in WRITTEN for reason in re.findall(form, source)}
    assert len(written) > 20
    failures = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__]
    written |= {kind.reason for kind in failures if issubclass(kind, errors.BackendError)} - {"backend"}
    told = {
        "first",
        "again",
        "by-reader",
        "webhook",
        "refunded",
        "internal-error",
        "cache-lost",
        "other-resource",
        "foreign-order",
    }
    # The question whether to give something back is an answer, and no event.
    assert reasons() == (written | told | set(get_args(GrantReason))) - {"refund-question"}


def test_metrics() -> None:
    """The table of metrics names those there are, with their labels."""
    registry = CollectorRegistry()
    prometheus.subscriber(registry=registry)(Event("order", seconds=0.5))
    made = {metric.name: set(metric.samples[0].labels) - {"le"} for metric in registry.collect()}
    [told] = first_cells("metric")
    named = re.findall(r"(\w+?)(?:_total)?(?:\{(.+)\})?$", "\n".join(told), re.MULTILINE)
    assert {name: set(labels.split(",")) - {""} for name, labels in named} == made
