"""Requests byte by byte, over HTTP/1.1 and HTTP/2, and what comes back."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

from .corpus import Attack, Header, Jar, raw_request
from .sites import SITE
from .tolerant import MARKER, PUBLIC, traces

_PATIENCE: Final = 60
#: The first message of a websocket, with what precedes it.
_MESSAGE: Final = re.compile(b"(?s)HTTP/1.1 101 .*(?:%s|%s)" % (MARKER, PUBLIC)).match
#: What HTTP/2 has no place for.
_OF_CONNECTIONS: Final = {b"connection", b"upgrade", b"host"}


@dataclass
class Answer:
    """What a server has sent; nothing, status 0, if it closed the connection without an answer.

    Args:
        status: of the answer.
        headers: but for the date.
        body: as it came, in chunks or websocket frames where it came in them.
    """

    status: int = 0
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def read(cls, sent: bytes) -> Answer:
        """Read an answer of HTTP/1."""
        head, _, body = sent.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        if not status.startswith(b"HTTP/1."):
            return cls(body=sent)
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        if (b"upgrade", b"h2c") in pairs:
            return _upgraded(body)
        return cls(int(status.split()[1]), [pair for pair in pairs if pair[0] != b"date"], body)

    @property
    def traces(self) -> list[bytes]:
        """What it tells of the secret."""
        return traces(self.headers, self.body)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a header."""
        return [value for key, value in self.headers if key == name]


@contextmanager
def connection_to(url: str) -> Iterator[socket.socket]:
    """Connect to a server."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), _PATIENCE) as connection:
        yield connection


def request_for(site: str, attack: Attack, jar: Jar) -> bytes:
    """Return the bytes that ask a site."""
    first, rest = raw_request(attack, jar).split(b"\r\n", 1)
    if b"\r\nUpgrade: websocket\r\n" in rest:
        # It has a Connection of its own.
        rest = rest.replace(b"Connection: close\r\n", b"")
    return b"%s\r\n%s: %s\r\n%s" % (first, SITE, site.encode(), rest)


def ask(url: str, request: bytes) -> Answer:
    """Send a request and return what comes until the connection ends, or the first frame of a websocket."""
    sent = b""
    with connection_to(url) as connection:
        try:
            connection.sendall(request)
            while part := connection.recv(65_536):
                sent += part
                if b"Upgrade: websocket" in request and _is_whole(sent):
                    break
        except ConnectionError:
            # A server that refuses a request does not wait for the rest of it: what has come is its answer.
            return Answer.read(sent)
    return Answer.read(message[0] if (message := _MESSAGE(sent)) else sent)


def _is_whole(sent: bytes) -> bool:
    """Tell whether an answer, or the first message of a websocket, has come on a connection that stays open."""
    head, end, body = sent.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    whole = len(body) >= int(length[1]) if length else body.endswith(b"\r\n0\r\n\r\n")
    return bool(end and (whole or _MESSAGE(sent)))


def ask_http2(url: str, site: str, attack: Attack, jar: Jar) -> Answer:
    """Ask over a connection that begins with HTTP/2, of which what belongs to the connection alone is left out."""
    method, target = attack.request.method.encode("latin-1"), attack.target
    headers = [(name.lower(), value) for name, value in attack.headers(jar)]
    pseudo = [(b":method", method), (b":scheme", b"http"), (b":authority", b"t.test"), (b":path", target)]
    own = [(SITE, site.encode()), *((name, value) for name, value in headers if name not in _OF_CONNECTIONS)]
    http2 = H2Connection(H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False))
    http2.initiate_connection()
    http2.send_headers(1, pseudo + own, end_stream=True)
    return _http2_answer(_events(url, http2))


def _events(url: str, http2: H2Connection) -> Iterator[Event]:
    """Send what is to be sent, and yield what comes until the answer has ended or will not come."""
    with connection_to(url) as connection:
        connection.sendall(http2.data_to_send())
        while data := connection.recv(65_536):
            for event in http2.receive_data(data):
                if isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                    return
                yield event
            connection.sendall(http2.data_to_send())


def _upgraded(frames: bytes) -> Answer:
    """Read an answer of HTTP/2 that came over a connection that began with HTTP/1."""
    http2 = H2Connection(H2Configuration())
    http2.initiate_upgrade_connection()
    return _http2_answer(http2.receive_data(frames))


def _http2_answer(events: Iterable[Event]) -> Answer:
    answer = Answer()
    for event in events:
        match event:
            case ResponseReceived(headers=[(_, status), *rest]):
                answer.status = int(status)
                answer.headers = [(bytes(name), bytes(value)) for name, value in rest if name != b"date"]
            case DataReceived(data=data):
                answer.body += data
            case _:
                """The rest is between the two ends of the connection."""
    return answer
