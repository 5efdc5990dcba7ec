"""The faults: how each is done to running processes, and how it is told which requests it has changed."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from running import eventually

from .truth import Visit
from .world import WORKERS, Site, World, bend, open_files

#: Between two blows of a fault that is done again and again, in seconds; and where it takes a worker each time.
AGAIN, NEXT_WORKER = 0.5, 1.0
FOR_EVER: Final = 10**6
#: How many connections to each site say nothing, and how many more files its workers may open than they have.
IDLE, SPARE_FILES = 8, 1

#: Tells how many of the visits that fell into its time a fault has changed at a site.
Changed = Callable[[Site, Sequence[Visit]], int]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Args:
        name: in the table.
        strike: is entered when it begins, and left when it is over.
        outage: whether the backend cannot be asked meanwhile.
        loses: whether answers may be lost.
        known: whether who was confirmed not long ago has to read on meanwhile.
        expires: whether unpaid orders may run out meanwhile.
        seconds: how long it is on at the least.
        least: how many requests it has to change at each site; it stays on until then, if that takes not too long.
    """

    name: str
    strike: Callable[[World], AbstractAsyncContextManager[Changed]]
    outage: bool = False
    loses: bool = False
    known: bool = False
    expires: bool = False
    seconds: float = 4.0
    least: int = 20


def denied(_: Site, visits: Sequence[Visit]) -> int:
    """Count who was told to come later, or nothing: without the fault nobody would have been."""
    return sum(visit.status == 503 or bool(visit.failure) for visit in visits if not visit.left)


def looked_up(_: Site, visits: Sequence[Visit]) -> int:
    """Count who came with an order's cookie, for which the session-payment-cache is asked."""
    return sum(visit.kind in {"paid", "refunded"} for visit in visits)


def anybody(_: Site, visits: Sequence[Visit]) -> int:
    return len(visits)


@asynccontextmanager
async def nothing(_: World) -> AsyncIterator[Changed]:
    """Change nothing."""
    yield anybody


def backend_answers(*names: str) -> Callable[[World], AbstractAsyncContextManager[Changed]]:
    """Return a strike with faults of the sandbox, one after the other, each again and again."""

    @asynccontextmanager
    async def strike(world: World) -> AsyncIterator[Changed]:
        async def switch() -> None:
            for name in itertools.cycle(names):
                await asyncio.to_thread(world.books.control, "PUT", f"/fault/{name}")
                await asyncio.sleep(AGAIN if len(names) > 1 else FOR_EVER)

        async with meanwhile(switch()):
            yield denied
        await asyncio.to_thread(world.books.control, "DELETE", "/fault")

    return strike


@asynccontextmanager
async def backend_killed(world: World) -> AsyncIterator[Changed]:
    """Kill the backend; it comes back with what it had written down."""
    world.books.process.end(signal.SIGKILL)
    yield denied
    await asyncio.to_thread(world.books.start)


@asynccontextmanager
async def backend_stopped(world: World) -> AsyncIterator[Changed]:
    """Let the backend accept connections, and say nothing."""
    world.books.process.popen.send_signal(signal.SIGSTOP)
    try:
        yield denied
    finally:
        world.books.process.popen.send_signal(signal.SIGCONT)


def workers_hit(number: int) -> Callable[[World], AbstractAsyncContextManager[Changed]]:
    """Return a strike that sends a signal to one worker of each site after the other."""

    @asynccontextmanager
    async def strike(world: World) -> AsyncIterator[Changed]:
        async def hit() -> None:
            for workers in zip(*(sorted(site.workers) for site in world.sites), strict=True):
                for worker in workers:
                    os.kill(worker, number)
                await asyncio.sleep(NEXT_WORKER)

        changed = by_others(world)
        async with meanwhile(hit()):
            yield changed
        await all_workers(world)

    return strike


@asynccontextmanager
async def restarted(world: World) -> AsyncIterator[Changed]:
    """Have each server replace all its workers, as for a new version of the site."""
    changed = by_others(world)
    before = {site.url: site.workers for site in world.sites}
    for site in world.sites:
        site.process.popen.send_signal(signal.SIGHUP)
    yield changed
    for site in world.sites:
        await asyncio.to_thread(eventually, lambda site=site: not site.workers & before[site.url], "others")
    await all_workers(world)


def by_others(world: World) -> Changed:
    """Count who is not answered, or by a worker that did not live before, and remembers nothing."""
    before = {site.url: {str(worker) for worker in site.workers} for site in world.sites}

    def changed(site: Site, visits: Sequence[Visit]) -> int:
        others = [visit for visit in visits if visit.worker and visit.worker not in before[site.url]]
        return len(others) + sum(bool(visit.failure) for visit in visits)

    return changed


async def all_workers(world: World) -> None:
    """Wait until every site has its workers again."""
    for site in world.sites:
        await asyncio.to_thread(
            eventually, lambda site=site: len(site.workers) == WORKERS, "workers in place of others"
        )


@asynccontextmanager
async def redis_killed(world: World) -> AsyncIterator[Changed]:
    """Kill Redis; it comes back empty."""
    assert world.redis
    world.redis.kill()
    yield looked_up
    await asyncio.to_thread(world.redis.start)


@asynccontextmanager
async def redis_stopped(world: World) -> AsyncIterator[Changed]:
    """Let Redis accept connections, and say nothing."""
    assert world.redis
    world.redis.popen.send_signal(signal.SIGSTOP)
    try:
        yield looked_up
    finally:
        world.redis.popen.send_signal(signal.SIGCONT)


@asynccontextmanager
async def redis_flushed(world: World) -> AsyncIterator[Changed]:
    """Make Redis forget everything, again and again."""
    assert world.redis
    store, flushes = world.redis, [time.monotonic()]

    async def flush() -> None:
        while True:
            await asyncio.to_thread(store.flush)
            flushes.append(time.monotonic())
            await asyncio.sleep(AGAIN)

    def changed(_: Site, visits: Sequence[Visit]) -> int:
        """Count the first who comes for a page after it was forgotten; others who do may be among those changed."""
        came = [visit for visit in visits if visit.kind == "paid" and visit.status == 200]
        return len({(visit.path, sum(flush < visit.began for flush in flushes)) for visit in came})

    async with meanwhile(flush()):
        yield changed


@asynccontextmanager
async def files_exhausted(world: World) -> AsyncIterator[Changed]:
    """Leave the workers hardly any file descriptors; gunicorn's end then, and the master starts others."""
    by_new_workers = by_others(world)
    limits = {
        worker: resource.prlimit(worker, resource.RLIMIT_NOFILE) for site in world.sites for worker in site.workers
    }
    with ExitStack() as idle:
        for site in world.sites:
            address = urlsplit(site.url)
            for _ in range(IDLE):
                idle.enter_context(socket.create_connection((address.hostname, address.port or 0)))
        for worker, (_, hard) in limits.items():
            enough = open_files(worker) + SPARE_FILES
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (enough, hard))

        def changed(site: Site, visits: Sequence[Visit]) -> int:
            later = sum(visit.status == 503 for visit in visits)
            return later + by_new_workers(site, visits)

        yield changed
    for worker, limit in limits.items():
        with suppress(ProcessLookupError):
            resource.prlimit(worker, resource.RLIMIT_NOFILE, limit)
    await all_workers(world)


def clock_off(seconds: int) -> Callable[[World], AbstractAsyncContextManager[Changed]]:
    """Return a strike that steps the wall clocks of the site's machine, and back in the end."""

    @asynccontextmanager
    async def strike(world: World) -> AsyncIterator[Changed]:
        for site in world.sites:
            bend(site.home / "clock", str(seconds))
        # Each answer bears the time of the site.
        yield lambda _, visits: sum(abs(visit.ahead) > abs(seconds) / 2 for visit in visits)
        for site in world.sites:
            bend(site.home / "clock", "0")

    return strike


@asynccontextmanager
async def disk_full(world: World) -> AsyncIterator[Changed]:
    """Let every line of the log fail."""
    before = {site.url: site.unwritten for site in world.sites}
    for site in world.sites:
        bend(site.home / "log", "/dev/full")
    yield lambda site, _: site.unwritten - before[site.url]
    for site in world.sites:
        bend(site.home / "log", str(site.home / "written"))


@asynccontextmanager
async def meanwhile(doing: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something without end for a while."""
    task = asyncio.create_task(doing)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
