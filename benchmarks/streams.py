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
from benchmarks.server import GUNICORN, UVICORN, Server, behind, order, running
from benchmarks.shop import Sandbox
from benchmarks.streamed import EVENT_SENT, FILE, SIZE
from benchmarks.table import Limit, Row, Samples, sampled
from benchmarks.wire import Download, download

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
#: The commands for the application alone and behind the paywall.
SERVERS: Final = {
    "uvicorn": (
        [*UVICORN, "benchmarks.streams_asgi:bare"],
        [*UVICORN, "--factory", "benchmarks.streams_asgi:paywalled"],
    ),
    "gunicorn threads": (
        [*GUNICORN, "benchmarks.streams_wsgi:bare"],
        [*GUNICORN, "benchmarks.streams_wsgi:paywalled()"],
    ),
}


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure every kind of answer on both adapters, then the workers themselves."""
    for name, commands in SERVERS.items():
        with _servers(sandbox, commands) as (bare, paywalled):
            cookie = order(paywalled, "/paid/pid", paid=True)
            with sandbox.unasked():
                for kind in KINDS:
                    yield from _compare(name, kind, bare, paywalled, cookie)
                yield _long(name, bare, paywalled, cookie)
    yield from workers.measure(sandbox)


@dataclass(frozen=True)
class Sample:
    """What one answer has cost.

    Args:
        grown: megabytes that the worker had at the most during the answer, beyond what it had before.
    """

    download: Download
    grown: float


@contextlib.contextmanager
def _servers(sandbox: Sandbox, commands: tuple[list[str], list[str]]) -> Iterator[list[Server]]:
    """Run the application alone and behind the paywall; its file is without content on the disk."""
    with tempfile.NamedTemporaryFile() as file, contextlib.ExitStack() as stack:
        os.truncate(file.name, SIZE)
        settings = behind(sandbox.url) | {FILE: file.name}
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
        way: partial(_sample, server, f"/{folder}/{kind}", cookie, size) for way, (server, folder) in ways.items()
    }
    samples = sampled("f", fetching, ROUNDS)
    whole = samples.rounds("s", lambda sample: sample.download.all)
    processor = samples.rounds("s", lambda sample: sample.download.processor)
    _, free, paid = ways
    for way in (free, paid):
        used = processor.row(way)
        yield whole.row(
            way, LIMIT, **{"processor s": used.value, "processor ratio": used.ratio[1] if used.ratio else 1.0}
        )
    first = samples.rounds("ms", lambda sample: sample.download.first * 1000)
    yield replace(first.row(paid), name=f"{paid}, first byte")
    yield _grown(samples, paid)


def _sample(server: Server, path: str, cookie: str, size: int) -> Sample:
    server.forget_peak()
    before = server.memory
    taken = download(server, path, cookie, size)
    # The events go on until the server hears that nobody listens; that must not fall into the next round.
    server.rest()
    return Sample(taken, server.peak - before)


def _grown(samples: Samples[Sample], way: str) -> Row:
    """Return the most that a worker has grown in any round."""
    most = {name: max(sample.grown for sample in taken) for name, taken in samples.taken.items()}
    reference = next(iter(most))
    return Row("f", f"{way}, most memory during it", "MB", most[way], reference, most[reference], limit=LIMIT_MB)


def _long(name: str, bare: Server, paywalled: Server, cookie: str) -> Row:
    """Look at how the workers' memory grows during a longer stream of events."""
    size = MANY_EVENTS * EVENT_SENT
    ways = {
        "bare": partial(_sample, bare, "/free/events", cookie, size),
        f"{name}, {MANY_EVENTS:,} events: paid": partial(_sample, paywalled, "/paid/events", cookie, size),
    }
    return _grown(sampled("f", ways, 2), list(ways)[1])
