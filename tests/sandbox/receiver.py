"""A shop's receiver of webhooks: a real HTTP server on loopback that keeps what it was sent."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Answers with the statuses given, and with 204 when they are used up."""

    def __init__(self, statuses: Iterable[int] = (), port: int = 0) -> None:
        self.received: queue.Queue[Received] = queue.Queue()
        remaining = iter(statuses)

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(handler) -> None:  # noqa: N805 - self is the receiver
                handler.raw_requestline = handler.rfile.readline(65537)
                if not handler.raw_requestline or not handler.parse_request():
                    handler.close_connection = True
                    return
                body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in handler.headers.items()}
                self.received.put(Received(handler.command, handler.path, headers, body))
                handler.send_response(next(remaining, 204))
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805 - self is the receiver
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Received:
        return self.received.get(timeout=20)

    def gets_nothing(self, seconds: float) -> bool:
        try:
            self.received.get(timeout=seconds)
        except queue.Empty:
            return True
        return False
