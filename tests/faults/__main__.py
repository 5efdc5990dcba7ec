"""Half an hour of every fault under load: ``PYTHONPATH=tests python -m faults --minutes 30``.

A fault a minute, as many of them as there is time for, at two servers of four workers; the table of what came of them,
and the memory of the workers at start, middle and end.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from .catalogue import FULL, NOTHING
from .row import HEAD, Row
from .run import AFTER, BEFORE, Trial
from .world import World, opened, start_site

#: From one fault to the next, in seconds; it is on for half of the time.
PERIOD = 60.0
#: Who is asked after each fault whether the page is open that they paid; in the end everybody is.
NEWEST = 100
#: By so much the four workers of a site may grow in the second half, in MiB.
MAX_GROWN = 64.0


async def soak(world: World, minutes: float) -> list[Row]:
    """Let one fault follow the other, with quiet times between them, and print a row for each."""
    trial = Trial(world)
    loop = asyncio.get_running_loop()
    start, rows = loop.time(), []
    print(HEAD)
    memory = _memory(world, "start")
    middle = start + 30 * minutes
    for fault in itertools.cycle(fault for fault in FULL if world.redis or not fault.name.startswith("Redis")):
        if loop.time() >= start + 60 * minutes:
            break
        quiet = replace(NOTHING, seconds=PERIOD / 2 - BEFORE - AFTER)
        for each in (replace(fault, seconds=max(fault.seconds, PERIOD / 2 - BEFORE - AFTER)), quiet):
            found = await trial.run(each, NEWEST)
            rows.extend(found)
            _show(found)
        if middle and loop.time() >= middle:
            middle = 0.0
            memory = _memory(world, "middle")
    rows.extend(await trial.run(NOTHING))
    _show(rows[-len(world.sites) :])
    grown = [end - middle for end, middle in zip(_memory(world, "end"), memory, strict=True)]
    assert max(grown) < MAX_GROWN, f"the workers have grown by {grown} MiB since the middle"
    await trial.aclose()
    return rows


def _show(rows: list[Row]) -> None:
    for row in rows:
        print(row, *row.examples, sep="\n    ", flush=True)


def _memory(world: World, when: str) -> list[float]:
    """Tell what the workers have in memory, and return it for each site, in MiB."""
    told = [site.memory for site in world.sites]
    for site, mebibytes in zip(world.sites, told, strict=True):
        print(f"memory at the {when}: {site.protocol} {mebibytes:.0f} MiB in {len(site.workers)} workers", flush=True)
    return told


def main() -> int:
    """Run, and tell whether all was well."""
    parser = ArgumentParser(prog="faults", description="Every fault under load.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--without-redis", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), shared=not options.without_redis) as world:
        for protocol in ("asgi", "wsgi"):
            start_site(world, Path(folder, protocol), protocol)
        rows = asyncio.run(soak(world, options.minutes))
    bad = [row for row in rows if not row.is_well]
    print(f"{len(rows)} rows, {len(bad)} of them not well", *bad, sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
