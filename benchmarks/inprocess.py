"""Microseconds that one request takes longer than the bare application, in process and without a server."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.shop import Cookies, Sandbox, application, buy, nothing, scope_of, visit
from taler_paywall import Rule
from taler_paywall.asgi import ASGIApp, Scope

ROUNDS = 15
REQUESTS = 4000


async def discard(_: Any) -> None:
    """Send nowhere."""


async def once(app: ASGIApp, scope: Scope) -> float:
    """Return microseconds per request of one round."""
    start = time.perf_counter()
    for _ in range(REQUESTS):
        await app(scope, nothing, discard)
    return (time.perf_counter() - start) / REQUESTS * 1e6


async def compare(rows: Sequence[tuple[str, ASGIApp, Scope]]) -> dict[str, dict[str, float]]:
    """Measure all rows in turns, each beside the bare application and a second run of that."""
    times: dict[str, list[float]] = {name: [] for name, _, _ in rows}
    bare: list[float] = []
    again: list[float] = []
    for _ in range(ROUNDS):
        bare.append(await once(application, rows[0][2]))
        for name, app, scope in rows:
            times[name].append(await once(app, scope))
        again.append(await once(application, rows[0][2]))
    base = statistics.median(bare)
    print(f"{'bare application':38} {base:8.2f} µs   (a second bare run: {statistics.median(again) - base:+.2f} µs)")
    result = {"bare": {"median": base, "again": statistics.median(again)}}
    for name, values in times.items():
        added = [value - beside for value, beside in zip(values, bare, strict=True)]
        low, _, high = statistics.quantiles(added, n=4)
        result[name] = {"added": statistics.median(added), "low": low, "high": high}
        print(f"{name:38} {statistics.median(added):+8.2f} µs   (quartiles {low:+.2f} {high:+.2f})")
    return result


def measure_requests(sandbox: Sandbox) -> dict[str, dict[str, float]]:
    """Measure free and paid requests; the payment is a real one at the sandbox."""

    async def run() -> dict[str, dict[str, float]]:
        one = sandbox.paywalled({"/articles/{slug}/*": "KUDOS:0.5"}, recheck_after=3600)
        many = sandbox.paywalled([Rule(f"/section-{n}/{{slug}}/*", "KUDOS:0.5") for n in range(1000)])
        cookies: Cookies = {}
        await buy(one, "/articles/one", cookies)
        await visit(one, "/articles/one", cookies)
        unpaid = scope_of("/articles/one")
        unpaid["headers"] = [*unpaid["headers"], (b"sec-purpose", b"prefetch")]
        # The first price that is shown asks how the currency is written.
        await once(one, unpaid)
        asked = len(sandbox.requests)
        rows = [
            ("free path, 1 rule", one, scope_of("/about/the-paper")),
            ("free path, 1,000 rules", many, scope_of("/about/the-paper")),
            ("paid path, cookie and cache", one, scope_of("/articles/one", cookies)),
            ("402 without an order", one, unpaid),
        ]
        result = await compare(rows)
        if len(sandbox.requests) != asked:
            msg = "the backend was asked during the measurement: the paid path was not cached"
            raise RuntimeError(msg)
        return result

    return asyncio.run(run())
