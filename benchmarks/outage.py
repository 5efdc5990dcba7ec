"""How soon readers are answered while the backend is away, once the circuit is open."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
from typing import Final

from benchmarks import flood
from benchmarks.server import GUNICORN, UVICORN, Server, behind, free_port, running
from benchmarks.table import Limit, Row
from benchmarks.wire import ask

#: How many are told to come again, one after the other, for each row.
_ASKED: Final = 500
#: More than it takes until the backend is not asked any more.
_FAILED: Final = 20
#: Within so many milliseconds they are told.
_SOON: Final = 10.0
_SERVERS: Final = {
    "uvicorn": [*UVICORN, "--factory", f"{flood.__name__}:paywalled_asgi"],
    "gunicorn": [*GUNICORN, f"{flood.__name__}:paywalled_wsgi()"],
}


def measure() -> Iterator[Row]:
    """Ask both sites for what is sold, and for what is free, while nobody is at the backend's address."""
    for name, command in _SERVERS.items():
        with running(command, **behind(f"http://127.0.0.1:{free_port()}/")) as site:
            asyncio.run(_times(site, "/articles/1", 503, _FAILED))
            told, free = asyncio.run(_both(site))
        row = f"{name}, the backend is away, 99 of 100 told within"
        yield Row("e", row, "ms", _slowest(told), "free", _slowest(free), limit=Limit("value", _SOON))


async def _both(site: Server) -> tuple[list[float], list[float]]:
    return await _times(site, "/articles/1", 503, _ASKED), await _times(site, "/free", 200, _ASKED)


async def _times(site: Server, target: str, status: int, times: int) -> list[float]:
    return [(await ask(site, target, {status})).milliseconds for _ in range(times)]


def _slowest(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[-1]
