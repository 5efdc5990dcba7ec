"""What the paywall costs a worker before any request: the time of its import, and memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from benchmarks.server import BROWSER, SECONDS, UVICORN, behind, order, running
from benchmarks.shop import Sandbox
from benchmarks.table import Limit, Row, sampled

IMPORTS: Final = 11
STARTS: Final = 7
REQUESTS: Final = 1000
#: Milliseconds (design, section 11).
LIMIT: Final = Limit("value", 250.0)

#: Imports a module in an interpreter that has imported others before, and prints its seconds and processor seconds.
_TIMED: Final = """\
import time
{before}
began, used = time.perf_counter(), time.process_time()
import {module}
print(time.perf_counter() - began, time.process_time() - used)
"""


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure the imports, then the memory of a worker of uvicorn."""
    yield from _imports()
    yield from _memory(sandbox)


@dataclass(frozen=True)
class Import:
    """Milliseconds that an import took, and those of the processor."""

    all: float
    processor: float


def _imports() -> Iterator[Row]:
    """Import in fresh interpreters, from compiled files: the first time, which compiles them, does not count."""
    beside = "import httpx, starlette.applications"
    ways = {
        "import httpx": partial(_import, "httpx"),
        "import starlette.applications": partial(_import, "starlette.applications"),
        "import taler_paywall.asgi": partial(_import, "taler_paywall.asgi"),
        "import taler_paywall.wsgi": partial(_import, "taler_paywall.wsgi"),
        "import taler_paywall.asgi after httpx and starlette": partial(_import, "taler_paywall.asgi", beside),
    }
    for way in ways.values():
        way()
    samples = sampled("f", ways, IMPORTS)
    whole = samples.rounds("ms", lambda sample: sample.all)
    processor = samples.rounds("ms", lambda sample: sample.processor)
    for name in list(ways)[1:]:
        limit = LIMIT if "taler_paywall" in name else None
        yield whole.row(name, limit, **{"processor ms": processor.row(name).value})


def _import(module: str, before: str = "") -> Import:
    command = [sys.executable, "-c", _TIMED.format(module=module, before=before)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS).stdout
    whole, processor = (float(seconds) * 1000 for seconds in output.split())
    return Import(whole, processor)


@dataclass(frozen=True)
class Memory:
    """The most megabytes that a worker has had, after its start and after some requests."""

    started: float
    later: float


def _memory(sandbox: Sandbox) -> Iterator[Row]:
    """Start a worker again and again, with a view of Starlette alone and behind the paywall."""
    ways = {
        "a worker of uvicorn: bare": partial(_start, sandbox, [*UVICORN, "benchmarks.site_asgi:templated"], paid=False),
        "a worker of uvicorn: with the paywall": partial(
            _start, sandbox, [*UVICORN, "--factory", "benchmarks.paywalled_asgi:templated"], paid=True
        ),
    }
    samples = sampled("f", ways, STARTS)
    name = list(ways)[1]
    started, later = (samples.rounds("MB", figure) for figure in (lambda one: one.started, lambda one: one.later))
    yield replace(started.row(name), name=f"{name}, memory after the start")
    yield replace(later.row(name), name=f"{name}, memory after {REQUESTS:,} requests")


def _start(sandbox: Sandbox, command: list[str], *, paid: bool) -> Memory:
    """Start a worker and ask it for pages, half of them sold; the peak of its memory is that of its whole life."""
    with running(command, **behind(sandbox.url)) as server:
        started = server.peak
        headers = BROWSER | ({"cookie": order(server, "/paid/one", paid=True)} if paid else {})
        with server.browser(headers) as browser:
            for number in range(REQUESTS):
                browser.get("/paid/one" if number % 2 else "/free/one").raise_for_status()
        return Memory(started, server.peak)
