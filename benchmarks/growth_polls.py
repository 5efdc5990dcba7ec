"""Pages that wait for their payment: the memory and the time that they cost the worker, and how soon they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from benchmarks.crowd import Client, Offer, crowd, members, share
from benchmarks.growth_visitors import Site, running_site
from benchmarks.server import Server
from benchmarks.shop import TOKEN
from benchmarks.table import ROUNDS, Row, interleaved
from benchmarks.wire import Heard, Waiting, WireError, begin, fetch

COUNTS: Final = (100, 400, 1000)
#: So many begin together.
AT_A_TIME: Final = 20
#: What a poll asks for, in seconds: longer than the measurement takes, or so short that it ends in vain.
WAIT: Final = 55
IN_VAIN: Final = 1
#: The backend holds the polls of those who have come, and lets go of those who have gone, within so long.
DEADLINE_SECONDS: Final = 60
#: The processor is watched for so long while all wait.
IDLE_SECONDS: Final = 8
_POLL: Final = "/.well-known/taler-paywall/poll-payment?order_id={}&timeout={}"


@dataclass(frozen=True)
class Reader:
    """Somebody who was asked to pay.

    Args:
        cookie: as the browser sends it.
        offer: the order.
    """

    cookie: str
    offer: Offer

    @classmethod
    async def come(cls, site: Site, number: int) -> Reader:
        """Ask for an article, and keep what comes."""
        asked = await fetch(site.paywalled, f"/articles/waiting-{number}", {302})
        url = urlsplit(asked.location)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        offer = Offer(url.path.rpartition("/")[2], query["token"], "", query["session_id"])
        return cls(asked.cookie, offer)

    async def begin(self, site: Site, seconds: int) -> Waiting:
        """Wait for the payment as the page does."""
        return await begin(site.paywalled, _POLL.format(self.offer.order_id, seconds), self.cookie)


def measure() -> Iterator[Row]:
    """Measure the waiting of many beside as many requests that wait at the bare application."""
    with running_site() as site:
        readers = asyncio.run(_readers(site))
        yield _in_vain(site, readers[:50])
        yield from asyncio.run(_memory_and_time(site, readers))
        yield asyncio.run(_told(site, readers))


async def _readers(site: Site) -> list[Reader]:
    return await share(range(4), lambda _, number: Reader.come(site, number), range(COUNTS[-1]))


def _in_vain(site: Site, readers: Sequence[Reader]) -> Row:
    """Measure the processor time of a poll from its request to its answer that nothing has happened."""

    async def polls() -> None:
        for waiting in [await reader.begin(site, IN_VAIN) for reader in readers]:
            _insist(await waiting.heard, paid=False)

    async def requests() -> None:
        await asyncio.gather(*(fetch(site.bare, "/", {200}, reader.cookie) for reader in readers))

    def used(server: Server, work: Callable[[], Coroutine[Any, Any, None]]) -> float:
        before = server.seconds
        asyncio.run(work())
        return (server.seconds - before) / len(readers) * 1000

    name = "one poll in vain, processor time of the worker"
    ways = {"bare application": partial(used, site.bare, requests), name: partial(used, site.paywalled, polls)}
    return interleaved("e", "ms", ways).row(name)


async def _memory_and_time(site: Site, readers: Sequence[Reader]) -> list[Row]:
    """Let more and more wait, here and there, and look at both workers."""
    servers = (site.bare, site.paywalled)
    empty = [server.memory()[0] for server in servers]
    rows = []
    for count in COUNTS:
        name = f"{count:,} waiting pages"
        async with _waiting(site, readers[:count]) as pages, _held(site, count):
            grown = [server.memory()[0] - before for server, before in zip(servers, empty, strict=True)]
            used = [server.seconds for server in servers]
            await asyncio.sleep(IDLE_SECONDS)
            used = [(server.seconds - before) / IDLE_SECONDS * 60 for server, before in zip(servers, used, strict=True)]
            _insist_on_waiting(pages)
        rows.append(_row(f"{name}, memory", "MB", grown, count))
        rows.append(_row(f"{name}, processor time a minute", "s", used, count))
    return rows


def _row(name: str, unit: str, figures: Sequence[float], count: int) -> Row:
    base, value = figures
    reference = f"{count:,} requests that wait at the bare application"
    return Row("e", name, unit, value, reference, base, more={"count": count})


async def _told(site: Site, readers: Sequence[Reader]) -> Row:
    """Pay some orders while one page waits, and others while all wait; measure from the payment to the answer."""
    alone = []
    async with crowd(f"{site.backend.url}/", TOKEN, 1) as [wallet]:
        for reader in readers[:ROUNDS]:
            async with _waiting(site, [reader]) as [one]:
                alone.append(await _pay(wallet, reader, one))
        async with _waiting(site, readers[ROUNDS:]) as pages:
            paid = list(zip(readers[ROUNDS:], pages, strict=True))[:ROUNDS]
            among = [await _pay(wallet, reader, page) for reader, page in paid]
            _insist_on_waiting(pages[ROUNDS:])
    name = f"told of the payment, {COUNTS[-1]:,} pages waiting"
    most = {"slowest": max(among)}
    return Row("e", name, "ms", statistics.median(among), "one page waiting", statistics.median(alone), more=most)


async def _pay(wallet: Client, reader: Reader, page: Waiting) -> float:
    """Pay an order; return the milliseconds from the wallet's payment to the answer that its page gets."""
    members(await wallet.claim(reader.offer))
    payment = await wallet.pay_timed(reader.offer)
    heard = await page.heard
    _insist(heard, paid=True)
    return (heard.ended - payment.sent) * 1000


@contextlib.asynccontextmanager
async def _waiting(site: Site, readers: Sequence[Reader]) -> AsyncIterator[list[Waiting]]:
    """Let pages wait until the block ends; it begins when the backend holds all their polls."""
    begun: list[Waiting] = []
    try:
        for first in range(0, len(readers), AT_A_TIME):
            begun += [await reader.begin(site, WAIT) for reader in readers[first : first + AT_A_TIME]]
            await _until_waiting(site, readers, begun)
        yield begun
    finally:
        for page in begun:
            page.leave()
        # The backend hears of it a little later; they must not be taken for those who come next.
        await _until_none_waits(site)


@contextlib.asynccontextmanager
async def _held(site: Site, count: int) -> AsyncIterator[None]:
    """Let as many requests wait at the bare application."""
    begun = [await begin(site.bare, "/waiting") for _ in range(count)]
    try:
        yield
    finally:
        for one in begun:
            one.leave()


async def _until_waiting(site: Site, readers: Sequence[Reader], begun: list[Waiting]) -> None:
    """Wait until the backend holds all polls; who is told to come again does so, as the page would."""
    for _ in range(10 * DEADLINE_SECONDS):
        if site.figure("waiting") >= len(begun):
            return
        for number, page in enumerate(begun):
            if page.heard.done():
                begun[number] = await readers[number].begin(site, WAIT)
        await asyncio.sleep(0.1)
    raise WireError(f"the backend does not hold the polls of {len(begun)} pages at once")


async def _until_none_waits(site: Site) -> None:
    for _ in range(10 * DEADLINE_SECONDS):
        if not site.figure("waiting"):
            return
        await asyncio.sleep(0.1)
    raise WireError("polls of clients that have gone still wait at the backend")


def _insist_on_waiting(begun: Sequence[Waiting]) -> None:
    """Raise an error if some polls have ended: the figures would be those of fewer."""
    if ended := [page.heard.result() for page in begun if page.heard.done()]:
        raise WireError(f"{len(ended)} of {len(begun)} polls were answered too soon, the first with {ended[0]}")


def _insist(heard: Heard, *, paid: bool) -> None:
    """Raise an error if a poll was answered otherwise."""
    if heard.status != 200 or json.loads(heard.body)["paid"] is not paid:
        raise WireError(f"a poll was answered with {heard.status}: {heard.body[:200]!r}")
