"""What the sandbox bears: orders a second with many clients, and how soon long polls hear of a payment."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

import httpx

from benchmarks.crowd import KINDS, Client, Offer, Payment, crowd, share
from benchmarks.table import Limit, Row

TOKEN: Final = "secret-token:bench"
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


@dataclass(frozen=True)
class Sandbox:
    """A sandbox in a process of its own, whose state is in a file."""

    url: str
    control: str
    pid: int

    @property
    def waiting(self) -> int:
        """How many long polls wait now."""
        return int(httpx.get(self.control, trust_env=False).json()["waiting"])

    @property
    def seconds(self) -> float:
        """The processor time that it has used."""
        # User and system time, counted after the name, which is in brackets.
        ticks = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    @property
    def megabytes(self) -> float:
        """Its resident memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[0]) / 1024


@contextlib.contextmanager
def sandbox_process() -> Iterator[Sandbox]:
    """Run a sandbox on a free port."""
    with tempfile.TemporaryDirectory() as directory:
        options = ("--port", "0", "--token", TOKEN, "--state", f"{directory}/state.sqlite", "--control")
        command = [sys.executable, "-m", "taler_paywall", "sandbox", *options]
        home = {"XDG_STATE_HOME": directory, "HOME": directory}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=home) as process:
            lines = [process.stdout.readline() if process.stdout else "" for _ in range(2)]
            url, control = (line.rpartition(" ")[2].strip() for line in lines)
            try:
                yield Sandbox(url, control, process.pid)
            finally:
                process.terminate()


def measure(_: object) -> Iterator[Row]:
    """Measure orders a second, the delay of woken long polls, and memory; each with a sandbox that has seen nothing."""
    with sandbox_process() as sandbox:
        memory, used = sandbox.megabytes, sandbox.seconds
        rate = _orders(sandbox)
        after, own = sandbox.megabytes, (sandbox.seconds - used) / ORDERS * 1000
    many = f"{ORDERS:,} orders by {CLIENTS} clients"
    yield Row("g", f"{many}: made, claimed, paid and checked", "a second", rate)
    yield Row("g", f"{many}, processor time of the sandbox for each", "ms", own)
    yield Row("g", f"{many}, memory of the sandbox then", "MB", after, "before them", memory)
    with sandbox_process() as sandbox:
        yield from _polls(sandbox)


def _orders(sandbox: Sandbox) -> float:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(_PROCESSES, context) as pool:
        gate = manager.Barrier(_PROCESSES)
        spans = list(pool.map(_buy, [sandbox.url] * _PROCESSES, [gate] * _PROCESSES))
    return ORDERS / (max(end for _, end in spans) - min(start for start, _ in spans))


def _buy(url: str, gate: Barrier) -> tuple[float, float]:
    """Buy a process's share of the orders; return from when to when."""

    async def run() -> None:
        async with crowd(url, TOKEN, CLIENTS // _PROCESSES) as clients:
            await share(clients, lambda client, _: client.buy(), range(ORDERS // _PROCESSES))

    gate.wait()
    start = time.monotonic()
    asyncio.run(run())
    return start, time.monotonic()


def _polls(sandbox: Sandbox) -> Iterator[Row]:
    """Pay orders while all of them are waited for; measure from each payment to the answer of its poll."""
    made = asyncio.run(_offers(sandbox.url))
    before = sandbox.megabytes
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        woken = pool.submit(_wait, sandbox.url, made)
        while sandbox.waiting < POLLS and not woken.done():
            time.sleep(0.1)
        during = sandbox.megabytes
        paid = asyncio.run(_pay(sandbox.url, made))
        told = woken.result()
    for moment, since, limit in (
        ("sent", [payment.sent for payment in paid], None),
        ("answered", [payment.answered for payment in paid], Limit("value", LIMIT_MS)),
    ):
        delays = sorted((end - start) * 1000 for start, end in zip(since, told, strict=True))
        name = f"{POLLS} polls wait, told after the payment was {moment}, median"
        yield Row("g", name, "ms", statistics.median(delays), limit=limit, more={"p95": delays[int(POLLS * 0.95)]})
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
