"""A merchant backend that hands everything on to the sandbox, and when told to says back what it was told."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Final, Self

Mood = Callable[["Parrot", bytes, bytes], bytes]
#: What the site believes to be the access token; the sandbox has another.
PLANTED_TOKEN: Final = "secret-token:planted-token-of-the-merchant"
_SANDBOX_TOKEN: Final = b"secret-token:sandbox"


class Parrot(ThreadingTCPServer):
    """Listens on loopback from its making to the end of its context.

    Args:
        sandbox_port: of the sandbox, on loopback.
        tls: makes it speak TLS.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 100

    def __init__(self, sandbox_port: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._sandbox_port = sandbox_port
        self.tls = tls
        self.mood: Mood = honest
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_address[1]}/"
        #: Called for every request before it is answered.
        self.overhears: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return (self.tls.wrap_socket(connection, server_side=True) if self.tls else connection), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that a client goes away is what some tests are about."""

    def ask_sandbox(self, head: bytes, body: bytes) -> bytes:
        """Return the sandbox's own answer to a request."""
        head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head).replace(PLANTED_TOKEN.encode(), _SANDBOX_TOKEN)
        with socket.create_connection(("127.0.0.1", self._sandbox_port), timeout=30) as connection:
            connection.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


class _Handler(StreamRequestHandler):
    server: Parrot

    def handle(self) -> None:
        head = b"".join(iter(self.rfile.readline, b"\r\n")) + b"\r\n"
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = self.rfile.read(int(length[1])) if length else b""
        self.server.overhears()
        with suppress(OSError):
            self.wfile.write(self.server.mood(self.server, head, body))


def honest(parrot: Parrot, head: bytes, body: bytes) -> bytes:
    return parrot.ask_sandbox(head, body)


def said(head: bytes) -> bytes:
    """Return what the site has said, in one line: the address that it asked for, and its token."""
    token = re.search(rb"(?i)\r\nauthorization: *([^\r]*)", head)
    return head.partition(b" HTTP/")[0] + b" " + (token[1] if token else b"")


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK", media_type: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + media_type, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


def with_member(name: str, before: str = "", after: str = "") -> Mood:
    """Answer honestly, but for one member, which says back what was said."""

    def mood(parrot: Parrot, head: bytes, body: bytes) -> bytes:
        _, _, told = parrot.ask_sandbox(head, body).partition(b"\r\n\r\n")
        changed = json.loads(told) | {name: f"{before}{said(head).decode()}{after}"}
        return answer(json.dumps(changed).encode())

    return mood


def _raw(say: Callable[[bytes], bytes]) -> Mood:
    return lambda parrot, head, body: say(said(head))


def _detail(text: bytes) -> bytes:
    return json.dumps({"code": 2000, "hint": text.decode(), "detail": text.decode()}).encode()


#: All of them but honesty; after none of them is anything known of a payment.
MOODS: Final[Mapping[str, Mood]] = {
    "headers": _raw(lambda text: answer(b"{}", b"X-Said: " + text, b"Set-Cookie: said=" + text, b"ETag: " + text)),
    "redirect": _raw(lambda text: answer(b"", b"Location: /" + text, status=b"302 Found")),
    "moved": _raw(lambda text: answer(b"", b"Location: http://127.0.0.1/" + text, status=b"308 Permanent Redirect")),
    "coding": _raw(lambda text: answer(b"{}", b"Content-Encoding: " + text)),
    "media type": _raw(lambda text: answer(b"{}", media_type=text)),
    "reason": _raw(lambda text: answer(_detail(text), status=b"500 " + text)),
    "wrong token": _raw(lambda text: answer(_detail(text), status=b"401 Unauthorized")),
    "forbidden": _raw(lambda text: answer(_detail(text), status=b"403 Forbidden")),
    "missing": _raw(lambda text: answer(_detail(text), status=b"404 Not Found")),
    "conflict": _raw(lambda text: answer(_detail(text), status=b"409 Conflict")),
    "text": _raw(lambda text: answer(text, media_type=b"text/plain")),
    "no JSON": _raw(lambda text: answer(b'{"said": "' + text)),
    "list": _raw(lambda text: answer(b'["' + text + b'"]')),
    "twice": _raw(lambda text: answer(b'{"%s": 1, "%s": 2}' % (text, text))),
    "empty object": _raw(lambda text: answer(b"{}")),
    "no HTTP": _raw(lambda text: text + b"\r\n\r\n"),
    "no header": _raw(lambda text: b"HTTP/1.1 200 OK\r\n" + text + b"\r\n\r\n"),
    "status line": _raw(lambda text: b"HTTP/1.1 " + text + b"\r\n\r\n"),
    "cut off": _raw(lambda text: answer(b'{"said": "' + text + b'"}').replace(b"-Length: ", b"-Length: 9")),
    "chunks": _raw(lambda text: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + text + b"\r\n"),
    "too long": _raw(lambda text: answer(b'"' + text * 20_000 + b'"')),
    "gone": _raw(lambda text: b""),
    "order status": with_member("order_status"),
    "no pay URI": with_member("taler_pay_uri"),
    "odd pay URI": with_member("taler_pay_uri", "taler://pay/127.0.0.1/"),
    "pay URI with a port": with_member("taler_pay_uri", "taler+http://pay/127.0.0.1:"),
    "pay URI with escapes": with_member("taler_pay_uri", "taler+http://pay/127.0.0.1/a/b?c=%zz"),
    "foreign pay URI": with_member("taler_pay_uri", "taler://pay/evil.example/ORDER/SESSION?c="),
    "odd status URL": with_member("order_status_url"),
    "foreign status URL": with_member("order_status_url", "https://evil.example/orders/ORDER?said="),
    "script": with_member("order_status_url", "javascript:"),
    "amount": with_member("total_amount"),
    "refund": with_member("refund_amount"),
    "refunded": with_member("refunded"),
    "contract": with_member("contract_terms"),
    "order ID": with_member("order_id"),
    "pay deadline": with_member("pay_deadline"),
}
