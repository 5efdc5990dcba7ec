"""PEP 3333 by the letter: whatever a wrapped application may do, it does as if nobody stood between."""

from __future__ import annotations

import gc
import io
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from taler_paywall import payment_from
from taler_paywall.testing.wallet import TalerWallet

from .till import Till
from .wsgi_calls import PAID, Answer, asked, behind, buy, call, hello

HEADERS = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("X-A", "\xe9"), ("Set-Cookie", "b=2")]


@pytest.fixture(scope="module")
def cookies(sandbox: Till, purse: TalerWallet) -> str:
    """Buy the page once, for every site with the same key."""
    seller = behind(hello, sandbox.url)
    bought = buy(seller, purse)
    seller.close()
    return bought


@pytest.fixture(params=["free", "granted"])
def passed(request: pytest.FixtureRequest) -> WSGIEnvironment:
    """Return the environ of a request that reaches the application."""
    if request.param == "free":
        return asked("/free")
    return asked(PAID, HTTP_COOKIE=request.getfixturevalue("cookies"))


def test_the_validator_finds_nothing_in_a_granted_answer(sandbox: Till, cookies: str) -> None:
    """The same, where the application answers to somebody who has paid."""
    answer = call(validator(behind(validator(hello), sandbox.url)), asked(PAID, HTTP_COOKIE=cookies))
    assert (answer.status, answer.pieces) == (200, [b"hello"])


class Pieces:
    """An iterable that knows how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"a", b"b", b"c")

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    "make",
    [
        Pieces,
        lambda: [b"a", b"b"],
        lambda: (b"a",),
        lambda: (piece for piece in (b"a", b"b")),
        lambda: FileWrapper(io.BytesIO(b"abc")),
        list,
    ],
    ids=["object", "list", "tuple", "generator", "file_wrapper", "empty"],
)
def test_the_iterable_is_returned_itself(
    sandbox: Till, passed: WSGIEnvironment, make: Callable[[], Iterable[bytes]]
) -> None:
    """What the application returns is what the server gets: the same object, so that it can send files its own way."""
    made = make()

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        return made

    answer = Answer()
    assert behind(app, sandbox.url)(passed, answer.start_response) is made
    assert answer.status == 200


@pytest.mark.parametrize("pieces", [None, 1])
def test_close_runs_once(sandbox: Till, passed: WSGIEnvironment, pieces: int | None) -> None:
    """The iterable is closed once by the server, at its end or when the reader has left, and never by the paywall."""
    made = Pieces()

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        return made

    call(behind(app, sandbox.url), passed, pieces=pieces)
    assert made.closed == 1


def test_an_application_may_start_late(sandbox: Till, passed: WSGIEnvironment) -> None:
    """A generator starts its answer when it is first asked for a piece."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("206 Some", HEADERS)
        yield b"late"
        yield repr(payment_from(environ)).encode()

    answer = Answer()
    iterable = behind(app, sandbox.url)(passed, answer.start_response)
    assert answer.started == []
    assert next(iter(iterable)) == b"late"
    assert answer.started[0][0] == "206 Some"


def test_an_error_page_replaces_an_answer_that_has_not_begun(sandbox: Till, passed: WSGIEnvironment) -> None:
    """start_response may be called again with exc_info; the server gets the application's own, and both headers."""
    given: list[Any] = []

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        try:
            dict[str, str]().pop("late")
        except LookupError:
            given.append(sys.exc_info())
            start_response("500 Oh", [("X-Error", "yes")], given[0])
        return [b"error"]

    answer = call(behind(app, sandbox.url), passed)
    assert [status for status, _, _ in answer.started] == ["200 OK", "500 Oh"]
    assert answer.started[1][2] is given[0]
    assert answer.header("x-error") == "yes"


def test_an_error_after_the_answer_has_begun_is_raised_again(sandbox: Till, passed: WSGIEnvironment) -> None:
    """What the server raises in start_response reaches the application, and through it the server, unchanged."""
    error = LookupError("too late")

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        yield b"begun"
        try:
            raise error
        except LookupError:
            start_response("500 Oh", [], sys.exc_info())

    with pytest.raises(LookupError) as caught:
        call(behind(app, sandbox.url), passed)
    assert caught.value is error


def test_exc_info_may_have_its_name(sandbox: Till, passed: WSGIEnvironment) -> None:
    """Many servers take exc_info by its name, so that applications give it so: paid pages know it as free ones do."""
    error = LookupError("before the answer has begun")

    def app(_: WSGIEnvironment, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        try:
            raise error
        except LookupError:
            start_response(status="500 Oh", headers=[], exc_info=sys.exc_info())
        return [b"error"]

    answer = call(behind(app, sandbox.url), passed)
    assert [(status, info and info[1]) for status, _, info in answer.started] == [("200 OK", None), ("500 Oh", error)]


class Large:
    """Something that an application holds while it fails."""


def test_a_late_error_leaves_no_cycle(sandbox: Till, passed: WSGIEnvironment) -> None:
    """Once a late error is over, all that the failed frames held is gone, without the garbage collector."""
    held: list[weakref.ref[Large]] = []

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", HEADERS)
        yield b"begun"
        large = Large()
        held.append(weakref.ref(large))
        try:
            dict[str, str]().pop("late")
        except LookupError:
            start_response("500 Oh", [], sys.exc_info())

    def fail() -> bool:
        try:
            call(behind(app, sandbox.url), passed)
        except LookupError:
            return held[0]() is not None
        return False

    gc.disable()
    try:
        assert fail()
        assert held[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("late", [False, True])
def test_exceptions_are_the_applications_own(sandbox: Till, passed: WSGIEnvironment, late: bool) -> None:  # noqa: FBT001 - a table
    """An exception of the application goes to the server as it is, before and while it answers."""
    error = KeyError("the application's")

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def fail() -> Iterator[bytes]:
            yield b""
            raise error

        if late:
            start_response("200 OK", HEADERS)
            return fail()
        raise error

    with pytest.raises(KeyError) as caught:
        call(behind(app, sandbox.url), passed)
    assert caught.value is error


def test_write_is_the_servers(sandbox: Till, passed: WSGIEnvironment) -> None:
    """An application that writes gets the very callable that the server gave."""
    got: list[object] = []

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", HEADERS)
        got.append(write)
        write(b"written, ")
        return [b"returned"]

    answer = call(behind(app, sandbox.url), passed)
    assert got == [answer.write]
    assert answer.pieces == [b"written, ", b"returned"]


def test_headers_of_a_granted_answer(sandbox: Till, cookies: str) -> None:
    """All headers of the application arrive in order, duplicates too; a list of its own is never changed."""
    given = list(HEADERS)

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", given)
        return []

    ((_, headers, _),) = call(behind(app, sandbox.url), asked(PAID, HTTP_COOKIE=cookies)).started
    assert given == HEADERS
    assert type(headers) is list
    assert headers[: len(HEADERS)] == HEADERS
    assert {name for name, _ in headers[len(HEADERS) :]} == {"cache-control", "vary"}


def test_a_granted_request_gains_the_payment_alone(sandbox: Till, cookies: str) -> None:
    """The environ is the server's own, with the payment in it and nothing else."""
    got: list[WSGIEnvironment] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        got.append(environ)
        return hello(environ, start_response)

    environ = asked(PAID, HTTP_COOKIE=cookies)
    before = dict(environ)
    call(behind(app, sandbox.url), environ)
    assert got == [environ]
    assert got[0] is environ
    assert set(environ) - set(before) == {"taler_paywall.payment"}
    assert {key: environ[key] for key in before} == before
    assert payment_from(environ) is environ["taler_paywall.payment"]
