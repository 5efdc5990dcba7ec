"""Long answers through the paywall beside the bare application: their time, their first byte, and memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import httpx

from benchmarks.server import Fetched, Server, fetch, running
from benchmarks.shop import TOKEN, Sandbox, pay, scope_of
from benchmarks.streamed import EVENT_SENT, FILE, SIZE

ROUNDS: Final = 21
EVENTS: Final = 50_000
MANY_EVENTS: Final = 200_000

#: An answer through the paywall may take so much of the time that it takes without, and so many megabytes more.
LIMIT: Final = 1.05
LIMIT_MB: Final = 5

KINDS: Final = {
    "download": f"{SIZE / 1e6:.0f} MB in chunks",
    "file": f"{SIZE / 1e6:.0f} MB from a file",
    "events": f"{EVENTS:,} events",
}
_UVICORN: Final = ["uvicorn", "--host", "127.0.0.1", "--port", "PORT", "--log-level", "warning"]
_GUNICORN: Final = ["gunicorn", "--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--threads", "8"]
#: The commands for the application alone and behind the paywall.
SERVERS: Final = {
    "uvicorn": (
        [*_UVICORN, "benchmarks.origin_asgi:bare"],
        [*_UVICORN, "--factory", "benchmarks.origin_asgi:paywalled"],
    ),
    "gunicorn threads": (
        [*_GUNICORN, "--log-level", "warning", "benchmarks.origin_wsgi:bare"],
        [*_GUNICORN, "--log-level", "warning", "benchmarks.origin_wsgi:paywalled()"],
    ),
}


@dataclass
class Way:
    """One way to an answer, and what it has cost.

    Args:
        grown: megabytes that the worker had at the most during an answer, beyond what it had before.
    """

    server: Server
    folder: str
    cookie: str
    fetched: list[Fetched] = field(default_factory=list)
    grown: list[float] = field(default_factory=list)

    def measure(self, kind: str, size: int) -> None:
        """Fetch once."""
        self.server.forget_peak()
        before, _ = self.server.memory()
        self.fetched.append(fetch(self.server, f"/{self.folder}/{kind}", self.cookie, size))
        self.grown.append(self.server.memory()[1] - before)

    @property
    def first_ms(self) -> float:
        """The median of the milliseconds until the first byte."""
        return statistics.median(one.first for one in self.fetched) * 1000


def measure_streams(sandbox: Sandbox) -> dict[str, object]:
    """Measure every kind of answer on both adapters."""
    print(f"streams: limits x {LIMIT} of the bare application's time, {LIMIT_MB:+} MB of the worker's memory")
    result: dict[str, object] = {}
    for name, commands in SERVERS.items():
        with _servers(sandbox, commands) as (bare, paywalled):
            cookie = _buy(paywalled)
            asked = len(sandbox.requests)
            for kind, what in KINDS.items():
                result[f"{name}, {what}"] = _compare(name, kind, bare, paywalled, cookie)
            result[f"{name}, memory"] = _memory(bare, paywalled, cookie)
            if len(sandbox.requests) != asked:
                msg = "the backend was asked during the measurement: the paid path was not cached"
                raise RuntimeError(msg)
    return result


@contextlib.contextmanager
def _servers(sandbox: Sandbox, commands: tuple[list[str], list[str]]) -> Iterator[list[Server]]:
    """Run the application alone and behind the paywall; its file is without content on the disk."""
    with tempfile.NamedTemporaryFile() as file, contextlib.ExitStack() as stack:
        os.truncate(file.name, SIZE)
        settings = {
            FILE: file.name,
            "TALER_PAYWALL_BACKEND": sandbox.url,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": secrets.token_urlsafe(32),
        }
        yield [stack.enter_context(running(command, **settings)) for command in commands]


def _buy(server: Server) -> str:
    """Buy what is for sale as a browser does, and return its cookies as a header."""
    headers = [pair for pair in scope_of("/")["headers"] if pair[0] != b"host"]
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as browser:
        asyncio.run(pay(browser.get("/paid/pid").headers["location"]))
        browser.get("/paid/pid").raise_for_status()
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)


def _compare(name: str, kind: str, bare: Server, paywalled: Server, cookie: str) -> dict[str, object]:
    """Measure one kind of answer in turns: bare, on a free path, paid, and bare again."""
    size = EVENTS * EVENT_SENT if kind == "events" else SIZE
    ways = {
        "bare": Way(bare, "free", cookie),
        "free path": Way(paywalled, "free", cookie),
        "paid": Way(paywalled, "paid", cookie),
        "bare again": Way(bare, "free", cookie),
    }
    for _ in range(ROUNDS):
        for way in ways.values():
            way.measure(kind, size)
    first, again = ways["bare"], ways["bare again"]
    base, first_ms = statistics.median(one.all for one in first.fetched), first.first_ms
    result: dict[str, object] = {"seconds": base, "first ms": first_ms}
    print(f"{f'{name}, {KINDS[kind]}':38} {base:8.3f} s   (first byte after {first_ms:.1f} ms)")
    for way_name in ("bare again", "free path", "paid"):
        way = ways[way_name]
        beside = [first.fetched] if way is again else [first.fetched, again.fetched]
        time = _ratio(way.fetched, beside, "all")
        processor = _ratio(way.fetched, beside, "processor")
        added, delay = max(way.grown) - max(first.grown), way.first_ms - first_ms
        print(
            f"{f'  {way_name}':38} x {time[1]:6.3f}     (quartiles {time[0]:.3f} {time[2]:.3f}; processor time x "
            f"{processor[1]:.3f}, {processor[0]:.3f} {processor[2]:.3f}; first byte {delay:+.1f} ms; {added:+.1f} MB)"
        )
        result[way_name] = {"time": time, "processor time": processor, "first ms": way.first_ms, "MB added": added}
    return result


def _ratio(fetched: list[Fetched], beside: list[list[Fetched]], what: str) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile of what is beside the mean of others in the same round."""
    ratios = [
        getattr(one, what) / statistics.mean(getattr(other, what) for other in others)
        for one, *others in zip(fetched, *beside, strict=True)
    ]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return low, middle, high


def _memory(bare: Server, paywalled: Server, cookie: str) -> dict[str, tuple[float, float, float]]:
    """Look at the workers' memory before, during and after a long stream of events."""
    result: dict[str, tuple[float, float, float]] = {}
    for name, way in {"bare": Way(bare, "free", ""), "paid": Way(paywalled, "paid", cookie)}.items():
        before, _ = way.server.memory()
        way.measure("events", MANY_EVENTS * EVENT_SENT)
        after, peak = way.server.memory()
        label = f"  memory, {MANY_EVENTS:,} events, {name}"
        print(f"{label:38} {before:8.1f} MB before, {peak:.1f} at most, {after:.1f} after")
        result[name] = before, peak, after
    return result
