"""What was seen of the paywall where: behaviour by adapter and server, and why some cells are empty.

A row is a test that uses the fixture ``front``; its label is the first line of its docstring. All parametrised cases of
a test are one row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from .front import ASGI, ASGI_HERE, FRONTS, IN_PROCESS, WSGI

#: Which sites each test has passed in front of, by module and test.
SEEN: Final[defaultdict[tuple[str, str], set[str]]] = defaultdict(set)
#: The headings of the modules and the labels of the tests.
HEADINGS: Final[dict[str, str]] = {}
LABELS: Final[dict[tuple[str, str], str]] = {}

_WEBSOCKETS: Final = "Needs a server; in this process `test_asgi_websockets` looks at every message."
_WAITS: Final = {
    "wsgi": "Under WSGI nothing waits: the page asks every three seconds.",
    ASGI_HERE: "Needs a server: there are no connections in this process.",
}
_HTTP_1: Final = "Needs HTTP/2 with early hints and trailers; httptools and h11 have none."
_NO_FILES: Final = "Has neither `http.response.pathsend` nor `wsgi.file_wrapper`."
#: Why a cell is empty: by test, or module, then by server or protocol. The test comes before the module.
ABSENT: Final[Mapping[str, Mapping[str, str]]] = {
    "test_asgi_servers": {"wsgi": "Only ASGI has this.", ASGI_HERE: _WEBSOCKETS},
    "test_headers_of_an_accepted_websocket": {"granian": "Accepts websockets without headers of the application."},
    "test_a_reader_who_goes_away": {
        ASGI_HERE: "Needs a server; in this process `test_asgi_scope` sees the message handed on."
    },
    "test_the_lifespan": {ASGI_HERE: "Needs a server; in this process `test_asgi_scope` looks at every message."},
    "test_early_hints_and_trailers": {
        ASGI_HERE: "Needs a server; in this process `test_asgi_messages` looks at every message.",
        "uvicorn": _HTTP_1,
        "uvicorn h11": _HTTP_1,
        "granian": "Offers applications neither early hints nor trailers.",
    },
    "test_files_that_the_server_sends": dict.fromkeys(
        ("uvicorn", "uvicorn h11", "hypercorn", "granian wsgi"), _NO_FILES
    ),
    "test_a_payment_ends_the_wait": {"wsgi": _WAITS["wsgi"]},
    "test_an_earlier_purchase_ends_the_wait": {"wsgi": _WAITS["wsgi"]},
    "test_many_polls": _WAITS,
    "test_a_poll_with_a_body": _WAITS,
    "test_nothing_waits": {"asgi": "Under ASGI a poll waits until something happens, as the rows above say."},
    "test_connections_are_kept": {
        **dict.fromkeys(IN_PROCESS, "Needs a server: there are no connections in this process."),
        "gunicorn sync": "Ends every connection after its answer, as its manual says of this worker.",
    },
}


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Record a test that has passed in front of a site."""
    if not isinstance(item, pytest.Function) or report.when != "call" or not report.passed:
        return
    front = item.callspec.params.get("front") if hasattr(item, "callspec") else None
    if not isinstance(front, str):
        return
    row = item.path.stem, item.originalname
    SEEN[row].add(front)
    HEADINGS[row[0]] = _sentence(item.module.__doc__)
    LABELS[row] = _sentence(item.function.__doc__)


def reason(row: tuple[str, str], front: str) -> str | None:
    """Return why a test cannot be in front of a site, None if it can be."""
    module, test = row
    protocol = "asgi" if front in ASGI else "wsgi"
    reasons = {**ABSENT.get(module, {}), **ABSENT.get(test, {})}
    return reasons.get(front) or reasons.get(protocol)


def gaps() -> list[str]:
    """Return the cells that nobody explains, and the reasons that nothing needs."""
    found: list[str] = []
    for row, seen in SEEN.items():
        explained = {front for front in FRONTS if reason(row, front) is not None}
        found += [f"{'::'.join(row)} was seen, but has a reason: {front}" for front in sorted(seen & explained)]
        missing = set(FRONTS) - seen - explained
        found += [f"{'::'.join(row)} was not seen, and has no reason: {front}" for front in sorted(missing)]
    known = {name for row in SEEN for name in row}
    found += [f"{name}: a reason for nothing" for name in ABSENT if name not in known]
    return found


def lines() -> Iterator[str]:
    """Yield the lines of the tables, one for each module, and of the footnotes."""
    notes: dict[str, int] = {}
    for module in sorted(HEADINGS):
        yield from (f"## {HEADINGS[module]}", "")
        yield f"| | {' | '.join(ASGI)} | {' | '.join(WSGI)} |"
        yield "| --- |" + " :-: |" * len(FRONTS)
        for row in (row for row in LABELS if row[0] == module):
            cells = []
            for front in FRONTS:
                why = reason(row, front)
                cells.append("✓" if why is None else f"[^{notes.setdefault(why, len(notes) + 1)}]")
            yield f"| {LABELS[row]} | {' | '.join(cells)} |"
        yield ""
    yield from (f"[^{number}]: {why}" for why, number in notes.items())


def _sentence(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0].rstrip(".")
