"""PEP 3333 by the letter: the paywall's own answers, and requests that it hands on, called as a server calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import is_hop_by_hop
from wsgiref.validate import validator

import pytest

from .till import Till
from .wsgi_calls import BROWSER, PAID, REORDER, Answer, asked, behind, call, hello

OWN_SITE = {"HTTP_SEC_FETCH_SITE": "same-origin", "CONTENT_TYPE": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        (asked("/free"), 200),
        (asked("/free", "HEAD"), 200),
        (asked(PAID, **BROWSER), 302),
        (asked(PAID), 402),
        (asked(PAID, HTTP_ACCEPT="application/json"), 402),
        (asked(PAID, "HEAD"), 402),
        (asked(PAID, "POST", b"x=1"), 402),
        (asked("/paid/../paid/x"), 400),
        (asked(f"{PAID}/\xff"), 400),
        (asked("/.well-known/taler-paywall/static/style.css"), 200),
        (asked("/.well-known/taler-paywall/static/style.css", "HEAD"), 200),
        (asked("/.well-known/taler-paywall/none"), 404),
        (asked(REORDER), 405),
        (asked(REORDER, "POST", b"page=/paid/wsgi&method=GET", **BROWSER | OWN_SITE), 303),
        (asked(REORDER, "POST", b"page=/free", **OWN_SITE), 404),
        (asked(REORDER, "POST", b"x", **OWN_SITE), 400),
        (asked(REORDER, "POST", b"x" * 5000, **OWN_SITE), 413),
        (asked(REORDER, "POST", b"page=/paid/wsgi"), 403),
    ],
    ids=lambda value: f"{value['REQUEST_METHOD']} {value['PATH_INFO']!a}" if isinstance(value, dict) else str(value),
)
def test_the_validator_finds_nothing(sandbox: Till, environ: WSGIEnvironment, status: int) -> None:
    """Python's own validator, as the server and as the application, has nothing to say against any answer."""
    answer = call(validator(behind(validator(hello), sandbox.url)), dict(environ))
    assert answer.status == status
    if environ["REQUEST_METHOD"] == "HEAD":
        assert b"".join(answer.pieces) in {b"", b"hello"}


@pytest.mark.parametrize(
    "own",
    [
        asked(PAID, **BROWSER),
        asked(PAID),
        asked("/paid/../x"),
        asked("/.well-known/taler-paywall/static/style.css"),
        asked(REORDER, "POST", b"x", **OWN_SITE),
    ],
    ids=lambda environ: environ["PATH_INFO"],
)
def test_our_own_answers(sandbox: Till, own: WSGIEnvironment) -> None:
    """Status and headers are native strings, nothing is written before it is returned, and nothing is hop-by-hop."""
    answer = call(behind(hello, sandbox.url), dict(own))
    ((status, headers, _),) = answer.started
    assert type(status) is str
    assert re.fullmatch(r"\d{3} [ -~]+", status)
    assert type(headers) is list
    for header in headers:
        assert type(header) is tuple
        assert [type(part) for part in header] == [str, str]
        assert not is_hop_by_hop(header[0])
    assert isinstance(answer.iterable, list)
    assert answer.pieces == [piece for piece in answer.iterable if piece]
    assert answer.header("content-length") == str(sum(map(len, answer.pieces)))


@pytest.mark.parametrize(
    "path", ["/paid/../x", "/.well-known/taler-paywall/static/style.css", "/.well-known/taler-paywall/x"]
)
def test_head_has_the_length_of_get(sandbox: Till, path: str) -> None:
    """HEAD is answered like GET, without the body."""
    get, head = (call(behind(hello, sandbox.url), asked(path, method)) for method in ("GET", "HEAD"))
    assert head.started == get.started
    assert get.pieces
    assert head.pieces == []
    assert int(get.header("content-length") or "") == len(b"".join(get.pieces))


def test_a_free_request_is_handed_on_untouched(sandbox: Till) -> None:
    """The application gets the server's own environ, unchanged, and its own start_response."""
    got: list[tuple[WSGIEnvironment, object]] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        got.append((environ, start_response))
        return hello(environ, start_response)

    for environ in (asked("/free"), asked("/free/\xff"), asked("/fr%2Fee"), asked("/x", "BREW"), asked("")):
        before, answer = dict(environ), Answer()
        behind(app, sandbox.url)(environ, answer.start_response)
        assert got[-1][0] is environ
        assert got[-1][1] == answer.start_response
        assert environ == before


@pytest.mark.parametrize("script_name", ["", "/", "/x", "/x/", "/paid", "/paid/wsgi", "/\xc3\xa9", "/\xff"])
@pytest.mark.parametrize("told", [{}, {"RAW_URI": PAID}, {"REQUEST_URI": f"http://a.example{PAID}?q"}])
def test_nothing_of_the_environ_opens_a_page(script_name: str, told: dict[str, str]) -> None:
    """Wherever a client says that the site is mounted, however it writes the target: the application is not called."""

    def app(_: WSGIEnvironment, __: StartResponse) -> Iterable[bytes]:
        raise AssertionError("called")

    spoofed = {"HTTP_TALER_PAYWALL_PAYMENT": "x", "HTTP_TALER_PAYWALL.PAYMENT": "x"}
    answer = call(behind(app), asked(PAID, SCRIPT_NAME=script_name, **told, **spoofed))
    assert answer.status in {400, 503}


def test_the_answer_to_a_form_has_its_length() -> None:
    """A form that names HEAD is answered as the POST that it is, with as many bytes as are announced."""
    answer = call(behind(hello), asked(REORDER, "POST", b"page=/paid/x&method=HEAD", **OWN_SITE))
    assert answer.header("content-length") == str(sum(map(len, answer.pieces)))
