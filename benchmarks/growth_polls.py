"""Pages that wait for their payment: the memory and the time that they cost the worker, and how soon they are told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from benchmarks.crowd import Client, Offer, crowd, members, share
from benchmarks.growth_visitors import BARE, Site, running_backend, running_site
from benchmarks.server import SECONDS, Server, running
from benchmarks.shop import TOKEN
from benchmarks.table import ROUNDS, BenchmarkError, Rounds, Row, interleaved
from benchmarks.wire import Heard, Waiting, ask, begin

COUNTS: Final = (100, 400, 1000)
#: So many begin together.
AT_A_TIME: Final = 20
#: What a poll asks for, in seconds: longer than a round takes, or so short that it ends in vain.
WAIT: Final = 55
IN_VAIN: Final = 1
#: In each round the processor is watched for so long while so many wait.
IDLE_SECONDS: Final = 1.2
TOLD: Final = f"told of the payment, {COUNTS[-1]:,} pages waiting"
_POLL: Final = "/.well-known/taler-paywall/poll-payment?order_id={}&timeout={}"

#: What a round has found: at the reference, at the reference once more, and at what is measured.
Figures = tuple[float, float, float]


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
        asked = await ask(site.paywalled, f"/articles/waiting-{number}", {302})
        url = urlsplit(asked.location)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        offer = Offer(url.path.rpartition("/")[2], query["token"], "", query["session_id"])
        return cls(asked.cookie, offer)

    async def begin(self, site: Site, seconds: int) -> Waiting:
        """Wait for the payment as the page does."""
        return await begin(site.paywalled, _POLL.format(self.offer.order_id, seconds), self.cookie)


def measure() -> Iterator[Row]:
    """Measure the waiting of many beside as many requests that wait at the bare application."""
    with running_backend() as (backend, settings):
        with running_site(backend, settings) as site:
            readers = asyncio.run(_readers(site))
            yield _in_vain(site, readers[:50])
        rounds = []
        for number in range(ROUNDS):
            # In every round three of them pay.
            left = readers[3 * number :]
            with running_site(backend, settings) as site, running(BARE) as again:
                rounds.append(asyncio.run(_round(site, again, left)))
    yield from _rows(rounds)


async def _readers(site: Site) -> list[Reader]:
    return await share(range(4), lambda _, number: Reader.come(site, number), range(COUNTS[-1] + 3 * ROUNDS))


def _in_vain(site: Site, readers: Sequence[Reader]) -> Row:
    """Measure the processor time of a poll from its request to its answer that nothing has happened."""

    async def polls() -> None:
        for waiting in [await reader.begin(site, IN_VAIN) for reader in readers]:
            _insist(await waiting.answer(), paid=False)

    async def requests() -> None:
        await asyncio.gather(*(ask(site.bare, "/", {200}, reader.cookie) for reader in readers))

    def used(server: Server, work: Callable[[], Coroutine[Any, Any, None]]) -> float:
        before = server.seconds
        asyncio.run(work())
        return (server.seconds - before) / len(readers) * 1000

    name = "one poll in vain, processor time of the worker"
    ways = {"bare application": partial(used, site.bare, requests), name: partial(used, site.paywalled, polls)}
    return interleaved("e", "ms", ways).row(name)


async def _round(site: Site, again: Server, readers: Sequence[Reader]) -> dict[str, Figures]:
    """Let more and more wait at servers that have just started; pay for pages that wait alone, and for one of all."""
    one, other, *crowding = readers[: COUNTS[-1] + 2]
    servers, found = (site.bare, again, site.paywalled), dict[str, Figures]()
    begun: list[Waiting] = []
    held: list[Waiting] = []
    async with _leaving(site, begun, held), crowd(f"{site.backend.url}/", TOKEN, 1) as [wallet]:
        alone = []
        for server, reader in ((site.bare, one), (again, other)):
            await ask(server, "/", {200})
            await _wait(site, [reader], begun)
            alone.append(await _pay(wallet, reader, begun.pop()))
        before = [server.memory for server in servers]
        for count in COUNTS:
            await _wait(site, crowding[:count], begun)
            for _ in range(count - len(held) // 2):
                held += [await begin(server, "/waiting") for server in (site.bare, again)]
            grown, used = await _look(servers)
            _insist_on_waiting([*begun, *held])
            found[_memory(count)] = _figures(now - then for now, then in zip(grown, before, strict=True))
            found[_processor(count)] = _figures(used)
        found[TOLD] = _figures([*alone, await _pay(wallet, crowding[0], begun[0])])
        _insist_on_waiting(begun[1:])
    return found


async def _look(servers: Sequence[Server]) -> tuple[list[float], list[float]]:
    """Return the memory of servers where many wait, and the seconds of the processor that they take in a minute."""
    for server in servers:
        server.rest()
    began, used = time.monotonic(), [server.seconds for server in servers]
    await asyncio.sleep(IDLE_SECONDS)
    minutes = (time.monotonic() - began) / 60
    taken = [(server.seconds - before) / minutes for server, before in zip(servers, used, strict=True)]
    return [server.memory for server in servers], taken


def _memory(count: int) -> str:
    return f"{count:,} waiting pages, memory"


def _processor(count: int) -> str:
    return f"{count:,} waiting pages, processor time a minute"


def _figures(figures: Iterable[float]) -> Figures:
    base, again, measured = figures
    return base, again, measured


def _rows(rounds: Sequence[Mapping[str, Figures]]) -> Iterator[Row]:
    def row(name: str, unit: str, reference: str, **more: float) -> Row:
        base, again, measured = zip(*(found[name] for found in rounds), strict=True)
        return Rounds("e", unit, reference, {reference: base, name: measured}, again).row(name, None, **more)

    for count in COUNTS:
        reference = f"{count:,} requests that wait at the bare application"
        yield row(_memory(count), "MB", reference, count=count)
        yield row(_processor(count), "s", reference, count=count)
    yield row(TOLD, "ms", "one page waiting", slowest=max(found[TOLD][2] for found in rounds))


async def _pay(wallet: Client, reader: Reader, page: Waiting) -> float:
    """Pay an order; return the milliseconds from the wallet's payment to the answer that its page gets."""
    members(await wallet.claim(reader.offer))
    payment = await wallet.pay_timed(reader.offer)
    heard = await page.answer()
    _insist(heard, paid=True)
    return (heard.ended - payment.sent) * 1000


@contextlib.asynccontextmanager
async def _leaving(site: Site, *begun: list[Waiting]) -> AsyncIterator[None]:
    """Let all who wait go in the end, and the backend hear of it: they must not be taken for those who come next."""
    try:
        yield
    finally:
        for one in itertools.chain(*begun):
            one.leave()
        deadline = time.monotonic() + SECONDS
        while await site.figure("waiting"):
            if time.monotonic() > deadline:
                raise BenchmarkError("polls of clients that have gone still wait at the backend")
            await asyncio.sleep(0.02)


async def _wait(site: Site, readers: Sequence[Reader], begun: list[Waiting]) -> None:
    """Let the pages of all these readers wait, until the backend holds all their polls; some of them have begun."""
    while len(begun) < len(readers):
        begun += [await reader.begin(site, WAIT) for reader in readers[len(begun) :][:AT_A_TIME]]
        deadline = time.monotonic() + SECONDS
        while await site.figure("waiting") < len(begun):
            for number, page in enumerate(begun):
                if page.heard.done():
                    # Told to come again, it does so, as the page would.
                    begun[number] = await readers[number].begin(site, WAIT)
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the backend does not hold the polls of {len(begun)} pages at once")
            await asyncio.sleep(0.02)


def _insist_on_waiting(begun: Sequence[Waiting]) -> None:
    """Raise an error if some have been answered: the figures would be those of fewer."""
    if ended := [page.heard.result() for page in begun if page.heard.done()]:
        raise BenchmarkError(f"{len(ended)} of {len(begun)} were answered too soon, the first with {ended[0]}")


def _insist(heard: Heard, *, paid: bool) -> None:
    """Raise an error if a poll was answered otherwise."""
    if heard.status != 200 or json.loads(heard.body)["paid"] is not paid:
        raise BenchmarkError(f"a poll was answered with {heard.status}: {heard.body[:200]!r}")
