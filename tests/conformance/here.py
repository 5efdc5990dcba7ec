"""Sites in this process, called as servers call them, raw addresses and unfinished answers included."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper

import anyio
import httpx
from anyio.from_thread import BlockingPortal

from taler_paywall.asgi import ASGIApp, Message


class Here(httpx.BaseTransport):
    """The way to a site in this process.

    Args:
        root: where the site is mounted.
    """

    def __init__(self, root: str = "") -> None:
        self._root = root
        #: What a server would have written to its log.
        self.log = ""

    def _failed(self) -> None:
        self.log += traceback.format_exc()

    @staticmethod
    def _target(request: httpx.Request) -> tuple[bytes, bytes]:
        """Return path and query as they would go over the wire."""
        target: bytes = request.extensions.get("target", request.url.raw_path)
        path, _, query = target.partition(b"?")
        return path, query


class AsgiHere(Here):
    """Runs each request in the event loop of the site, and hands the answer over piece by piece."""

    def __init__(self, app: ASGIApp, portal: BlockingPortal, root: str = "") -> None:
        super().__init__(root)
        self._app = app
        self._portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path, query = self._target(request)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "root_path": self._root,
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 40_000),
            "extensions": {"http.response.pathsend": {}},
        }
        exchange = _Exchange(request.read())
        task = self._portal.start_task_soon(self._run, scope, exchange)
        start = exchange.sent.get()
        if start is None:
            task.result()
            return httpx.Response(500)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
        return httpx.Response(start["status"], headers=headers, stream=_Body(exchange, self._portal, task))

    async def _run(self, scope: dict[str, Any], exchange: _Exchange) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:  # noqa: BLE001 - a server's last resort
            self._failed()
            exchange.sent.put(None)


class _Exchange:
    """One request and its answer."""

    def __init__(self, body: bytes) -> None:
        half = len(body) // 2
        self._received = [body[half:], body[:half]] if half else [body]
        #: Messages of the application; None when it has failed.
        self.sent: SimpleQueue[Message | None] = SimpleQueue()
        self.gone = anyio.Event()

    async def receive(self) -> Message:
        if self._received:
            return {"type": "http.request", "body": self._received.pop(), "more_body": bool(self._received)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.put(message)


class _Body(httpx.SyncByteStream):
    def __init__(self, exchange: _Exchange, portal: BlockingPortal, task: Any) -> None:
        self._exchange = exchange
        self._portal = portal
        self._task = task

    def __iter__(self) -> Iterator[bytes]:
        more = True
        while more:
            message = self._exchange.sent.get()
            if message is None:
                raise httpx.RemoteProtocolError("the application failed")
            more = message.get("more_body", False)
            yield Path(message["path"]).read_bytes() if "path" in message else message.get("body", b"")

    def close(self) -> None:
        self._portal.call(self._exchange.gone.set)
        self._task.result()


class WsgiHere(Here):
    """Calls the application as PEP 3333 says, and no more: no raw address stands in the environ."""

    def __init__(self, app: WSGIApplication, root: str = "") -> None:
        super().__init__(root)
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path, query = self._target(request)
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
            started.append((status, headers))

        try:
            pieces = self._app(self._environ(request, unquote_to_bytes(path), query), start_response)
            # A generator starts its answer with its first piece.
            pieces = _Begun(pieces)
        except Exception:  # noqa: BLE001 - a server's last resort
            self._failed()
            return httpx.Response(500)
        status, headers = started[-1]
        return httpx.Response(int(status[:3]), headers=headers, stream=_Iterated(pieces, self))

    def _environ(self, request: httpx.Request, path: bytes, query: bytes) -> WSGIEnvironment:
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": self._root,
            "PATH_INFO": path.decode("latin-1").removeprefix(self._root),
            "QUERY_STRING": query.decode("latin-1"),
            "SERVER_NAME": request.url.host,
            "SERVER_PORT": str(request.url.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.read()),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }
        for name, value in request.headers.multi_items():
            key = name.upper().replace("-", "_")
            key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ


class _Begun:
    """An iterable whose first piece was taken and is not lost."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._rest = iter(pieces)
        self._first = next(self._rest, b"")

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        yield from self._rest

    def close(self) -> None:
        if hasattr(self._pieces, "close"):
            self._pieces.close()


class _Iterated(httpx.SyncByteStream):
    def __init__(self, pieces: _Begun, site: WsgiHere) -> None:
        self._pieces = pieces
        self._site = site

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except Exception as error:
            self._site._failed()
            raise httpx.RemoteProtocolError("the application failed") from error

    def close(self) -> None:
        self._pieces.close()
