"""Stands in front of a sandbox and changes what it says: a backend of another kind, version or time."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx


class Relay:
    """A real HTTP server on loopback.

    Args:
        backend: base URL of the sandbox.
        config: members of ``GET config`` that are replaced.
        date: in place of the header; None leaves it out.
        status: in place of the answers' own to private requests, 0 for those.
        private: in place of the answers to private requests, None for those.
    """

    def __init__(
        self,
        backend: str,
        config: dict[str, Any] | None = None,
        date: str | None = "",
        status: int = 0,
        private: bytes | None = None,
    ) -> None:
        changed = config or {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                answer = httpx.request(
                    self.command, backend + self.path[1:], headers=kept, content=body, trust_env=False
                )
                content = answer.content
                if self.path == "/config":
                    content = json.dumps(answer.json() | changed).encode()
                is_private = self.path.startswith("/private")
                if is_private and private is not None:
                    content = private
                self.send_response_only((status if is_private else 0) or answer.status_code)
                told = answer.headers.get("date") if date == "" else date
                for name, value in (("Date", told), ("Content-Type", "application/json")):
                    if value:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815 - the name that the server looks for

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
