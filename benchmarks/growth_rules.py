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
#: What tells these from the address comes at its end.
LATE: Final = r"/(?P<section>[a-z-]+)/(?P<slug>[a-z0-9-]+)\.{}\.html"


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure what is not sold behind more and more rules, beside the bare application."""
    rules = {
        f"free path, {_counted(count, 'template')}": (count, templates("/section-{}", count)) for count in TEMPLATES
    }
    for count in EXPRESSIONS:
        name = f"free path, {_counted(count, 'regular expression')}"
        rules[name] = count, _expressions(count, r"/section-{}/(?P<slug>[^/]+)")
        rules[f"{name} that fail{'' if count > 1 else 's'} late"] = count, _expressions(count, LATE)
    with closing(asyncio.new_event_loop()) as loop:
        ways = {"bare application": asgi(loop, application, FREE)}
        ways |= {name: asgi(loop, sandbox.paywalled(some), FREE) for name, (_, some) in rules.items()}
        for row in compare("e", ways):
            yield replace(row, more={"count": rules[row.name][0]})


def _counted(count: int, kind: str) -> str:
    return f"{count:,} {kind}{'s' if count > 1 else ''}"


def _expressions(count: int, pattern: str) -> list[Rule]:
    patterns = (re.compile(pattern.format(number)) for number in range(count))
    return [Rule(pattern, "KUDOS:0.5", page="/pricing") for pattern in patterns]
