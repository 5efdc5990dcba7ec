"""The paywall as pure WSGI middleware: the application's iterable is returned as it is (PEP 3333)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from taler_paywall.blocking_transport import MAX_CALLS, HttpBackend
from taler_paywall.drive import perform, run
from taler_paywall.forms import MAX_FORM
from taler_paywall.http import Header, Request, Response
from taler_paywall.payment import ENVIRON_KEY
from taler_paywall.paywall import Case, Granted, SitePaywall
from taler_paywall.reserved import Errand
from taler_paywall.settings import Options, RuleList
from taler_paywall.site import Site
from taler_paywall.transport import TOTAL_TIMEOUT


class PaywallMiddleware:
    """Ask for a payment with GNU Taler before the application answers.

    It may be called by any number of threads or greenlets, in the process that made it or in one that was forked from
    it: nothing is opened or started before the first request.

    Args:
        app: any WSGI application.
        rules: what is sold: a list of `taler_paywall.Rule`, or ``{pattern: price}``; the first that matches wins.
        options: see `taler_paywall.config.Options` and the README; ``backend``, ``token``, ``secret_key`` and
            ``public_url`` may come from the environment (``TALER_PAYWALL_BACKEND`` and so on).

    Raises:
        ConfigError: every mistake in the configuration, each with its fix.
    """

    def __init__(self, app: WSGIApplication, rules: RuleList, **options: Unpack[Options]) -> None:
        self.app = app
        # A poll that waited would take one of the server's few threads.
        self.site = Site(rules, options, long_polls=False)
        settings = self.site.settings
        self._backend = HttpBackend(
            *(settings.backend, settings.backend_public_url, self.site.token, self.site.breaker),
            max_calls=settings.max_backend_calls or MAX_CALLS,
        )
        self._perform = partial(perform, backend=self._backend, memory=self.site.memory)
        if self.site.settings.strict:
            self.site.check(app, "")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Let a request pass, answer it, or let it pass once it is paid."""
        if not self.site.enabled:
            return self.app(environ, start_response)
        path, raw_path, root_path = _paths_of(environ)
        paywall = self.site.paywall or self._paywall_of(environ, root_path)
        if not paywall.concerns(path, raw_path, root_path):
            return self.app(environ, start_response)
        request = Request(
            method=environ["REQUEST_METHOD"],
            path=path,
            raw_path=raw_path,
            root_path=root_path,
            query=environ.get("QUERY_STRING", "").encode("latin-1"),
            headers=_headers_of(environ),
            peer=environ.get("REMOTE_ADDR", ""),
        )
        answer = self._answer(paywall, request, lambda: _read_form(environ))
        if answer is None:
            return self.app(environ, start_response)
        if isinstance(answer, Response):
            return _respond(answer, start_response)
        if answer.payment:
            environ[ENVIRON_KEY] = answer.payment
        return self.app(environ, _granting(start_response, answer))

    def close(self) -> None:
        """Close this process's connections; they also end with this object, and with the process."""
        self._backend.close()
        self.site.memory.payments.close()

    def _answer(
        self, paywall: SitePaywall, request: Request, read_form: Callable[[], bytes | None]
    ) -> Granted | Response | None:
        """Run one request through the flow; whatever breaks in it, nothing is given away."""
        try:
            body = read_form() if paywall.is_form(request) else b""
            case = paywall.begin(request, body)
            if not isinstance(case, (Case, Errand)):
                return case
            perform = partial(self._perform, deadline=time.monotonic() + TOTAL_TIMEOUT)
            return paywall.finish(case, run(case.flow, perform))
        except Exception:  # noqa: BLE001 - the one guard: a bug, or a price callable that raises, closes the gate
            return paywall.failed(request)

    def _paywall_of(self, environ: WSGIEnvironment, root_path: str) -> SitePaywall:
        """Return the paywall at the first request, and that of a site on loopback."""
        return self.site.opened(self.app, environ.get("HTTP_HOST", ""), environ.get("SERVER_PORT"), root_path)


def _paths_of(environ: WSGIEnvironment) -> tuple[str, bytes | None, str]:
    """Return path, raw path and root path as ASGI has them.

    WSGI hands decoded bytes over as Latin-1. The raw path stands in no standard; some servers tell it.
    """
    root_path, path = _text(environ.get("SCRIPT_NAME", "")), _text(environ.get("PATH_INFO", ""))
    target: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    raw_path = target.partition("?")[0].encode("latin-1", "replace") if target else None
    if root_path.endswith("/"):
        root_path, path = root_path.rstrip("/"), path if path.startswith("/") else f"/{path}"
    if path and not path.startswith("/"):
        # Some servers cut SCRIPT_NAME off within a segment. What is left stands alone, and has several readings.
        return path, raw_path, ""
    return root_path + path or "/", raw_path, root_path


def _text(native: str) -> str:
    return native if native.isascii() else native.encode("latin-1").decode("utf-8", "replace")


def _headers_of(environ: WSGIEnvironment) -> list[Header]:
    """Return the headers with the names that they have in HTTP, in lower case."""
    return [
        (name, value.encode("latin-1"))
        for key, value in environ.items()
        if (name := _header_name(key)) is not None and (value or key.startswith("HTTP_"))
    ]


@lru_cache(maxsize=256)
def _header_name(key: str) -> bytes | None:
    """Return a header's name, None for what is no header. The keys are nearly always the same."""
    if not key.startswith("HTTP_") and key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
        return None
    return key.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1")


def _respond(response: Response, start_response: StartResponse) -> Iterable[bytes]:
    """Send an answer of the paywall's own; to HEAD it has no body already."""
    status = f"{response.status} {HTTPStatus(response.status).phrase}"
    start_response(status, _native(response.headers))
    return [response.body]


def _granting(start_response: StartResponse, granted: Granted) -> StartResponse:
    """Add the headers of a granted answer; everything else passes as it is, ``write`` included."""

    def granting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        given = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        private = _native(granted.headers(given))
        try:
            return start_response(status, private, exc_info) if exc_info else start_response(status, private)
        finally:
            # PEP 3333: no cycle through the traceback.
            exc_info = None

    return granting


def _native(headers: Iterable[Header]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _read_form(environ: WSGIEnvironment) -> bytes | None:
    """Read the body of a form of ours, None if it is too long, or cut off."""
    length = environ.get("CONTENT_LENGTH") or ""
    known = length.isdecimal()
    # A body without a length is chunked; only some servers tell where it ends.
    unknown = MAX_FORM + 1 if environ.get("wsgi.input_terminated") else 0
    # Nine digits are too long already, and Python refuses to read thousands.
    size = min(int(length[:9]), MAX_FORM + 1) if known else unknown
    try:
        body: bytes = environ["wsgi.input"].read(size)
    except Exception:  # noqa: BLE001 - each server has exceptions of its own for a body that is broken or cut off
        return None
    return None if len(body) > MAX_FORM or (known and len(body) < size) else body
