"""Visitors without cookies who come for as long as they can: how many orders they get, and who notices."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import httpx

from benchmarks import site_asgi, site_wsgi
from benchmarks.growth_site import FIGURES
from benchmarks.growth_visitors import running_backend
from benchmarks.server import GUNICORN, UVICORN, Server, running
from benchmarks.shop import TOKEN
from benchmarks.table import Limit, Row
from benchmarks.wire import ask, figure
from taler_paywall import asgi, wsgi
from taler_paywall.settings import Options, RuleList

VISITORS: Final = 50_000
#: So many come at once, each on a connection of its own.
_AT_ONCE: Final = 32
#: Somebody reads a free page every so many seconds.
_PAUSE: Final = 0.02
#: So many free pages are read before the flood.
_CALM: Final = 300
#: New orders a minute: what a site gets that says nothing, for all clients together.
MAX_ORDERS: Final = 600
_RULES: Final[RuleList] = {"/articles/{slug}": "KUDOS:5"}
# All of them come from one address, and one client alone would get a tenth of it.
_OPTIONS: Final[Options] = {"max_orders": MAX_ORDERS, "max_orders_per_client": None}
_SERVERS: Final = {
    "uvicorn": [*UVICORN, "--factory", "benchmarks.flood:paywalled_asgi"],
    "gunicorn": [*GUNICORN, "benchmarks.flood:paywalled_wsgi()"],
}


def paywalled_asgi() -> asgi.PaywallMiddleware:
    """Return the smallest site behind the paywall."""
    return asgi.PaywallMiddleware(site_asgi.small, _RULES, **_OPTIONS)


def paywalled_wsgi() -> wsgi.PaywallMiddleware:
    """Return the same of WSGI."""
    return wsgi.PaywallMiddleware(site_wsgi.small, _RULES, **_OPTIONS)


def measure() -> Iterator[Row]:
    """Flood both sites, each with a backend of its own whose ledger tells what was made."""
    for name, command in _SERVERS.items():
        with running_backend() as (backend, settings), running(command, **settings) as site:
            yield from _rows(f"{name}, {VISITORS:,} visitors without cookies", site, backend)


@dataclass
class _Flood:
    """Visitors, and somebody who reads what is free meanwhile.

    Args:
        statuses: of the visitors' answers.
        free: how long each free page took, in milliseconds.
        seconds: that it took.
    """

    server: Server
    statuses: Counter[int] = field(default_factory=Counter)
    free: list[float] = field(default_factory=list)
    seconds: float = 0.0

    async def read(self, pages: int | None = None) -> None:
        """Read so many free pages one after the other, or go on until cancelled."""
        for _ in itertools.repeat(None) if pages is None else range(pages):
            self.free.append((await ask(self.server, "/free", {200})).milliseconds)
            await asyncio.sleep(_PAUSE)

    async def rage(self) -> None:
        """Let all come."""
        numbers, began = iter(range(VISITORS)), time.monotonic()

        async def visit() -> None:
            for number in numbers:
                # With 503 a visitor is asked to come again, which a backend that is busy may need.
                self.statuses[(await ask(self.server, f"/articles/{number}", {302, 429, 503})).status] += 1

        reading = asyncio.create_task(self.read())
        await asyncio.gather(*(visit() for _ in range(_AT_ONCE)))
        self.seconds = time.monotonic() - began
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading

    @property
    def slowest(self) -> float:
        """What 99 of 100 free pages were there within, in milliseconds."""
        return statistics.quantiles(self.free, n=100, method="inclusive")[-1]


def _rows(name: str, site: Server, backend: Server) -> Iterator[Row]:
    calm, flood = _Flood(site), _Flood(site)
    asyncio.run(calm.read(_CALM))
    memory, asked = site.memory, asyncio.run(figure(backend, FIGURES, "asked"))
    asyncio.run(flood.rage())
    asked = asyncio.run(figure(backend, FIGURES, "asked")) - asked
    made = len(_orders(backend))
    allowed = MAX_ORDERS + math.ceil(MAX_ORDERS * flood.seconds / 60)
    yield Row("e", f"{name}, answered", "a second", VISITORS / flood.seconds)
    yield Row("e", f"{name}, orders made", "orders", made, limit=Limit("value", allowed))
    yield Row("e", f"{name}, told to come again", "visitors", flood.statuses[429] + flood.statuses[503])
    yield Row("e", f"{name}, calls of the backend", "calls", asked, limit=Limit("value", 2 * allowed))
    yield Row("e", f"{name}, memory of the worker then", "MB", site.memory, "before", memory)
    yield Row("e", f"{name}, free pages meanwhile, 99 of 100 within", "ms", flood.slowest, "before", calm.slowest)


def _orders(backend: Server) -> list[object]:
    owner, query = {"Authorization": f"Bearer {TOKEN}"}, {"limit": "-10000", "delta": "-10000"}
    told = httpx.get(f"{backend.url}/private/orders", params=query, headers=owner, trust_env=False)
    found: list[object] = told.raise_for_status().json()["orders"]
    return found
