"""What grows with a site: its rules, payments, visitors, those who wait for their payment; a flood, an outage."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import flood, growth_cache, growth_polls, growth_rules, growth_visitors, outage
from benchmarks.shop import Sandbox
from benchmarks.table import Row


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure all of it; sites with many visitors get a backend of their own, in another process."""
    yield from growth_rules.measure(sandbox)
    yield from growth_cache.measure()
    yield from growth_visitors.measure()
    yield from growth_polls.measure()
    yield from outage.measure()
    yield from flood.measure()
