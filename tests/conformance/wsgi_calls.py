"""A WSGI application called as PEP 3333 says a server calls it, and the paywalled sites that are called so."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

from running import SECRET_KEY, TOKEN

from taler_paywall.testing.wallet import TalerWallet
from taler_paywall.wsgi import PaywallMiddleware

SITE: Final = "http://127.0.0.1:8000"
PAID: Final = "/paid/wsgi"
REORDER: Final = "/.well-known/taler-paywall/reorder"
BROWSER: Final = {"HTTP_ACCEPT": "text/html", "HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}
#: A backend that is never asked.
NOWHERE: Final = "http://127.0.0.1:1/"


def hello(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def behind(app: WSGIApplication, backend: str = NOWHERE) -> PaywallMiddleware:
    """Put an application behind a paywall."""
    return PaywallMiddleware(
        app, {"/paid/{name}/*": "KUDOS:0.5"}, backend=backend, token=TOKEN, secret_key=SECRET_KEY, public_url=SITE
    )


def asked(path: str, method: str = "GET", body: bytes = b"", /, **more: Any) -> WSGIEnvironment:
    """Return the environ of a request."""
    environ: WSGIEnvironment = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": ""}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))} if body else {}
    setup_testing_defaults(environ)
    return environ | more


@dataclass
class Answer:
    """What a server has seen of one call."""

    started: list[tuple[str, list[tuple[str, str]], Any]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    iterable: Iterable[bytes] | None = None

    @property
    def status(self) -> int:
        return int(self.started[-1][0][:3])

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.started[-1][1] if key.lower() == name), None)

    @property
    def cookies(self) -> str:
        """The cookies that it sets, as a browser sends them back."""
        jar = SimpleCookie()
        for name, value in self.started[-1][1]:
            if name.lower() == "set-cookie":
                jar.load(value)
        return "; ".join(f"{name}={morsel.coded_value}" for name, morsel in jar.items())

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        try:
            if exc_info and exc_info[1] and self.pieces:
                raise exc_info[1].with_traceback(exc_info[2])
            assert exc_info or not self.started
            self.started.append((status, headers, exc_info))
            return self.write
        finally:
            # PEP 3333: no cycle through the traceback.
            exc_info = None

    def write(self, piece: bytes) -> None:
        assert self.started
        self.pieces.append(piece)


def call(app: Callable[..., Iterable[bytes]], environ: WSGIEnvironment, *, pieces: int | None = None) -> Answer:
    """Call an application, take its answer (or only so many pieces of it), and close it."""
    answer = Answer()
    answer.iterable = iterable = app(environ, answer.start_response)
    try:
        for number, piece in enumerate(iterable, 1):
            if piece:
                answer.write(piece)
            if number == pieces:
                break
    finally:
        if hasattr(iterable, "close"):
            iterable.close()
    return answer


def buy(site: PaywallMiddleware, wallet: TalerWallet, path: str = PAID) -> str:
    """Buy a page, and return the cookies that open it."""
    answer = call(site, asked(path, **BROWSER))
    assert answer.status == 302, answer
    wallet.pay(answer.header("location") or "")
    return answer.cookies
