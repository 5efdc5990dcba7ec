"""Microseconds that the gate takes of a request, by the kind of path, in process beside the bare application."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from itertools import product
from urllib.parse import quote, unquote

from benchmarks.inprocess import ROUNDS, discard
from benchmarks.shop import Sandbox, application, nothing, scope_of
from taler_paywall.asgi import ASGIApp, Scope

#: Longer targets are refused by the servers themselves.
MAX_TARGET = 8192
#: A round of the cheapest row takes as long as ten thousand of these.
ROUND_SECONDS = 0.02
#: What makes readings: each is repeated, alone and together with one other.
PIECES = (
    "/",
    "\\",
    ";",
    "..",
    "/..",
    "/.",
    "%25",
    "%2525",
    "%252f",
    "?",
    "#",
    " ",
    "\u200b",
    "\uff0f",
    "\ufdfa",
    "\u00e9",
    "x:",
)


def measure_gate(sandbox: Sandbox) -> dict[str, dict[str, float | str]]:
    """Measure what no payment is needed for: paths that pass, that are refused, and that are asked to be paid."""

    async def run() -> dict[str, dict[str, float | str]]:
        app = sandbox.paywalled({"/articles/{slug}/*": "KUDOS:0.5", "/premium/*": "KUDOS:1"})
        worst = await worst_path(app)
        rows = {
            "free, plain": "/about/the-paper",
            "free, ordinary, not ASCII": "/%C3%BCber-uns/%E6%9D%B1%E4%BA%AC%2C%20100%25",
            "free, odd": "/about//the-paper",
            "protected, plain (402)": "/articles/one",
            "protected, not ASCII (402)": "/articles/%E6%9D%B1%E4%BA%AC",
            "protected, odd (400)": "/articles//one",
            "worst of 8 KiB": worst,
        }
        measured = await compare(app, {name: scope(target) for name, target in rows.items()})
        print(f"  the worst path: {worst[:40]!r}, {len(worst)} characters")
        return {name: {**figures, "path": rows[name][:80]} for name, figures in measured.items()}

    return asyncio.run(run())


def scope(target: str) -> Scope:
    """Return the scope of a request that must not make an order, so that the backend is never asked."""
    made = scope_of(unquote(target))
    return {**made, "raw_path": target.encode(), "headers": [*made["headers"], (b"sec-purpose", b"prefetch")]}


async def seconds(app: ASGIApp, request: Scope, times: int) -> float:
    """Return what one of several requests takes."""
    start = time.perf_counter()
    for _ in range(times):
        await app(request, nothing, discard)
    return (time.perf_counter() - start) / times


async def compare(app: ASGIApp, requests: dict[str, Scope]) -> dict[str, dict[str, float]]:
    """Measure all rows in turns, each round as long as the others, and take the bare application off."""
    times = {name: max(1, round(ROUND_SECONDS / await seconds(app, each, 3))) for name, each in requests.items()}
    added: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(ROUNDS):
        for name, request in requests.items():
            bare = await seconds(application, request, times[name])
            added[name].append((await seconds(app, request, times[name]) - bare) * 1e6)
    result = {}
    for name, values in added.items():
        low, middle, high = statistics.quantiles(values, n=4)
        result[name] = {"added": middle, "low": low, "high": high}
        print(f"{name:38} {middle:+8.2f} µs   (quartiles {low:+.2f} {high:+.2f})")
    return result


async def worst_path(app: ASGIApp) -> str:
    """Search the longest time: every pair of pieces, repeated to several lengths, in front of what is free."""
    best, found = 0.0, "/"
    for target in candidates():
        request = scope(target)
        taken = min([await seconds(app, request, 1) for _ in range(2)])
        if taken > best:
            best, found = taken, target
    return found


def candidates() -> Iterator[str]:
    """Yield targets of repeated pieces, short enough for a server."""
    for (one, other), size in product(product(PIECES, PIECES), (64, 256, 1024, MAX_TARGET)):
        piece = quote(f"{one}a{other}", safe="/%;\\?#:")
        yield "/" + piece * max(1, (size - 1) // len(piece))
