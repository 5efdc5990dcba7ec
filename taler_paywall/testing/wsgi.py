"""The way to a WSGI application in this process, called as servers call it (PEP 3333)."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper

import httpx

_DEFAULT_PORTS = {"http": 80, "https": 443}


class WSGITransport(httpx.BaseTransport):
    """Calls an application in the thread that asks, and hands its answer over piece by piece.

    Args:
        app: a WSGI application; what it raises is raised to who asks.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with what the application answers."""
        request.read()
        answer = _Answer(self._app, _environ_of(request))
        return httpx.Response(int(answer.status[:3]), headers=answer.headers, stream=answer)


class _Answer(httpx.SyncByteStream):
    """An application's answer, asked for until its first piece is there; only then status and headers are certain."""

    def __init__(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        self.status = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self._pieces: deque[bytes] = deque()
        self._begun = False
        self._body = app(environ, self._start_response)
        try:
            self._rest = iter(self._body)
            while not any(self._pieces) and (piece := next(self._rest, None)) is not None:
                self._pieces.append(piece)
        except BaseException:
            self.close()
            raise
        self._begun = True
        if not self.status:
            self.close()
            raise AssertionError("the application has not called start_response")

    def __iter__(self) -> Iterator[bytes]:
        yield from self._received()
        for piece in self._rest:
            self._pieces.append(piece)
            yield from self._received()

    def close(self) -> None:
        """Tell the application that nobody wants more."""
        if close := getattr(self._body, "close", None):
            close()

    def _received(self) -> Iterator[bytes]:
        while self._pieces:
            yield self._pieces.popleft()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        if exc_info and exc_info[1] and self._begun:
            raise exc_info[1]
        if self.status and not exc_info:
            raise AssertionError("the application has called start_response twice")
        self.status = status
        self.headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return self._pieces.append


def _environ_of(request: httpx.Request) -> WSGIEnvironment:
    """Return what a server on HTTP/1.1 would tell the application of a request."""
    target, url = request.url.raw_path.decode("ascii"), request.url
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        # Bytes as Latin-1, whatever they mean.
        "PATH_INFO": unquote_to_bytes(target.partition("?")[0]).decode("latin-1"),
        "QUERY_STRING": target.partition("?")[2],
        "REQUEST_URI": target,
        "SERVER_NAME": url.host,
        "SERVER_PORT": str(url.port or _DEFAULT_PORTS[url.scheme]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(request.content),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    for name, value in request.headers.raw:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        environ[key] = ",".join([*filter(None, [environ.get(key)]), value.decode("latin-1")])
    return environ
