"""The harness sees what it is there to see: copies of the package with a fault in them, beside one without.

The sites of this world share no Redis.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from running import ROOT

from .catalogue import NOTHING
from .ledger import Account
from .row import Row
from .run import Trial
from .world import opened, start_site

#: The adapter lets one of fifty whom it has to refuse through to the application.
LEAK = """
import itertools
_refusals, _answer = itertools.count(1), PaywallMiddleware._answer
async def _leaking(self, paywall, request, receive):
    answer = await _answer(self, paywall, request, receive)
    refused = isinstance(answer, Response) and answer.status in (302, 402)
    return None if refused and next(_refusals) % 50 == 0 else answer
PaywallMiddleware._answer = _leaking
"""
#: Order IDs are drawn, so that nothing that is tried again finds what was made before.
DOUBLE_ORDER = """
import os
Keys.order_id = lambda self, session_id, resource_name, attempt: crockford.encode(os.urandom(20))
"""


def planted(home: Path, module: str, fault: str) -> Path:
    """Copy the package with a fault in one of its modules, and return the directory that it is in."""
    shutil.copytree(ROOT / "taler_paywall", home / "taler_paywall", ignore=shutil.ignore_patterns("__pycache__"))
    with (home / "taler_paywall" / module).open("a", encoding="utf-8") as source:
        source.write(fault)
    return home


@pytest.fixture(scope="module")
def rows(
    runner: asyncio.Runner, note: Callable[[Sequence[Row]], None], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Row]:
    """Let readers come to a site without a fault, to one with a leak, and to one with double orders."""
    home = tmp_path_factory.mktemp("planted")
    packages = {
        "no fault planted": None,
        "leak planted": planted(home / "leaking", "asgi.py", LEAK),
        "double order planted": planted(home / "doubling", "session.py", DOUBLE_ORDER),
    }
    with opened(home, shared=False) as world:
        for name, package in packages.items():
            start_site(world, home / name, "asgi", package=package)
        trial = Trial(world)
        found = runner.run(trial.run(replace(NOTHING, least=400)))
        runner.run(trial.aclose())
    note([replace(row, fault=replace(row.fault, name=name)) for name, row in zip(packages, found, strict=True)])
    return dict(zip(packages, found, strict=True))


def test_sound_site_is_well(rows: dict[str, Row]) -> None:
    """Of the package as it is nothing is reported."""
    assert rows["no fault planted"].is_well, rows["no fault planted"].examples


def test_leak_is_reported(rows: dict[str, Row]) -> None:
    """One unpaid request of fifty that gets through is seen, and is all that is seen."""
    verdicts = rows["leak planted"].verdicts
    assert verdicts["leaked"] >= 1
    assert verdicts["wrong"] == 0, rows["leak planted"].examples
    assert rows["leak planted"].account == Account(0, 0, 0)
    assert not rows["leak planted"].is_well


def test_double_order_is_reported(rows: dict[str, Row]) -> None:
    """Orders beside those that a reader has for the same page are seen; the backend keeps them from being paid."""
    row = rows["double order planted"]
    assert row.account.superfluous >= 1
    assert (row.account.lost, row.account.doubled) == (0, 0)
    assert row.verdicts["leaked"] == 0
    assert not row.is_well
