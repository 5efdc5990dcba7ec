"""What is free."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import pytest
from reader import Reader

from .answers import FIXED
from .front import Front
from .till import Till

#: Headers that servers add.
OWN = {"date", "server", "connection", "content-length", "transfer-encoding", "via"}


def headers_of(front: Front, reader: Reader, path: str) -> list[tuple[str, str]]:
    """Return the headers in their order; some servers put those of one name together, or sort names."""
    answer = reader.http.get(path)
    headers = [(name.lower(), value) for name, value in answer.headers.multi_items() if name.lower() not in OWN]
    return sorted(headers, key=itemgetter(0)) if front.process else headers


@pytest.mark.parametrize("page", FIXED)
def test_free_pages_are_untouched(front: Front, reader: Reader, page: str) -> None:
    """Free pages have the application's status, body and headers, not one more, those of one name in order."""
    answer = FIXED[page]
    got = reader.http.get(f"/free/{page}")
    assert (got.status_code, got.content) == (answer.status, answer.body)
    expected = [(name.lower(), value) for name, value in answer.headers]
    expected = sorted(expected, key=itemgetter(0)) if front.process else expected
    assert headers_of(front, reader, f"/free/{page}") == expected
    assert headers_of(front, reader, f"/off/paid/{page}") == expected


def test_exempt_requests_are_free(reader: Reader, name: str, sandbox: Till) -> None:
    """Requests that the site exempts get through without a payment to read, kept from caches that others share."""
    staff = reader.http.get(f"/paid/{name}", headers={"X-Staff": "yes"})
    assert (staff.status_code, staff.json()["payment"], "set-cookie" in staff.headers) == (200, None, False)
    assert reader.http.get(f"/paid/{name}", headers={"X-Staff": "no"}).status_code == 402
    assert (staff.headers["cache-control"], staff.headers["vary"]) == ("private", "Cookie")


def test_switched_off_everything_is_free(reader: Reader, name: str, sandbox: Till) -> None:
    """With enabled=False nothing is asked."""
    page = reader.visit(f"/off/paid/{name}")
    assert (page.status_code, page.json()["path"], page.json()["payment"]) == (200, f"/paid/{name}", None)
    assert sandbox.orders_for(name) == []


def test_free_bodies_and_methods_arrive(reader: Reader, name: str, called: Callable[[str], list[str]]) -> None:
    """On free paths every method reaches the application, with its body."""
    for method in ("HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"):
        body = b"x" * 1000 if method.startswith("P") else b""
        answer = reader.http.request(method, f"/free/{name}", content=body or None)
        assert answer.status_code == 200
        assert method == "HEAD" or answer.json()["length"] == len(body)
    assert len(called(name)) == 7
