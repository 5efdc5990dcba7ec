"""A site of plain WSGI that tells which worker has answered; configured by the environment.

Where `WARM` is set, the process that the workers are forked from has asked the backend before. Where `DEATHS` is a
directory, a file in it named after a status kills, once, the worker that is about to answer with that status.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

from taler_paywall import payment_from
from taler_paywall.wsgi import PaywallMiddleware


def origin(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    payment = payment_from(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {environ['PATH_INFO']} {payment and payment.order_id}".encode()]


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer through the paywall, or die instead."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        if "DEATHS" in os.environ:
            with suppress(FileNotFoundError):
                Path(os.environ["DEATHS"], status[:3]).unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return start_response(status, headers, *exc_info)

    return _paywall(environ, start)


_paywall = PaywallMiddleware(origin, {"/articles/{name}": "KUDOS:0.5"})


def _ask_the_backend() -> None:
    """Ask for a page as somebody who has not paid."""
    environ: WSGIEnvironment = {"PATH_INFO": "/articles/before-the-fork", "HTTP_ACCEPT": "text/html"}
    setup_testing_defaults(environ)
    answers: list[str] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        answers.append(status)
        return bytes

    _paywall(environ, start)
    if answers != ["302 Found"]:
        raise RuntimeError(f"the backend was not asked: {answers}")


if "WARM" in os.environ:
    _ask_the_backend()
