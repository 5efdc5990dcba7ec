"""What the sandbox bears: orders a second with many clients, and how soon long polls hear of a payment."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from benchmarks.crowd import KINDS, Client, Offer, Payment, crowd, share
from benchmarks.server import SECONDS, Server, free_port, running
from benchmarks.shop import TOKEN
from benchmarks.table import Limit, Row
from benchmarks.wire import figure

ORDERS: Final = 1000
CLIENTS: Final = 50
POLLS: Final = 500
#: A payment may take so long to reach those who wait for it in the median.
LIMIT_MS: Final = 200

#: How many pay at once while POLLS wait; more would measure how long payments queue up.
_PAYERS: Final = 10
# The clients are the bottleneck: an order costs them twice the processor time that it costs the sandbox. Two processes
# keep it busy as far as two cores allow; its own processor time tells what it could do.
_PROCESSES: Final = 2


@contextlib.contextmanager
def sandbox_process() -> Iterator[tuple[Server, Server]]:
    """Run a sandbox whose state is in a file; yield it and its control endpoint, of the same process."""
    with tempfile.TemporaryDirectory() as folder:
        control = free_port()
        options = ("--port", "PORT", "--control-port", f"{control}", "--token", TOKEN, "--state", f"{folder}/state")
        with running(("taler_paywall", "sandbox", *options)) as sandbox:
            yield sandbox, Server(control, sandbox.pid)


def measure(_: object) -> Iterator[Row]:
    """Measure orders a second, the delay of woken long polls, and memory; each with a sandbox that has seen nothing."""
    with sandbox_process() as (sandbox, _):
        memory, used = sandbox.memory, sandbox.seconds
        rate = _orders(sandbox)
        after, own = sandbox.memory, (sandbox.seconds - used) / ORDERS * 1000
    many = f"{ORDERS:,} orders by {CLIENTS} clients"
    yield Row("g", f"{many}: made, claimed, paid and checked", "a second", rate)
    yield Row("g", f"{many}, processor time of the sandbox for each", "ms", own)
    yield Row("g", f"{many}, memory of the sandbox then", "MB", after, "before them", memory)
    with sandbox_process() as (sandbox, control):
        yield from _polls(sandbox, control)


def _orders(sandbox: Server) -> float:
    context = multiprocessing.get_context("spawn")
    # No process begins before all of them are there.
    together = context.Barrier(_PROCESSES).wait
    with ProcessPoolExecutor(_PROCESSES, context, together, (SECONDS,)) as pool:
        spans = list(pool.map(_buy, [sandbox.url] * _PROCESSES))
    return ORDERS / (max(end for _, end in spans) - min(start for start, _ in spans))


def _buy(url: str) -> tuple[float, float]:
    """Buy a process's share of the orders; return from when to when."""

    async def run() -> None:
        async with crowd(url, TOKEN, CLIENTS // _PROCESSES) as clients:
            await share(clients, lambda client, _: client.buy(), range(ORDERS // _PROCESSES))

    start = time.monotonic()
    asyncio.run(run())
    return start, time.monotonic()


def _polls(sandbox: Server, control: Server) -> Iterator[Row]:
    """Pay orders while all of them are waited for; measure from each payment to the answer of its poll."""
    made = asyncio.run(_offers(sandbox.url))
    before = sandbox.memory
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        woken = pool.submit(_wait, sandbox.url, made)
        while asyncio.run(figure(control, "/", "waiting")) < POLLS and not woken.done():
            time.sleep(0.1)
        during = sandbox.memory
        paid = asyncio.run(_pay(sandbox.url, made))
        told = woken.result()
    for moment, since, limit in (
        ("sent", [payment.sent for payment in paid], None),
        ("answered", [payment.answered for payment in paid], Limit("value", LIMIT_MS)),
    ):
        delays = [(end - start) * 1000 for start, end in zip(since, told, strict=True)]
        name = f"{POLLS} polls wait, told after the payment was {moment}, median"
        slowest = {"p95": statistics.quantiles(delays, n=20)[-1]}
        yield Row("g", name, "ms", statistics.median(delays), limit=limit, more=slowest)
    yield Row("g", f"{POLLS} polls wait, memory of the sandbox", "MB", during, "before them", before)


async def _offers(url: str) -> list[Offer]:
    async with crowd(url, TOKEN, CLIENTS) as clients:
        return await share(clients, lambda client, _: client.offer(), range(POLLS))


async def _pay(url: str, offers: list[Offer]) -> list[Payment]:
    """Pay orders; return the payments in the orders' order."""
    payments: dict[str, Payment] = {}

    async def pay(client: Client, offer: Offer) -> None:
        payments[offer.order_id] = await client.pay_timed(offer)

    async with crowd(url, TOKEN, _PAYERS) as clients:
        await share(clients, pay, offers)
    return [payments[offer.order_id] for offer in offers]


def _wait(url: str, offers: list[Offer]) -> list[float]:
    """Wait for all orders at once; return when each was told to be paid."""

    async def run() -> list[float]:
        async with crowd(url, TOKEN, POLLS) as clients:
            asked = zip(clients, offers, itertools.cycle(KINDS), strict=False)
            return await asyncio.gather(*(client.wait(offer, kind) for client, offer, kind in asked))

    return asyncio.run(run())
