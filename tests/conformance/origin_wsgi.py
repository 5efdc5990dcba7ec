"""The origin application in plain WSGI; `origin_asgi` is the same in plain ASGI."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from taler_paywall.payment import payment_from
from taler_paywall.settings import Options
from taler_paywall.wsgi import PaywallMiddleware

from .answers import FILE, JOURNAL, PATIENCE, TEXT, Answer, Asked, Trouble, answer_to
from .rules import AROUND, MOUNTED, NESTED, OPTIONS, RULES, joined

PIECE: Final = b"for ever" * 8192
#: More than all buffers on the way hold; an adapter that collected them would show, and not fill the memory.
PIECES: Final = 1000


def origin(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    path = _path(environ)
    if "journal" not in path:
        JOURNAL.append(f"{environ['REQUEST_METHOD']} {path}")
    if stream := STREAMS.get(path.rpartition("/")[2]):
        return stream(environ, start_response)
    asked = Asked(
        method=environ["REQUEST_METHOD"],
        root=environ.get("SCRIPT_NAME", ""),
        path=path,
        query=environ["QUERY_STRING"],
        headers={k.removeprefix("HTTP_").replace("_", "-").lower(): v for k, v in environ.items() if "HTTP_" in k},
        body=_body(environ),
        payment=payment_from(environ),
    )
    answer = answer_to(asked)
    _start(start_response, answer)
    return [] if asked.method == "HEAD" else [answer.body]


def raises(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    raise Trouble(_path(environ))


def breaks(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    def pieces() -> Iterator[bytes]:
        yield b"the beginning"
        raise Trouble(_path(environ))

    _start(start_response, Answer(200, (TEXT,)))
    return pieces()


def steps(environ: WSGIEnvironment, start_response: StartResponse, media_type: str = "text/plain") -> Iterator[bytes]:
    """Send one piece, wait until the test has it, send the other."""

    def pieces() -> Iterator[bytes]:
        yield b"data: one\n\n"
        _wait_for_the_test(environ)
        yield b"data: two\n\n"

    _start(start_response, Answer(200, (("Content-Type", media_type),)))
    return pieces()


def events(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    return steps(environ, start_response, "text/event-stream")


class After:
    """Answers, and works on, when it is closed, until the test lets go."""

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self.environ = environ
        _start(start_response, Answer(200, (TEXT, ("Content-Length", "8"))))

    def __iter__(self) -> Iterator[bytes]:
        yield b"answered"

    def close(self) -> None:
        _wait_for_the_test(self.environ)
        JOURNAL.append(f"worked {_path(self.environ)}")


def file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Leave a file to the server."""
    _start(start_response, Answer(200, (("Content-Length", str(FILE.stat().st_size)),)))
    pieces: Iterable[bytes] = environ["wsgi.file_wrapper"](FILE.open("rb"))
    return pieces


class Endless:
    """Sends until the server finds out that the reader has gone, and closes it."""

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self.path = _path(environ)
        self.left = PIECES
        _start(start_response, Answer(200, (TEXT,)))

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return PIECE

    def close(self) -> None:
        JOURNAL.append(f"closed {self.path}")


STREAMS: Final[Mapping[str, WSGIApplication]] = {
    "raises": raises,
    "breaks": breaks,
    "steps": steps,
    "events": events,
    "after": After,
    "file": file,
    "endless": Endless,
}


def _path(environ: WSGIEnvironment) -> str:
    return str(environ["PATH_INFO"]).encode("latin-1").decode()


def _wait_for_the_test(environ: WSGIEnvironment) -> None:
    """Wait until the test ends a connection to the port that the query names."""
    with socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"])), PATIENCE) as test:
        test.recv(1)


def _body(environ: WSGIEnvironment) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    body: bytes = environ["wsgi.input"].read(*([int(length)] if length else []))
    return body


def _start(start_response: StartResponse, answer: Answer) -> None:
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers))


def create(**options: Unpack[Options]) -> PaywallMiddleware:
    return PaywallMiddleware(origin, RULES, **joined(OPTIONS, options))


class Several:
    """The site, and others at paths of their own, mounted as frameworks do it."""

    def __init__(self, public_url: str, options: Options | None = None) -> None:
        def at(path: str, own: Options) -> Options:
            return joined(options or {}, own, {"public_url": public_url + path})

        self.site = create(**at("", {}))
        self.mounted: dict[str, PaywallMiddleware] = {}
        for prefix, (rules, own) in MOUNTED.items():
            self.mounted[prefix] = PaywallMiddleware(origin, rules, **at(prefix, own))
        app: WSGIApplication = origin
        for rules, own in reversed(NESTED):
            app = self.mounted[AROUND] = PaywallMiddleware(app, rules, **at(AROUND, own))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        for prefix, site in self.mounted.items():
            if path.startswith(f"{prefix}/"):
                root = environ.get("SCRIPT_NAME", "") + prefix
                own = environ | {"SCRIPT_NAME": root, "PATH_INFO": path.removeprefix(prefix)}
                return site(own, start_response)
        return self.site(environ, start_response)

    def close(self) -> None:
        for site in (self.site, *self.mounted.values()):
            site.close()
            if isinstance(site.app, PaywallMiddleware):
                site.app.close()
