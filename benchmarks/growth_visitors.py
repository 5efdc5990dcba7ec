"""Readers who come all at once, without cookies, and are asked to pay."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks.origin_growth import FIGURES
from benchmarks.server import Server, behind, running
from benchmarks.shop import Sandbox
from benchmarks.table import Limit, Row, interleaved
from benchmarks.wire import Heard, fetch, many_files

COUNTS: Final = (1, 10, 100, 1000)
#: A round has at least so many visitors, one crowd after the other.
VISITORS: Final = 100
_UVICORN: Final = ["uvicorn", "--host", "127.0.0.1", "--port", "PORT", "--log-level", "warning", "--backlog", "4096"]
#: The address of the merchant backend has to be told to the last of them.
BARE: Final = [*_UVICORN, "benchmarks.origin_growth:bare"]
BACKEND: Final = [*_UVICORN, "--timeout-keep-alive", "75", "--factory", "benchmarks.origin_growth:backend"]
PAYWALLED: Final = [*_UVICORN, "--factory", "benchmarks.origin_growth:paywalled"]

_numbers = itertools.count()


@dataclass(frozen=True)
class Site:
    """A site behind the paywall, the same without, and the merchant backend, each in a process of its own."""

    bare: Server
    paywalled: Server
    backend: Server

    def figure(self, name: str) -> int:
        """Return how often the backend was ``asked``, or how many long polls are ``waiting`` there."""
        with urllib.request.urlopen(f"{self.backend.url}{FIGURES}") as answer:
            return int(json.load(answer)[name])


@contextlib.contextmanager
def running_site() -> Iterator[Site]:
    """Run the three servers."""
    many_files()
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(running(BACKEND))
        settings = behind(Sandbox(f"{backend.url}/"))
        bare, paywalled = stack.enter_context(running(BARE)), stack.enter_context(running(PAYWALLED, **settings))
        yield Site(bare, paywalled, backend)


@dataclass
class Crowd:
    """Visitors of one server who come so many at once.

    Args:
        statuses: that each may get.
        slowest: of every round, what 99 of 100 were answered within, in milliseconds.
        heard: how many were answered with which status.
    """

    server: Server
    count: int
    statuses: frozenset[int]
    slowest: list[float] = field(default_factory=list)
    heard: Counter[int] = field(default_factory=Counter)

    def come(self) -> float:
        """Return the median of the milliseconds that a visitor waits."""
        answers = asyncio.run(self._all())
        self.heard.update(answer.status for answer in answers)
        times = sorted(answer.milliseconds for answer in answers)
        self.slowest.append(times[int(len(times) * 0.99)])
        return statistics.median(times)

    async def _all(self) -> list[Heard]:
        answers: list[Heard] = []
        for _ in range(max(1, VISITORS // self.count)):
            # Every visitor wants something else, so that the site has nothing ready.
            targets = [f"/articles/the-night-train-{next(_numbers)}" for _ in range(self.count)]
            answers += await asyncio.gather(*(fetch(self.server, target, self.statuses) for target in targets))
        return answers


def measure() -> Iterator[Row]:
    """Measure crowds of every size beside the same crowds at the bare application, and count the backend's calls."""
    with running_site() as site:
        for server, status in ((site.bare, 200), (site.paywalled, 302)):
            Crowd(server, 10, frozenset({status})).come()
        for count in COUNTS:
            yield from _crowd(site, count)


def _crowd(site: Site, count: int) -> Iterator[Row]:
    name = f"{count:,} unpaid {'visitors' if count > 1 else 'visitor'} at once"
    bare = Crowd(site.bare, count, frozenset({200}))
    # With 503 a visitor is asked to come again: that may happen, and is counted.
    unpaid = Crowd(site.paywalled, count, frozenset({302, 503}))
    asked, used = site.figure("asked"), site.paywalled.seconds
    rounds = interleaved("e", "ms", {"bare application": bare.come, f"{name}, median": unpaid.come})
    visitors = unpaid.heard.total()
    asked, used = site.figure("asked") - asked, site.paywalled.seconds - used
    yield rounds.row(
        f"{name}, median",
        count=count,
        p99=statistics.median(unpaid.slowest),
        p99_bare=statistics.median(bare.slowest),
        worker_ms=used / visitors * 1000,
    )
    put_off = unpaid.heard[503] / visitors * 100
    for what, unit, value, most in (
        ("backend calls of each", "calls", asked / visitors, 2.0),
        ("told to come again", "%", put_off, 0.0),
    ):
        yield Row("e", f"{name}, {what}", unit, value, limit=Limit("value", most), more={"count": count})
