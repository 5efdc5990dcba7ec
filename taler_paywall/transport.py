"""HTTP to the merchant backend: what goes out, and how much may come back; both clients of the backend say it the same.

No redirect is followed, no cookie kept, no proxy or netrc taken from the environment, no body decompressed, and no URL
logged.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from taler_paywall.breaker import Breaker, answered
from taler_paywall.errors import BackendBusy, BackendError, BackendNonsense, BackendUnreachable
from taler_paywall.operations import BackendRequest, BackendResponse

#: Seconds for a connection, and for a whole exchange, however slowly its bytes drip.
CONNECT_TIMEOUT = 2.0
TOTAL_TIMEOUT = 5.0
#: Bytes of an answer.
MAX_ANSWER = 1 << 20

#: An exchange that had less than so many seconds says nothing about the backend if it did not end in time.
ENOUGH = 2.0
#: Connections that are kept, and for how many seconds.
MAX_IDLE = 20
IDLE_SECONDS = 30.0

#: Before a request is sent once more, spread so that readers who failed together do not ask together again.
_PAUSE = (0.05, 0.15)

Token = str | Callable[[], str]

_unheard: ContextVar[bool] = ContextVar("taler_paywall.unheard", default=False)


@contextmanager
def unheard() -> Iterator[None]:
    """Keep the HTTP client from logging this exchange, and no other: it writes down what the backend says."""
    token = _unheard.set(True)
    try:
        yield
    finally:
        _unheard.reset(token)


for _name in ("connection", "connection_pool", "http11", "proxy"):
    logging.getLogger(f"httpcore.{_name}").addFilter(lambda _: not _unheard.get())


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request as it goes over the wire."""

    method: str
    url: str = field(repr=False)
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes | None = field(repr=False)


class Instance:
    """The address of the merchant instance.

    Args:
        base_url: with a slash at the end.
        public_url: the same instance as wallets see it; if it differs, ``X-Forwarded-*`` headers tell the backend.
    """

    def __init__(self, base_url: str, public_url: str) -> None:
        self._base_url = base_url
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "host": urlsplit(base_url).netloc,
            **_forwarded(base_url, public_url),
        }

    def outgoing(self, request: BackendRequest, token: str) -> Outgoing:
        """Return a request to the instance as it goes over the wire.

        Args:
            request: to the instance.
            token: goes with private requests alone.
        """
        headers = dict(self._headers)
        if request.private:
            headers["authorization"] = f"Bearer {token}"
        if request.body is not None:
            headers["content-type"] = "application/json"
        url = f"{self._base_url}{request.path}{f'?{urlencode(request.query)}' if request.query else ''}"
        return Outgoing(request.method, url, tuple(headers.items()), request.body)


def no_answer(seconds: float) -> BackendError:
    """Return what an exchange failed of that was not over in time.

    Args:
        seconds: that it had.
    """
    if seconds < ENOUGH:
        return BackendBusy("too little time was left to ask")
    return BackendUnreachable("no answer in time")


class Tries:
    """The one or two exchanges that a request may take.

    Args:
        request: to be sent.
        deadline: of the visit, on the monotonic clock. A request never has more than `TOTAL_TIMEOUT` beside the time
            for which the backend may hold its answer back.
        breaker: knows whether the backend answers at all.
    """

    def __init__(self, request: BackendRequest, deadline: float | None, breaker: Breaker) -> None:
        latest = time.monotonic() + request.wait + TOTAL_TIMEOUT
        self.deadline = latest if deadline is None else min(deadline, latest)
        self.outcome: BackendResponse | BackendError | None = None
        self._request = request
        self._breaker = breaker

    def note(self, outcome: BackendResponse | BackendError) -> None:
        """Take what has become of an exchange; a second one that was not sent says no more than the first."""
        if self.outcome is None or not isinstance(outcome, BackendBusy):
            self.outcome = outcome

    def pauses(self) -> Iterator[float]:
        """Yield for how many seconds to pause before each exchange; `outcome` is what has become of the last one.

        Raises:
            CircuitOpen: the backend is not to be asked.
        """
        self._breaker.check()
        yield 0.0
        pause = random.uniform(*_PAUSE)  # noqa: S311 - spreads load only
        if (
            not answered(self.outcome)
            and self._request.repeatable
            and time.monotonic() + pause + ENOUGH < self.deadline
        ):
            yield pause

    @property
    def answer(self) -> BackendResponse:
        """The answer to the last exchange.

        Raises:
            BackendError: there was none.
        """
        if not isinstance(self.outcome, BackendResponse):
            raise self.outcome or BackendUnreachable("not asked")
        return self.outcome


class Incoming:
    """An answer that is on its way.

    Args:
        status: of the answer.
        headers: as they came, with names in any case.

    Raises:
        BackendNonsense: it is compressed, though that was declined.
    """

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        if _value(headers, b"content-encoding") not in {"", "identity"}:
            raise BackendNonsense("the answer is compressed, though that was declined")
        self._status = status
        self._media_type = _media_type(_value(headers, b"content-type"))
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            BackendNonsense: there are too many.
        """
        self._body += chunk
        if len(self._body) > MAX_ANSWER:
            raise BackendNonsense("the answer is longer than 1 MiB")

    def complete(self) -> BackendResponse:
        """Return the answer, now that the body has ended."""
        return BackendResponse(self._status, self._media_type, bytes(self._body))


def _value(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    """Return a header's value in lower case, several of them joined as RFC 9110 has it, empty if there is none."""
    return b", ".join([value for key, value in headers if key.lower() == name]).decode("latin-1").lower()


def _media_type(content_type: str) -> str:
    """Return the media type; empty if there are several, or the body is said to be in another encoding than UTF-8."""
    media_type, *parameters = content_type.split(";")
    pairs = [parameter.strip().partition("=") for parameter in parameters]
    foreign = any(name.startswith("charset") and value.strip('"') != "utf-8" for name, _, value in pairs)
    return "" if foreign or "," in content_type else media_type.strip()


def _forwarded(base_url: str, public_url: str) -> dict[str, str]:
    """Return the headers that tell the backend its public address (merchant API, 1.1)."""
    if base_url == public_url:
        return {}
    base, public = urlsplit(base_url), urlsplit(public_url)
    headers = {"x-forwarded-proto": public.scheme, "x-forwarded-host": public.netloc}
    prefix = public.path.removesuffix(base.path)
    if prefix:
        headers["x-forwarded-prefix"] = prefix
    return headers
