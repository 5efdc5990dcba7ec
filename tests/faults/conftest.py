"""The short run: one world for all faults, whose readers stay; the table of what came of them is shown in the end."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator, Sequence

import pytest

from .catalogue import NOTHING
from .row import HEAD, Row
from .run import Trial
from .strikes import Fault
from .world import opened, start_site

Run = Callable[[Fault], list[Row]]
#: Who is asked after each fault whether the page is open that they paid; in the end everybody is.
NEWEST, EVERYBODY = 80, 10**6
#: By so much the four workers of a site may grow meanwhile, in MiB.
MAX_GROWN = 150.0
ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()
MEMORY: pytest.StashKey[str] = pytest.StashKey()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the table."""
    if rows := config.stash.get(ROWS, []):
        terminalreporter.section("faults")
        for line in (HEAD, *rows):
            terminalreporter.write_line(str(line))
        terminalreporter.write_line(config.stash.get(MEMORY, ""))


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Callable[[Sequence[Row]], None]:
    """Return what puts rows into the table."""
    return request.config.stash.setdefault(ROWS, []).extend


@pytest.fixture(scope="package")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner
    with warnings.catch_warnings():
        # Connections of readers who went away in the middle of an answer.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="package")
def run(
    request: pytest.FixtureRequest,
    runner: asyncio.Runner,
    note: Callable[[Sequence[Row]], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Run]:
    """Return what lets a fault strike both sites."""
    home = tmp_path_factory.mktemp("faults")
    with opened(home, shared=True) as world:
        for protocol in ("asgi", "wsgi"):
            start_site(world, home / protocol, protocol)
        trial = Trial(world)

        def run(fault: Fault, newest: int = NEWEST) -> list[Row]:
            rows = runner.run(trial.run(fault, newest))
            note(rows)
            return rows

        started = [site.memory for site in world.sites]
        before = run(NOTHING)
        assert all(row.is_well for row in before), [(str(row), row.examples) for row in before]
        yield run
        after = run(NOTHING, EVERYBODY)
        assert all(row.is_well for row in after), [(str(row), row.examples) for row in after]
        runner.run(trial.aclose())
        ended = [site.memory for site in world.sites]
        told = (
            f"{site.protocol} {start:.0f} MiB, then {end:.0f} MiB"
            for site, start, end in zip(world.sites, started, ended, strict=True)
        )
        request.config.stash[MEMORY] = f"memory of the workers: {'; '.join(told)}"
        grown = [end - start for start, end in zip(started, ended, strict=True)]
        assert max(grown) < MAX_GROWN, f"the workers have grown by {grown} MiB"
