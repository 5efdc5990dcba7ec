"""The table in docs/sandbox-statuses.md: every status that the merchant API lists, and the test that has seen it.

Runs last. `UPDATE_DOCS=1 make test` writes the table anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from taler_paywall.sandbox.routes import ENDPOINTS

from .statuses import REMARKS, STATUSES
from .traffic import SEEN

pytestmark = pytest.mark.usefixtures("whole_run")

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "sandbox-statuses.md"
INTRODUCTION: Final = """\
# What the sandbox answers

Every status that the merchant API lists for an endpoint, and a test in `tests/sandbox` that has seen the sandbox answer
with it, over real HTTP. Each of these tests checks the body too: the code of an error, the members of a success.
A status that a switchable fault has caused does not count. Where the sandbox cannot answer with a status, or is not
made to, a note says why. The codes are those that were seen, in all generations.

This file is made of what the tests have recorded: `UPDATE_DOCS=1 make test` writes it, and `make test` fails if it is
not up to date. The numbers of sections are those of the merchant API reference.

| endpoint | section | status | codes | seen by |
| --- | --- | --- | --- | --- |
"""


def _order(endpoint: str) -> tuple[list[int], int]:
    """Sort endpoints by section, then as they are listed."""
    return [int(part) for part in STATUSES[endpoint][0].split(".")], list(STATUSES).index(endpoint)


def _lines() -> Iterator[str]:
    notes: dict[str, int] = {}
    for endpoint in sorted(STATUSES, key=_order):
        section, possible, impossible = STATUSES[endpoint]
        cell = f"`{endpoint}` | {section}"
        for status in sorted(possible | impossible.keys()):
            if status in impossible:
                number = notes.setdefault(impossible[status], len(notes) + 1)
                yield f"| {cell} | {status} | | not seen[^{number}] |"
            else:
                tests = SEEN[endpoint, status]
                codes = ", ".join(str(code) for code in sorted({code for _, code in tests if code}))
                remark = REMARKS.get((endpoint, status), codes)
                yield f"| {cell} | {status} | {remark} | `{min(test for test, _ in tests)}` |"
            cell = " | "
    yield ""
    yield from (f"[^{number}]: {reason}" for reason, number in notes.items())


def test_every_endpoint_is_listed() -> None:
    """The list has the sandbox's endpoints, and no others."""
    assert STATUSES.keys() == {
        f"{method} {route.path}" for route in ENDPOINTS for method in (route.methods or set()) - {"HEAD"}
    }


def test_every_status_is_seen_or_impossible() -> None:
    """Each possible status was seen in this run, and none that is not listed or said to be impossible."""
    listed = {(endpoint, status) for endpoint, (_, possible, _) in STATUSES.items() for status in possible}
    seen = {cell for cell in SEEN if not cell[0].startswith("HEAD ")}
    assert (sorted(listed - seen), sorted(seen - listed)) == ([], [])


def test_the_table_is_up_to_date() -> None:
    """The table in the documentation is what this run makes of it."""
    table = INTRODUCTION + "\n".join(_lines()) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(table)
    assert DOCUMENT.read_text() == table
