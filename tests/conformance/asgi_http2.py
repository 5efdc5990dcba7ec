"""A client of HTTP/2 that shows what others hide: informational answers and trailers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    TrailersReceived,
)

Headers = list[tuple[str, str]]
_PATIENCE: Final = 20


@dataclass
class Answer:
    """Everything that came, in the order of the protocol."""

    informational: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Add what an event brings."""
        match event:
            case InformationalResponseReceived(headers=headers):
                self.informational.append(_texts(headers))
            case ResponseReceived(headers=headers):
                self.headers = _texts(headers)
            case DataReceived(data=data):
                self.body += data
            case TrailersReceived(headers=headers):
                self.trailers = _texts(headers)
            case _:
                """The rest is between the two ends of the connection."""


def get(url: str, headers: Headers) -> Answer:
    """Ask for a page, over a connection that begins with HTTP/2."""
    parts = urlsplit(url)
    pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", parts.netloc), (":path", parts.path)]
    answer = Answer()
    with socket.create_connection((parts.hostname or "", parts.port or 80), _PATIENCE) as connection:
        for event in _events(connection, pseudo + headers):
            answer.take(event)
    return answer


def _events(connection: socket.socket, headers: Headers) -> Iterator[Event]:
    """Send a request and yield what comes until the answer has ended."""
    http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http2.initiate_connection()
    http2.send_headers(1, headers, end_stream=True)
    while True:
        connection.sendall(http2.data_to_send())
        data = connection.recv(65_536)
        assert data, "the connection ended before the answer"
        for event in http2.receive_data(data):
            if isinstance(event, StreamEnded):
                return
            yield event


def _texts(headers: object) -> dict[str, str]:
    assert isinstance(headers, list)
    return {str(name): str(value) for name, value in headers}
