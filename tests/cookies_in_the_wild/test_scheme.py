"""What tells that browsers come by another scheme than the public URL's, and what does not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from taler_paywall.http import Request
from taler_paywall.scheme import other_scheme, scheme_problem

PROXIES = (ip_network("10.0.0.0/8"),)
PROXY, STRANGER = "10.0.0.1", "192.0.2.1"
TLS, PLAIN = "https://news.example", "http://news.example"
NAVIGATED = {"sec_fetch_site": "none", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


def asked(peer: str = STRANGER, **headers: str) -> Request:
    """Return a request; underscores in names of headers are dashes."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request("GET", "/articles/bees", b"/articles/bees", "", b"", pairs, peer=peer)


@pytest.mark.parametrize(
    "request_",
    [
        asked(PROXY, x_forwarded_proto="http"),
        asked(PROXY, x_forwarded_proto="HTTP"),
        asked(origin="http://news.example"),
        asked(referer="http://news.example/articles/bees?page=2"),
        asked(referer="http://news.example:80/"),
    ],
)
def test_plain_http_where_https_is_expected(request_: Request) -> None:
    """A trusted proxy says so, or a page of ours that the browser was shown; to a plain site it is no problem."""
    assert other_scheme(request_, TLS, PROXIES) == "http"
    assert scheme_problem(request_, TLS, PROXIES).endswith("redirect http to https")
    assert scheme_problem(request_, PLAIN, PROXIES) == ""


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(PROXY),
        asked(PROXY, x_forwarded_proto="https"),
        # Whoever is no proxy may write whatever they like.
        asked(x_forwarded_proto="http"),
        # A proxy behind another one; the browser tells that it uses https.
        asked(PROXY, x_forwarded_proto="http", **NAVIGATED),
        asked(referer="http://news.example/", **NAVIGATED),
        asked(PROXY, x_forwarded_proto="http", sec_fetch_mode="cors"),
        # Pages of others.
        asked(origin="http://other.example"),
        asked(origin="null"),
        asked(referer="http://news.example.evil.example/"),
        asked(referer="http://news.example:8000/"),
        asked(referer="http://user@news.example/"),
        asked(referer="http://[news.example/"),
        asked(origin="https://news.example", referer="https://news.example/articles/bees"),
    ],
)
def test_nothing_says_plain_http(request_: Request) -> None:
    """No warning without a reason: crawlers and programs that send little are no browsers on a wrong scheme."""
    assert other_scheme(request_, TLS, PROXIES) == ""
    assert scheme_problem(request_, TLS, PROXIES) == ""


@pytest.mark.parametrize(
    "request_",
    [
        asked(PROXY, x_forwarded_proto="https"),
        asked(PROXY, x_forwarded_proto="https", **NAVIGATED),
        asked(origin="https://news.example"),
        asked(referer="https://news.example/articles/bees", **NAVIGATED),
        asked(referer="https://news.example:443/"),
    ],
)
def test_https_where_plain_http_is_expected(request_: Request) -> None:
    """The cookies work, and go to everybody who listens: the operator is told the right address."""
    assert other_scheme(request_, PLAIN, PROXIES) == "https"
    assert scheme_problem(request_, PLAIN, PROXIES).endswith("set public_url to https://news.example")
    assert scheme_problem(request_, TLS, PROXIES) == ""


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(**NAVIGATED),
        asked(PROXY, x_forwarded_proto="http"),
        asked(x_forwarded_proto="https"),
        asked(referer="https://other.example/"),
        asked(origin="http://news.example"),
    ],
)
def test_nothing_says_https(request_: Request) -> None:
    """Links from elsewhere say nothing about this site."""
    assert scheme_problem(request_, PLAIN, PROXIES) == ""


def test_the_path_and_the_port_of_the_public_url_are_kept() -> None:
    """The mend is an address that can be copied."""
    request = asked(referer="https://news.example:8443/news/articles/bees")
    assert "set public_url to https://news.example:8443/news" in scheme_problem(
        request, "http://news.example:8443/news", ()
    )


def test_nothing_of_the_request_is_said() -> None:
    """What strangers send does not come into the log in this way."""
    request = asked(referer="http://news.example/articles/secret", cookie="taler_secret=1")
    assert "secret" not in scheme_problem(request, TLS, ())
