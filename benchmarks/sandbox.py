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

TOKEN: Final = "secret-token:bench"
ORDERS: Final = 1000
CLIENTS: Final = 50
POLLS: Final = 500
#: A payment may take so long to reach those who wait for it (issue: median at most 200 ms).
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


def measure_sandbox() -> dict[str, float]:
    """Measure orders a second, the delay of woken long polls, and memory."""
    with sandbox_process() as sandbox:
        memory, used = sandbox.megabytes, sandbox.seconds
        rate = _orders(sandbox)
        after, own = sandbox.megabytes, (sandbox.seconds - used) / ORDERS * 1000
    print(f"{'order, claim, pay, check':38} {rate:8.0f} a second   ({ORDERS:,} by {CLIENTS} clients)")
    print(f"{'  processor time of the sandbox':38} {own:8.1f} ms each   (it alone could do {1000 / own:.0f} a second)")
    print(f"{'  memory of the sandbox':38} {memory:8.1f} MB before, {after:.1f} MB after")
    result = {"orders per second": rate, "ms per order": own, "MB before orders": memory, "MB after orders": after}
    with sandbox_process() as sandbox:
        return {**result, **_polls(sandbox)}


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


def _polls(sandbox: Sandbox) -> dict[str, float]:
    """Pay orders while all of them are waited for; measure from each payment to the answer of its poll."""
    made = asyncio.run(_offers(sandbox.url))
    before = sandbox.megabytes
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        woken = pool.submit(_wait, sandbox.url, made)
        while sandbox.waiting < POLLS and not woken.done():
            time.sleep(0.1)
        during = sandbox.megabytes
        paid = asyncio.run(_pay(sandbox.url, made))
        answered = woken.result()
    after = sandbox.megabytes
    result = {"MB before polls": before, "MB during polls": during, "MB after polls": after}
    for name, since in (
        ("sent", [payment.sent for payment in paid]),
        ("answered", [payment.answered for payment in paid]),
    ):
        delays = sorted((end - start) * 1000 for start, end in zip(since, answered, strict=True))
        median, high = statistics.median(delays), delays[int(len(delays) * 0.95)]
        print(
            f"{f'poll told, after payment was {name}':38} {median:8.1f} ms   (95 %: {high:.1f} ms; limit {LIMIT_MS} ms)"
        )
        result |= {f"median ms since {name}": median, f"p95 ms since {name}": high}
    print(f"{f'  memory, {POLLS} polls':38} {before:8.1f} MB before, {during:.1f} MB with them, {after:.1f} MB after")
    return result


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
