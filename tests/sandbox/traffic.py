"""Checked answers of the sandbox, recorded: which test has seen which endpoint answer with which status.

The table in docs/sandbox-statuses.md is made of what is recorded here, so every cell of it was checked by a test, with
its code or its members.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import httpx
from starlette.routing import Match

from taler_paywall.sandbox.routes import ENDPOINTS

#: (method and path, status) -> the tests that saw it, each with the error code, 0 if it was no error.
SEEN: defaultdict[tuple[str, int], set[tuple[str, int]]] = defaultdict(set)
#: On answers that a fault switch has made.
FAULT_HEADER = "Taler-Paywall-Sandbox-Fault"
#: Addresses of control endpoints, whose paths are no part of the merchant API.
CONTROLS: set[str] = set()
#: Older generations lack some endpoints: that is no answer of the endpoint.
_ENDPOINT_UNKNOWN = 21


def answered(answer: httpx.Response, status: int, **members: Any) -> dict[str, Any]:
    """Check the status and the members of a JSON object: by value, by type, or `...` for being there at all."""
    assert answer.status_code == status, answer.text
    assert members, "check at least one member of the answer"
    body: dict[str, Any] = answer.json()
    for name, wanted in members.items():
        assert name in body, body
        if isinstance(wanted, type):
            assert type(body[name]) is wanted, body
        elif wanted is not ...:
            assert body[name] == wanted, body
    _record(answer, body.get("code", 0))
    return body


def empty(answer: httpx.Response, status: int) -> None:
    """Check an answer without a body."""
    assert answer.status_code == status, answer.text
    assert not answer.content
    _record(answer)


def led(answer: httpx.Response, status: int, location: str) -> None:
    """Check a redirect."""
    assert answer.status_code == status, answer.text
    assert answer.headers["location"] == location
    _record(answer)


def showed(answer: httpx.Response, status: int, *texts: str) -> str:
    """Check an HTML page by what stands in it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert texts, "check at least one text of the page"
    for text in texts:
        assert text in answer.text
    _record(answer)
    return answer.text


def refused(answer: httpx.Response, status: int, code: int) -> dict[str, Any]:
    """Check an error answer: its status, and the ErrorDetail in its body."""
    body = answered(answer, status, code=code, hint=str, detail=str)
    assert answer.headers["content-type"] == "application/json"
    return body


def endpoint_of(method: str, path: str) -> str | None:
    """Return the endpoint that a request belongs to, such as `GET /orders/{order_id}`."""
    if path.startswith("/instances/"):
        path = "/" + path.split("/", 3)[3]
    for route in ENDPOINTS:
        match, _ = route.matches({"type": "http", "method": method, "path": path})
        if match is Match.FULL:
            return f"{method} {route.path}"
    return None


def _record(answer: httpx.Response, code: int = 0) -> None:
    request = answer.request
    # The path as the sandbox sees it: behind a proxy it has another one.
    endpoint = endpoint_of(request.method, request.url.path)
    is_genuine = FAULT_HEADER not in answer.headers and code != _ENDPOINT_UNKNOWN
    if endpoint and is_genuine and str(request.url.join("/")) not in CONTROLS:
        test = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0].partition("[")[0].rpartition("/")[2]
        # Tests of faults see many statuses that are only next to a fault: others show them better.
        if not test.startswith("test_faults.py"):
            SEEN[endpoint, answer.status_code].add((test, code))
