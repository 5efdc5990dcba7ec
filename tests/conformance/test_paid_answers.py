"""The application's answers on paid pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from .answers import DOCUMENT, ETAG, FIXED
from .till import Till

BODY = bytes(range(256)) * 4096


def test_duplicate_headers_arrive_in_order(paid: Reader) -> None:
    """All cookies and links that the application sets arrive on a paid page, in order, and no cookie of ours."""
    for path in ("/paid/shared/doubles", "/free/doubles"):
        answer = paid.http.get(path)
        cookies = answer.headers.get_list("set-cookie")
        assert [cookie.partition("=")[0] for cookie in cookies] == ["first", "second", "third"]
        assert cookies[0] == "first=1; Path=/; HttpOnly"
        assert answer.headers.get_list("link") == ["</one>; rel=preload", "</two>; rel=preload"]
        assert answer.headers["x-between"] == "kept"


def test_our_cookie_comes_beside_the_applications(reader: Reader, purse: TalerWallet, name: str) -> None:
    """The first paid answer carries the application's cookies first and in order, whatever ours are."""
    purse.pay(reader.visit(f"/paid/{name}/doubles").headers["location"])
    cookies = reader.visit(f"/paid/{name}/doubles").headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in cookies[:3]] == ["first", "second", "third"]


def test_caches_are_told_that_paid_pages_are_private(paid: Reader) -> None:
    """What the application says to caches is kept on a paid page but for what would share it; Vary names the cookie."""
    plain = paid.http.get("/paid/shared")
    assert (plain.headers["cache-control"], plain.headers["vary"]) == ("private", "Cookie")
    cached = paid.http.get("/paid/shared/cached")
    assert (cached.headers["cache-control"], cached.headers["vary"]) == (
        "private, max-age=60",
        "Accept-Encoding, Cookie",
    )
    strict = paid.http.get("/paid/shared/strict")
    assert (strict.headers["cache-control"], strict.headers["vary"]) == ("private, no-store", "cookie, *")


@pytest.mark.parametrize("page", ["created", "accepted", "nothing", "unchanged", "missing", "broken"])
def test_statuses_arrive(paid: Reader, page: str) -> None:
    """The statuses 201 with Location, 202, 204, 304, 404 and 500 of the application arrive with header and body."""
    expected = FIXED[page]
    answer = paid.http.get(f"/paid/shared/{page}")
    assert (answer.status_code, answer.content) == (expected.status, expected.body)
    assert {(name.lower(), value) for name, value in expected.headers} <= set(answer.headers.multi_items())


def test_ranges_and_conditions(paid: Reader, name: str, purse: TalerWallet, sandbox: Till) -> None:
    """Two ranges and a conditional request are answered 206, 206 and 304, with one payment for all."""
    page = f"/paid/{name}/document"
    purse.pay(paid.visit(page).headers["location"])
    for first, last in ((0, 99), (100, 4095)):
        part = paid.http.get(page, headers={"Range": f"bytes={first}-{last}"})
        assert (part.status_code, part.content) == (206, DOCUMENT[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(DOCUMENT)}"
    again = paid.http.get(page, headers={"If-None-Match": ETAG})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", ETAG)
    assert [order.paid for order in sandbox.orders_for(name)] == [True]


def test_the_application_sees_the_payment(reader: Reader, purse: TalerWallet, name: str, sandbox: Till) -> None:
    """The application reads order, resource and amount of the payment that opened the page; none on free pages."""
    purse.pay(reader.visit(f"/paid/{name}").headers["location"])
    assert reader.visit(f"/paid/{name}").json()["payment"] == {
        "order_id": sandbox.orders_for(name)[0].order_id,
        "resource": f"/paid/{{name}}/*?name={name}",
        "amount": "KUDOS:0.5",
    }
    assert reader.visit(f"/free/{name}").json()["payment"] is None


@pytest.mark.parametrize("size", [0, 1, 100_000, len(BODY)])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_whole(paid: Reader, size: int, chunked: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The body of a paid POST arrives whole, with a length or in chunks, of no byte or 1 MiB."""
    body = BODY[:size]

    def parts() -> Iterator[bytes]:
        for start in range(0, size, 50_000):
            yield body[start : start + 50_000]

    answer = paid.http.post("/paid/shared", content=parts() if chunked else body)
    told = answer.json()
    assert (answer.status_code, told["method"], told["length"]) == (200, "POST", size)
    assert told["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_every_method_reaches_a_paid_page(
    paid: Reader, name: str, method: str, called: Callable[[str], list[str]]
) -> None:
    """HEAD, OPTIONS and every other method reach the application once the page is paid; HEAD has no body."""
    answer = paid.http.request(method, f"/paid/shared/{name}")
    assert (answer.status_code, called(name)) == (200, [f"{method} /paid/shared/{name}"])
    assert (answer.content == b"") == (method == "HEAD")
