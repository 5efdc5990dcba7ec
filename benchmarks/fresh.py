"""Requests made anew from the bytes of a client, as servers make them, and what an application takes for one.

Nothing here waits for anybody, so that the time of the processor is the time that passes on a machine with nothing else
to do, and on a busy one it is the one to believe.
"""

from __future__ import annotations

import asyncio
import gc
import io
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote, unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

from benchmarks.shop import Answer, Cookies, ask, nothing, scope_of
from benchmarks.table import BenchmarkError, Limit, Row, interleaved
from taler_paywall.asgi import ASGIApp, Scope

ROUNDS: Final = 11
#: A round lasts as long as this at least, whatever it measures.
ROUND_SECONDS: Final = 0.02
#: So many requests are made before the clock runs, and so few that they stay in the processor's cache.
BATCH: Final = 32

R = TypeVar("R", bound=MutableMapping[str, Any])


def message(target: str, cookies: Cookies | None = None, **headers: bytes) -> bytes:
    """Return a browser's navigation as it goes over the wire.

    Args:
        target: the path, quoted.
        cookies: of the browser.
        headers: further ones or other values, with underscores in their names; an empty value leaves a header out.
    """
    sent = dict(scope_of("/", cookies)["headers"])
    sent |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
    lines = [b"%s: %s" % (name, value) for name, value in sent.items() if value]
    return b"\r\n".join([b"GET %s HTTP/1.1" % target.encode(), *lines])


def _parsed(sent: bytes) -> tuple[str, bytes, Iterator[tuple[bytes, bytes]]]:
    first, *lines = sent.split(b"\r\n")
    method, raw_path, _ = first.split(b" ")
    pairs = (line.partition(b": ") for line in lines)
    return method.decode(), raw_path, ((name, value) for name, _, value in pairs)


def scope(sent: bytes) -> Scope:
    """Make the scope of a request, as uvicorn does."""
    method, raw_path, headers = _parsed(sent)
    return {
        **scope_of(unquote(raw_path.decode("ascii"))),
        "method": method,
        "raw_path": raw_path,
        "headers": [(name.lower(), value) for name, value in headers],
        "state": {},
    }


def environ(sent: bytes) -> WSGIEnvironment:
    """Make the environment of a request, as gunicorn does."""
    method, raw_path, headers = _parsed(sent)
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw_path).decode("latin-1"),
        "RAW_URI": raw_path.decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        **{f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode("latin-1") for name, value in headers},
    }


@dataclass(frozen=True)
class Way(Generic[R]):
    """One kind of request on one way to the application.

    Args:
        messages: what clients send, all different.
        status: of every answer.
        mark: a header that only this way's answers have; empty if they have none that the application's lack.
        make: a request from a message.
        serve: requests, and return the seconds that it took.
        ask: for one answer.
    """

    messages: Sequence[bytes]
    status: int
    mark: bytes
    make: Callable[[bytes], R]
    serve: Callable[[list[R]], float]
    ask: Callable[[R], Answer]

    def __call__(self) -> float:
        """Return the microseconds of one request in one round."""
        gc.collect()
        taken, count = 0.0, 0
        while taken < ROUND_SECONDS:
            taken += self.serve([self.make(sent) for sent in islice(self._waiting, BATCH)])
            count += BATCH
        return taken / count * 1e6

    @cached_property
    def _waiting(self) -> Iterator[bytes]:
        """The messages in turns; a round goes on where the last one has stopped."""
        return cycle(self.messages)

    def check(self, name: str) -> None:
        """Ask for everything once.

        Raises:
            BenchmarkError: an answer is not what is to be measured.
        """
        for sent in self.messages:
            answer = self.ask(self.make(sent))
            added = {key.lower() for key, _ in answer.headers} - {b"content-type", b"content-length"}
            if answer.status != self.status or (self.mark not in added if self.mark else bool(added)):
                raise BenchmarkError(f"{name}: {sent[:60]!r} was answered with {answer}")


def asgi(
    loop: asyncio.AbstractEventLoop, app: ASGIApp, messages: Sequence[bytes], status: int = 200, mark: bytes = b""
) -> Way[Scope]:
    """Return a way through an ASGI application; see `Way`."""

    async def serve(scopes: list[Scope]) -> float:
        began = time.thread_time()
        for each in scopes:
            await app(each, nothing, _discard)
        return time.thread_time() - began

    return Way(
        messages,
        status,
        mark,
        scope,
        lambda scopes: loop.run_until_complete(serve(scopes)),
        lambda request: loop.run_until_complete(ask(app, request)),
    )


def wsgi(app: WSGIApplication, messages: Sequence[bytes], status: int = 200, mark: bytes = b"") -> Way[WSGIEnvironment]:
    """Return a way through a WSGI application; see `Way`."""

    def serve(environs: list[WSGIEnvironment]) -> float:
        began = time.thread_time()
        for each in environs:
            app(each, _ignore)
        return time.thread_time() - began

    def ask(request: WSGIEnvironment) -> Answer:
        starts: list[Answer] = []

        def start_response(line: str, headers: list[tuple[str, str]], _: object = None) -> Callable[[bytes], object]:
            starts.append(Answer(int(line[:3]), [(name.encode(), value.encode()) for name, value in headers]))
            return bytes

        app(request, start_response)
        return starts[0]

    return Way(messages, status, mark, environ, serve, ask)


def compare(group: str, ways: Mapping[str, Way[Any]], limits: Mapping[str, Limit] | None = None) -> Iterator[Row]:
    """Measure ways in turns beside the first of them; what they answer is looked at before and after.

    Args:
        group: letter of the group.
        ways: by the name of the row; the first is the reference.
        limits: by the name of the row.
    """
    for name, way in ways.items():
        way.check(name)
    rounds = interleaved(group, "µs", ways, ROUNDS)
    for name, way in ways.items():
        way.check(name)
    for name in list(ways)[1:]:
        yield rounds.row(name, (limits or {}).get(name))


async def _discard(_: Any) -> None:
    """Send nowhere."""


def _ignore(_: str, __: list[tuple[str, str]], ___: object = None) -> Callable[[bytes], object]:
    """Start no answer."""
    return bytes
