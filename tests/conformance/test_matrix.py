"""The table in docs/conformance.md: every behaviour, and the adapters and servers that it was seen with.

Runs last. `UPDATE_DOCS=1 make test` writes the table anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from .matrix import gaps, lines

pytestmark = pytest.mark.usefixtures("whole_run")

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "conformance.md"
INTRODUCTION: Final = """\
# Where the paywall was seen to work

What the paywall does to HTTP, and the adapters and servers that it was seen with. A tick means: a test has started
an application behind `taler_paywall.asgi.PaywallMiddleware` or `taler_paywall.wsgi.PaywallMiddleware` under this very
server, or called it in its own process, has talked HTTP to it on loopback, and passed. The merchant backend is the
sandbox. Where there is no tick, a note says why. A server that is not installed fails the run. "uvicorn" is uvicorn
with httptools and uvloop, "uvicorn h11" with h11 and asyncio; the three of gunicorn are its workers.

This file is made of what the tests in `tests/conformance` have recorded: `UPDATE_DOCS=1 make test` writes it, and
`make test` fails if it is not up to date.

"""


def test_every_cell_is_seen_or_has_a_reason() -> None:
    """No cell of the table is empty without a reason, and no reason stands for a cell that was seen."""
    assert gaps() == []


def test_the_table_is_up_to_date() -> None:
    """The table in the documentation is what this run makes of it."""
    table = INTRODUCTION + "\n".join(lines()) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(table)
    assert DOCUMENT.read_text() == table
