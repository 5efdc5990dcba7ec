"""Streams, failures and readers who leave."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread

import httpx
import pytest
from reader import Reader
from running import eventually

from .answers import FILE
from .front import FRONTS, Front
from .matrix import ABSENT


def elsewhere(test: str) -> pytest.MarkDecorator:
    """Leave those sites out that cannot do what a test wants to see."""
    return pytest.mark.parametrize("front", [name for name in FRONTS if name not in ABSENT[test]], indirect=True)


@contextmanager
def let_go(listener: socket.socket) -> Iterator[None]:
    """Let the application go on, which waits until its connection to here ends."""
    release = Thread(target=lambda: listener.accept()[0].close())  # noqa: PLW0108 - it accepts in the thread
    release.start()
    yield
    release.join()


@pytest.mark.parametrize(("page", "media_type"), [("steps", "text/plain"), ("events", "text/event-stream")])
def test_streams_are_not_held_up(paid: Reader, page: str, media_type: str) -> None:
    """The first piece of a paid stream, server-sent events too, arrives before the application makes the second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        url = f"/paid/shared/{page}?{listener.getsockname()[1]}"
        with paid.http.stream("GET", url) as answer:
            assert answer.headers["content-type"].startswith(media_type)
            pieces = answer.iter_raw()
            assert next(piece for piece in pieces if piece) == b"data: one\n\n"
            with let_go(listener):
                assert b"".join(pieces) == b"data: two\n\n"


def test_work_after_the_answer(paid: Reader, name: str, called: Callable[[str], list[str]]) -> None:
    """A paid answer is complete while the application goes on working: after its last message, or in `close()`."""
    path = f"/paid/shared/{name}/after"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        with paid.http.stream("GET", f"{path}?{listener.getsockname()[1]}") as answer:
            assert answer.headers["content-length"] == "8"
            # To go on from the whole body would be to wait for the end of the work, where the site is in this process.
            assert next(piece for piece in answer.iter_raw() if piece) == b"answered"
            with let_go(listener):
                answer.close()
    eventually(lambda: f"worked {path}" in called(name), "the work is done")
    assert called(name) == [f"GET {path}", f"worked {path}"]


@elsewhere("test_files_that_the_server_sends")
def test_files_that_the_server_sends(paid: Reader) -> None:
    """A paid file that is left to the server (`http.response.pathsend`, `wsgi.file_wrapper`) arrives whole."""
    answer = paid.http.get("/paid/shared/file")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private")
    assert answer.content == FILE.read_bytes()


def outcome(reader: Reader, path: str) -> str:
    """Tell how an answer that fails looks to a reader."""
    try:
        answer = reader.http.get(path)
    except httpx.RemoteProtocolError:
        return "cut off"
    return f"{answer.status_code} {answer.content!r}"


@pytest.mark.parametrize("page", ["raises", "breaks"])
def test_failures_of_the_application_stay_its_own(front: Front, paid: Reader, page: str) -> None:
    """An exception of the application, at once or in the middle, ends as on a free page: in the server's log."""
    already = len(front.log)
    assert outcome(paid, f"/paid/shared/{page}") == outcome(paid, f"/free/{page}")
    for path in (f"/paid/shared/{page}", f"/free/{page}"):
        trouble = f"Trouble: {path}"
        eventually(partial(lambda words: words in front.log[already:], trouble), f"{trouble} in the log")
    assert "internal-error" not in front.log
    assert outcome(paid, "/paid/shared/doubles") == "200 b'doubles'"


def test_an_exception_before_the_first_byte_is_500(paid: Reader) -> None:
    """An exception of the application before its answer is the server's 500, and no content."""
    assert outcome(paid, "/paid/shared/raises").startswith("500 ")


def test_readers_who_leave_end_the_stream_once(paid: Reader, name: str, called: Callable[[str], list[str]]) -> None:
    """When the reader leaves in the middle of a paid stream, the application cleans up, once."""
    path = f"/paid/shared/{name}/endless"
    with paid.http.stream("GET", path) as answer:
        assert next(piece for piece in answer.iter_raw() if piece).startswith(b"for ever")
    eventually(lambda: f"closed {path}" in called(name), "the application's cleanup")
    assert paid.http.get("/paid/shared").status_code == 200
    assert called(name) == [f"GET {path}", f"closed {path}"]


@elsewhere("test_connections_are_kept")
def test_connections_are_kept(paid: Reader) -> None:
    """One connection carries many paid requests, one after another."""
    ends = set()
    for number in range(20):
        with paid.http.stream("GET", "/paid/shared", params={"n": str(number)}) as answer:
            ends.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
            assert json.loads(answer.read())["query"] == f"n={number}"
    assert len(ends) == 1
