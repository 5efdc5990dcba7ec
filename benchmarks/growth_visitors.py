"""Readers who come all at once, without cookies, and are asked to pay."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks.growth_site import FIGURES
from benchmarks.server import UVICORN, Server, behind, running
from benchmarks.table import BenchmarkError, Limit, Row, interleaved
from benchmarks.wire import Heard, ask, figure, many_files

COUNTS: Final = (1, 10, 100, 1000)
#: A round has at least so many visitors, one crowd after the other.
VISITORS: Final = 100
_BACKLOG: Final = ("--backlog", "4096")
BARE: Final = (*UVICORN, *_BACKLOG, "benchmarks.growth_site:bare")
PAYWALLED: Final = (*UVICORN, *_BACKLOG, "--factory", "benchmarks.growth_site:paywalled")
BACKEND: Final = (*UVICORN, *_BACKLOG, "--timeout-keep-alive", "75", "--factory", "benchmarks.growth_site:backend")

_numbers = itertools.count()


@dataclass(frozen=True)
class Site:
    """A site behind the paywall, the same without, and the merchant backend, each in a process of its own."""

    bare: Server
    paywalled: Server
    backend: Server

    async def figure(self, name: str) -> int:
        """Return how often the backend was ``asked``, or how many long polls are ``waiting`` there."""
        return await figure(self.backend, FIGURES, name)


@contextlib.contextmanager
def running_backend() -> Iterator[tuple[Server, dict[str, str]]]:
    """Run a merchant backend; yield the environment of its sites as well."""
    many_files()
    with running(BACKEND) as backend:
        yield backend, behind(f"{backend.url}/")


@contextlib.contextmanager
def running_site(backend: Server, settings: dict[str, str]) -> Iterator[Site]:
    """Run both sites."""
    with running(BARE) as bare, running(PAYWALLED, **settings) as paywalled:
        yield Site(bare, paywalled, backend)


@dataclass
class Visitors:
    """Visitors of one server, so many at once.

    Args:
        status: of the answers whose time is measured.
        others: statuses that some of them may get instead.
        slowest: of every round, what 99 of 100 were answered within, in milliseconds.
        heard: how many were answered with which status.
    """

    server: Server
    count: int
    status: int
    others: frozenset[int] = frozenset()
    slowest: list[float] = field(default_factory=list)
    heard: Counter[int] = field(default_factory=Counter)

    def come(self) -> float:
        """Return the median of the milliseconds that one waits.

        Raises:
            BenchmarkError: most of them were put off.
        """
        answers = asyncio.run(self._all())
        self.heard.update(answer.status for answer in answers)
        times = [answer.milliseconds for answer in answers if answer.status == self.status]
        if len(times) < len(answers) / 2:
            raise BenchmarkError(f"{len(times)} of {len(answers)} visitors were answered with {self.status}")
        self.slowest.append(statistics.quantiles(times, n=100, method="inclusive")[-1])
        return statistics.median(times)

    async def _all(self) -> list[Heard]:
        answers: list[Heard] = []
        for _ in range(max(1, VISITORS // self.count)):
            # Every visitor wants something else, so that the site has nothing ready.
            targets = [f"/articles/the-night-train-{next(_numbers)}" for _ in range(self.count)]
            answers += await asyncio.gather(*(ask(self.server, one, {self.status, *self.others}) for one in targets))
        return answers


def measure() -> Iterator[Row]:
    """Measure crowds of every size beside the same crowds at the bare application, and count the backend's calls."""
    with running_backend() as (backend, settings), running_site(backend, settings) as site:
        for first in (Visitors(site.bare, 10, 200), Visitors(site.paywalled, 10, 302)):
            first.come()
        for count in COUNTS:
            yield from _crowd(site, count)


def _crowd(site: Site, count: int) -> Iterator[Row]:
    name = f"{count:,} unpaid {'visitors' if count > 1 else 'visitor'} at once"
    bare = Visitors(site.bare, count, 200)
    # With 503 a visitor is asked to come again: that may happen, and is counted.
    unpaid = Visitors(site.paywalled, count, 302, frozenset({503}))
    asked, used = asyncio.run(site.figure("asked")), site.paywalled.seconds
    rounds = interleaved("e", "ms", {"bare application": bare.come, f"{name}, median": unpaid.come})
    visitors = unpaid.heard.total()
    asked, used = asyncio.run(site.figure("asked")) - asked, site.paywalled.seconds - used
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
