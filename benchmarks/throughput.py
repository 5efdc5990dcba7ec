"""Requests a second and their latency through real servers, driven by wrk: bare, free, paid and unpaid."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.server import BROWSER, GUNICORN, SECONDS, UVICORN, Server, behind, order, running
from benchmarks.shop import Sandbox
from benchmarks.table import BenchmarkError, Limit, Row, Samples, sampled

ROUNDS: Final = 8
ROUND_SECONDS: Final = 1
CONNECTIONS: Final = 16
#: Twice as many readers as connections, so that a reader's requests follow each other as they do on a real site.
READERS: Final = 2 * CONNECTIONS
#: The requests a second of the bare application that must be left (design, section 11).
LIMITS: Final = {
    "free path": Limit("ratio", 0.97, at_least=True),
    "paid path": Limit("ratio", 0.90, at_least=True),
}

#: The commands for a site alone and behind the paywall: one that does nothing itself, and one with a view.
SITES: Final = {
    "uvicorn, 1,000 bytes": (
        [*UVICORN, "benchmarks.site_asgi:small"],
        [*UVICORN, "--factory", "benchmarks.paywalled_asgi:small"],
    ),
    "uvicorn, Starlette with a template": (
        [*UVICORN, "benchmarks.site_asgi:templated"],
        [*UVICORN, "--factory", "benchmarks.paywalled_asgi:templated"],
    ),
    "gunicorn, 1,000 bytes": (
        [*GUNICORN, "benchmarks.site_wsgi:small"],
        [*GUNICORN, "benchmarks.paywalled_wsgi:small()"],
    ),
    "gunicorn, Flask with a template": (
        [*GUNICORN, "benchmarks.site_wsgi:templated"],
        [*GUNICORN, "benchmarks.paywalled_wsgi:templated()"],
    ),
}


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure every site."""
    if not shutil.which("wrk"):
        print("  left out: wrk is missing (Debian: apt-get install wrk)")
        return
    with _cores() as own:
        for site, commands in SITES.items():
            settings = behind(sandbox.url)
            with running(commands[0], **settings) as bare, running(commands[1], **settings) as paywalled:
                for server in (bare, paywalled):
                    _pin(server.pid, own)
                ways = {f"{site}: {name}": way for name, way in _ways(bare, paywalled).items()}
                for way in ways.values():
                    way.check()
                loads = sampled("c", {name: partial(way.drive, sandbox) for name, way in ways.items()}, ROUNDS)
                for way in ways.values():
                    way.check()
            yield from _rows(loads)


@dataclass(frozen=True)
class Load:
    """What a server did in a round.

    Args:
        seconds: that it took.
        p50: milliseconds within which half of the requests were answered; `p90` and `p99` likewise.
        processor: microseconds of its worker's processor time for each request.
    """

    requests: int
    seconds: float
    p50: float
    p90: float
    p99: float
    processor: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Way:
    """Requests of one kind.

    Args:
        cookies: of the readers, who ask in turns.
        status: that every answer has.
        asking: whether the merchant backend is asked for every answer.
    """

    server: Server
    path: str
    cookies: list[str]
    headers: dict[str, str]
    status: int = 200
    asking: bool = False

    def check(self) -> None:
        """Ask once for each reader, and demand the status; what is loaded at the first request is loaded then.

        Raises:
            BenchmarkError: it is another one.
        """
        with self.server.browser(self.headers) as client:
            for cookie in self.cookies:
                answer = client.get(self.path, headers={"cookie": cookie})
                if answer.status_code != self.status:
                    raise BenchmarkError(f"{self.path}: {answer.status_code} instead of {self.status}")

    def drive(self, sandbox: Sandbox) -> Load:
        """Send as much as the server bears.

        Raises:
            BenchmarkError: not all answers were what they should be, or the backend was asked for other ones.
        """
        asked, used = len(sandbox.requests), self.server.seconds
        told = self._wrk()
        # What wrk no longer waits for when its time is up is answered nevertheless, some of it in the next round.
        self.server.rest()
        asked, used = len(sandbox.requests) - asked, self.server.seconds - used
        requests = told["requests"]
        if told["broken"] or told["refused"] != (requests if self.status >= 400 else 0):
            raise BenchmarkError(f"{self.path}: not every answer was a {self.status}: {told}")
        if abs(asked - (requests if self.asking else 0)) > CONNECTIONS:
            raise BenchmarkError(f"{self.path}: the backend was asked {asked} times for {requests} answers")
        latency = {name: told[name] for name in ("p50", "p90", "p99")}
        processor = used / (asked if self.asking else requests) * 1e6
        return Load(int(requests), told["seconds"], **latency, processor=processor)

    def _wrk(self) -> dict[str, float]:
        options = ["--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{ROUND_SECONDS}s"]
        script = ["--script", str(Path(__file__).with_suffix(".lua"))]
        headers = [part for name, value in self.headers.items() for part in ("--header", f"{name}: {value}")]
        command = ["wrk", *options, *script, *headers, self.server.url + self.path, "--", *self.cookies]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS).stdout
        figures: dict[str, float] = json.loads(output.splitlines()[-1])
        return figures


def _ways(bare: Server, paywalled: Server) -> dict[str, Way]:
    """Let the same buyer ask the site alone and behind the paywall, and others who have not paid."""
    buyer = [order(paywalled, "/paid/one", paid=True)]
    others = [order(paywalled, "/paid/one", paid=False) for _ in range(READERS)]
    return {
        "bare": Way(bare, "/free/one", buyer, BROWSER),
        "free path": Way(paywalled, "/free/one", buyer, BROWSER),
        "paid path": Way(paywalled, "/paid/one", buyer, BROWSER),
        "402 of a prefetch": Way(paywalled, "/paid/one", [""], BROWSER | {"sec-purpose": "prefetch"}, 402),
        "402 of an order, the sandbox is asked": Way(
            paywalled, "/paid/one", others, {"accept": "application/json"}, 402, asking=True
        ),
    }


def _rows(loads: Samples[Load]) -> Iterator[Row]:
    """Yield for each way how many requests a second there were, how long the slowest took, and the worker's work."""
    rates, slowest = loads.rounds("requests/s", lambda load: load.rate), loads.rounds("ms", lambda load: load.p99)
    processor = loads.rounds("µs", lambda load: load.processor)
    for name in list(loads.taken)[1:]:
        medians = {
            f"{quantile} ms, {way}": statistics.median(getattr(load, quantile) for load in loads.taken[whose])
            for quantile in ("p50", "p90", "p99")
            for way, whose in (("measured", name), ("reference", rates.reference))
        }
        used = processor.row(name)
        limit = next((limit for way, limit in LIMITS.items() if name.endswith(way)), None)
        yield rates.row(name, limit, **medians, **{"processor µs": used.value, "processor added µs": used.added or 0.0})
        yield replace(slowest.row(name), name=f"{name}, 99 of 100 within")
        if limit:
            # What others do on the machine changes this least.
            yield replace(used, name=f"{name}, processor time of a request")


@contextlib.contextmanager
def _cores() -> Iterator[int]:
    """Keep this process, its sandbox and wrk to one core, and yield another for the servers."""
    before = os.sched_getaffinity(0)
    _pin(os.getpid(), max(before))
    try:
        yield min(before)
    finally:
        _pin(os.getpid(), *before)


def _pin(process: int, *cores: int) -> None:
    """Keep all threads of a process to some cores."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
