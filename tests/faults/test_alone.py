"""Workers that share nothing, at a site whose readers do not read on while the backend is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from .catalogue import BACKEND_KILLED, NOTHING, WORKER_KILLED
from .row import Row
from .run import Trial
from .world import opened, start_site


def test_workers_that_share_nothing(
    runner: asyncio.Runner, note: Callable[[Sequence[Row]], None], tmp_path: Path
) -> None:
    """They give and refuse as those do that have a Redis; with ``serve_known_for=0`` nobody is shown an old payment."""
    faults = (NOTHING, replace(BACKEND_KILLED, known=False), WORKER_KILLED)
    with opened(tmp_path, shared=False) as world:
        start_site(world, tmp_path / "alone", "asgi", serve_known_for=0)
        trial = Trial(world)
        rows = [row for fault in faults for row in runner.run(trial.run(fault))]
        runner.run(trial.aclose())
    note(rows)
    assert all(row.is_well for row in rows), [(str(row), row.examples) for row in rows]
    assert rows[0].read_on > 0
    assert rows[1].read_on == 0
