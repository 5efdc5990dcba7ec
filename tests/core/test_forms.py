"""The paywall's own forms: which page they name, and that no other site can send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taler_paywall.decision import Refused
from taler_paywall.forms import page_of_form, page_of_query
from taler_paywall.http import Header, Request

SITE = "https://news.example"
ORIGIN = (b"origin", SITE.encode())
JSON = (b"content-type", b"application/json; charset=utf-8")


def named(body: bytes | None, *headers: Header) -> Request | Refused:
    """Return what a form leads to; it was sent by the site itself unless other headers are given."""
    path = "/.well-known/taler-paywall/reorder"
    return page_of_form(
        Request("POST", f"/shop{path}", f"/shop{path}".encode(), "/shop", b"x=1", headers or (ORIGIN,)), body, SITE
    )


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((ORIGIN,), b"page=/a%2520b/%25C2%25BD%3Fid%3D1%26x%3D&method=PUT"),
        ((ORIGIN,), b"method=POST&page=/x&method=PUT&page=/a%2520b/%25C2%25BD%3Fid%3D1%26x%3D"),
        (((b"sec-fetch-site", b"same-origin"),), b"page=/a%2520b/%25C2%25BD%3Fid%3D1%26x%3D&method=PUT"),
        ((ORIGIN, JSON), b'{"page": "/a%20b/%C2%BD?id=1&x=", "method": "PUT", "other": 1}'),
    ],
)
def test_the_page_that_a_form_names(headers: tuple[Header, ...], body: bytes) -> None:
    """The request for the page stands for the form: its own path, query and method, and the form's headers."""
    page = named(body, *headers)
    assert page == Request("PUT", "/a b/½", b"/a%20b/%C2%BD", "", b"id=1&x=", headers)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods_that_can_be_bought(method: str) -> None:
    """Whatever a rule can name, and GET unless a form says otherwise."""
    page = named(f"page=/a&method={method}".encode())
    assert isinstance(page, Request)
    assert page.method == method
    assert named(b"page=/a") == named(b"page=/a&method=GET")


@pytest.mark.parametrize(
    "headers",
    [
        ((b"host", b"news.example"),),
        ((b"origin", b"null"),),
        ((b"origin", b"https://evil.example"),),
        ((b"origin", b"http://news.example"),),
        ((b"origin", b"https://news.example.evil.example"),),
        ((b"origin", b"https://news.example:8443"),),
        (ORIGIN, (b"origin", b"https://evil.example")),
        ((b"origin", b"\xff"),),
        ((b"sec-fetch-site", b"same-site"),),
        ((b"sec-fetch-site", b"none"),),
        ((b"sec-fetch-site", b"same-origin, cross-site"),),
    ],
)
@pytest.mark.parametrize("body", [b"page=/a", None])
def test_forms_of_others(headers: tuple[Header, ...], body: bytes | None) -> None:
    """What no header of a browser vouches for is refused, whatever it holds."""
    assert named(body, *headers) == Refused(403, "foreign-form")


def test_a_form_that_is_too_long() -> None:
    """A body that was cut off names nothing."""
    assert named(None) == Refused(413, "body-too-long")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"page": ""},
        {"page": "a"},
        {"page": "//evil.example/a"},
        {"page": "https://evil.example/a"},
        {"page": "/a\r\nset-cookie: x"},
        {"page": "/½"},
        {"page": "/a\x7f"},
        {"page": "/a", "method": "HEAD"},
        {"page": "/a", "method": "get"},
        {"page": "/a", "method": ""},
        {"page": ["/a"]},
        {"page": 1},
        ["/a"],
        "/a",
        None,
    ],
)
def test_a_form_that_names_no_page(form: Any) -> None:
    """A page is a path of this site in ASCII, a method one that is sold."""
    assert named(json.dumps(form).encode(), ORIGIN, JSON) == Refused(400, "malformed-form")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"page=\xff", b"[" * 4000, b'{"page": "/a"', b"page%3D/a"])
@pytest.mark.parametrize("headers", [(ORIGIN,), (ORIGIN, JSON)])
def test_a_form_that_cannot_be_read(headers: tuple[Header, ...], body: bytes) -> None:
    """No bytes are an error of ours."""
    assert named(body, *headers) == Refused(400, "malformed-form")


def queried(query: bytes) -> Request:
    return Request("GET", "/own", b"/own", "/shop", query, ())


def test_the_page_that_a_query_names() -> None:
    """It is asked for with GET, whatever asks, where it stands in the site and not below the mount."""
    page = page_of_query(queried(b"page=/a%2520b%3Fid%3D1&method=DELETE"))
    assert page == Request("GET", "/a b", b"/a%20b", "", b"id=1", ())


@pytest.mark.parametrize(
    "query", [b"", b"page=", b"page=a", b"page=//evil.example", b"page=/%0D%0Aa", b"page=/%C2%BD", b"page=/a&page=/a"]
)
def test_a_query_that_names_no_page(query: bytes) -> None:
    """A page is one path of this site in ASCII."""
    assert page_of_query(queried(query)) == Refused(400, "malformed-form")
