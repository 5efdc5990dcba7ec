"""Microseconds that the gate takes of a request, by the kind of path, the worst that can be found included."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Final
from urllib.parse import quote

from benchmarks.fresh import asgi, compare, message
from benchmarks.shop import Sandbox, application
from benchmarks.table import Row
from taler_paywall.asgi import ASGIApp
from taler_paywall.gate import MAX_KNOWN

#: Longer targets are refused by the servers themselves.
MAX_TARGET: Final = 8192
#: What makes readings: each is repeated, alone and together with one other.
PIECES: Final = (
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
RULES: Final = {"/articles/{slug}/*": "KUDOS:0.5", "/premium/*": "KUDOS:1"}
#: Name of the row, how the target begins, and what is answered.
KINDS: Final = (
    ("free path, ordinary, not ASCII", "/%C3%BCber-uns/%E6%9D%B1%E4%BA%AC%2C%20100%25", 200),
    ("free path, odd", "/about//the-paper", 200),
    ("sold path, plain (402, HTML page)", "/articles/one", 402),
    ("sold path, not ASCII (402, HTML page)", "/articles/%E6%9D%B1%E4%BA%AC", 402),
    ("sold path, odd (400)", "/articles//one", 400),
)
#: In turns, more paths than the gate remembers: each is looked at as if it came for the first time.
VARIANTS: Final = MAX_KNOWN + 32


def measure(loop: asyncio.AbstractEventLoop, sandbox: Sandbox) -> Iterator[Row]:
    """Measure paths that pass, that are refused, and that have to be paid, by requests that must not order."""
    app = sandbox.paywalled(RULES)
    worst = worst_path(loop, app)
    found = asgi(loop, app, _variants(worst))
    # The first price that is shown asks how the currency is written: that is over when the clock runs.
    status = [found.ask(found.make(message(target, sec_purpose=b"prefetch"))).status for target in ("/premium/", worst)]
    name_of_worst = f"worst path of {MAX_TARGET // 1024} KiB ({status[-1]})"
    ways = {"bare application": asgi(loop, application, _variants("/about/the-paper"))}
    for name, target, expected in (*KINDS, (name_of_worst, worst, status[-1])):
        ways[name] = asgi(loop, app, _variants(target), expected, b"" if expected == 200 else b"cache-control")
    with sandbox.unasked():
        for row in compare("a", ways):
            yield replace(row, more={"path": worst[:40]}) if row.name == name_of_worst else row
    loop.run_until_complete(app.aclose())


def _variants(target: str) -> list[bytes]:
    """Return requests for many paths of a kind, none of which may make an order."""
    return [message(f"{target}{number}", sec_purpose=b"prefetch") for number in range(VARIANTS)]


def worst_path(loop: asyncio.AbstractEventLoop, app: ASGIApp) -> str:
    """Search the longest time: every pair of pieces, repeated to several lengths, in front of what is free."""
    best, found = 0.0, "/"
    for target in candidates():
        # Two paths: the gate remembers what it has looked at.
        way = asgi(loop, app, [message(f"{target}{number}", sec_purpose=b"prefetch") for number in range(2)])
        taken = min(way.serve([way.make(sent)]) for sent in way.messages)
        if taken > best:
            best, found = taken, target
    return found


def candidates() -> Iterator[str]:
    """Yield targets of repeated pieces, short enough for a server even with four digits at the end."""
    for (one, other), size in product(product(PIECES, PIECES), (64, 256, 1024, MAX_TARGET)):
        piece = quote(f"{one}a{other}", safe="/%;\\:")
        yield "/" + piece * max(1, (size - 5) // len(piece))
