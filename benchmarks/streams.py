"""Long answers through the paywall beside the bare application: their time, their first byte, and memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from benchmarks import workers
from benchmarks.samples import Samples, sampled
from benchmarks.server import Fetched, Server, ServerError, behind, fetch, order, running
from benchmarks.shop import Sandbox
from benchmarks.streamed import EVENT_SENT, FILE, SIZE
from benchmarks.table import Limit, Row

ROUNDS: Final = 11
EVENTS: Final = 50_000
MANY_EVENTS: Final = 200_000

#: An answer through the paywall may take so much of the time that it takes without, and so many megabytes more.
LIMIT: Final = Limit("ratio", 1.05)
LIMIT_MB: Final = Limit("added", 5)

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


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure every kind of answer on both adapters, then the workers themselves."""
    for name, commands in SERVERS.items():
        with _servers(sandbox, commands) as (bare, paywalled):
            cookie = order(paywalled, "/paid/pid", paid=True)
            asked = len(sandbox.requests)
            rows = [row for kind in KINDS for row in _compare(name, kind, bare, paywalled, cookie)]
            rows.append(_long(name, bare, paywalled, cookie))
            if len(sandbox.requests) != asked:
                raise ServerError("the backend was asked during the measurement: the paid path was not cached")
        yield from rows
    yield from workers.measure(sandbox)


@dataclass(frozen=True)
class Sample:
    """What one answer has cost.

    Args:
        grown: megabytes that the worker had at the most during the answer, beyond what it had before.
    """

    fetched: Fetched
    grown: float


@contextlib.contextmanager
def _servers(sandbox: Sandbox, commands: tuple[list[str], list[str]]) -> Iterator[list[Server]]:
    """Run the application alone and behind the paywall; its file is without content on the disk."""
    with tempfile.NamedTemporaryFile() as file, contextlib.ExitStack() as stack:
        os.truncate(file.name, SIZE)
        settings = behind(sandbox) | {FILE: file.name}
        yield [stack.enter_context(running(command, **settings)) for command in commands]


def _compare(name: str, kind: str, bare: Server, paywalled: Server, cookie: str) -> Iterator[Row]:
    """Measure one kind of answer in turns: bare, on a free path, paid, and bare again."""
    size = EVENTS * EVENT_SENT if kind == "events" else SIZE
    what = f"{name}, {KINDS[kind]}"
    ways = {
        f"{what}: bare": (bare, "free"),
        f"{what}: free path": (paywalled, "free"),
        f"{what}: paid": (paywalled, "paid"),
    }
    fetching = {
        way: partial(_fetch, server, f"/{folder}/{kind}", cookie, size) for way, (server, folder) in ways.items()
    }
    samples = sampled("f", fetching, ROUNDS)
    whole = samples.rounds("s", lambda sample: sample.fetched.all)
    processor = samples.rounds("s", lambda sample: sample.fetched.processor)
    _, free, paid = ways
    for way in (free, paid):
        used = processor.row(way)
        yield whole.row(
            way, LIMIT, **{"processor s": used.value, "processor ratio": used.ratio[1] if used.ratio else 1.0}
        )
    first = samples.rounds("ms", lambda sample: sample.fetched.first * 1000)
    yield replace(first.row(paid), name=f"{paid}, first byte")
    yield _grown(samples, paid)


def _fetch(server: Server, path: str, cookie: str, size: int) -> Sample:
    server.forget_peak()
    before, _ = server.memory()
    fetched = fetch(server, path, cookie, size)
    return Sample(fetched, server.memory()[1] - before)


def _grown(samples: Samples[Sample], way: str) -> Row:
    """Return the most that a worker has grown in any round."""
    most = {name: max(sample.grown for sample in taken) for name, taken in samples.taken.items()}
    reference = next(iter(most))
    return Row("f", f"{way}, memory during it", "MB", most[way], reference, most[reference], limit=LIMIT_MB)


def _long(name: str, bare: Server, paywalled: Server, cookie: str) -> Row:
    """Look at how the workers' memory grows during a longer stream of events."""
    size = MANY_EVENTS * EVENT_SENT
    ways = {
        "bare": partial(_fetch, bare, "/free/events", "", size),
        f"{name}, {MANY_EVENTS:,} events: paid": partial(_fetch, paywalled, "/paid/events", cookie, size),
    }
    return _grown(sampled("f", ways, 2), list(ways)[1])
