"""What rules cost a free path, by their number and their kind, in process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final

from benchmarks.fresh import asgi, compare
from benchmarks.inprocess import FREE, templates
from benchmarks.shop import Sandbox, application
from benchmarks.table import Row
from taler_paywall import Rule

TEMPLATES: Final = (1, 10, 100, 1_000, 10_000)
EXPRESSIONS: Final = (1, 10, 100, 1_000)


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure what is not sold behind more and more rules, beside the bare application."""
    rules = {
        f"free path, {_counted(count, 'template')}": (count, templates("/section-{}", count)) for count in TEMPLATES
    }
    for count in EXPRESSIONS:
        rules[f"free path, {_counted(count, 'regular expression')}"] = count, _expressions(count)
    with closing(asyncio.new_event_loop()) as loop:
        ways = {"bare application": asgi(loop, application, FREE)}
        ways |= {name: asgi(loop, sandbox.paywalled(some), FREE) for name, (_, some) in rules.items()}
        for row in compare("e", ways):
            count, _ = rules[row.name]
            yield replace(row, more={"count": count, "added_per_100": (row.added or 0.0) / count * 100})


def _counted(count: int, kind: str) -> str:
    return f"{count:,} {kind}{'s' if count > 1 else ''}"


def _expressions(count: int) -> list[Rule]:
    patterns = (re.compile(rf"/section-{number}/(?P<slug>[^/]+)") for number in range(count))
    return [Rule(pattern, "KUDOS:0.5", page="/pricing") for pattern in patterns]
