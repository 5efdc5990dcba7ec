"""HTTP to the merchant backend: the only module that imports httpx.

httpx's transports are used without its clients: no redirect is followed, no cookie kept, no proxy or netrc taken from
the environment, no body decompressed, and no URL logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.message import Message
from urllib.parse import urlencode, urlsplit

import anyio
import anyio.to_thread
import httpx
from anyio.lowlevel import RunVar

from taler_paywall.errors import BackendNonsense, BackendUnreachable
from taler_paywall.operations import BackendRequest, BackendResponse

#: Seconds for a connection, and for a whole exchange, however slowly its bytes drip.
CONNECT_TIMEOUT = 2.0
TOTAL_TIMEOUT = 5.0
#: Bytes of an answer.
MAX_ANSWER = 1 << 20

#: Requests at once. Waiting for a place costs nothing; waiting in the HTTP client's own queue would cost every waiter
#: a look at all others.
MAX_REQUESTS = 100

_LIMITS = httpx.Limits(max_connections=MAX_REQUESTS, max_keepalive_connections=20, keepalive_expiry=30.0)
_EXTENSIONS = {"timeout": httpx.Timeout(TOTAL_TIMEOUT, connect=CONNECT_TIMEOUT).as_dict()}


class _Pool:
    """What belongs to one event loop: connections, the places for requests, and a thread for a token that blocks."""

    def __init__(self) -> None:
        self.transport = httpx.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)
        self.places = anyio.Semaphore(MAX_REQUESTS)
        # Never the threads that the application shares: a token that hangs must not take them.
        self.threads = anyio.CapacityLimiter(1)


class HttpBackend:
    """The merchant backend over HTTP, with one pool of connections per event loop, made at first use.

    Args:
        base_url: of the instance, with a slash at the end.
        public_url: the same instance as wallets see it; if it differs, ``X-Forwarded-*`` headers tell the backend.
        token: returns the access token; it may block and is then called in a thread.
    """

    def __init__(self, base_url: str, public_url: str, token: str | Callable[[], str]) -> None:
        self._base_url = base_url
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "host": urlsplit(base_url).netloc,
            **_forwarded(base_url, public_url),
        }
        self._token = token
        self._pool: RunVar[_Pool | None] = RunVar("taler_paywall.pool")

    async def send(self, request: BackendRequest, deadline: float | None = None) -> BackendResponse:
        """Exchange one request for an answer.

        Args:
            request: to the instance.
            deadline: of the visit that asks, on the monotonic clock; without one the request has `TOTAL_TIMEOUT`.

        Raises:
            BackendUnreachable: no complete answer in time.
            BackendNonsense: the answer is too long, or compressed.
        """
        pool = self._pool.get(None)
        if pool is None:
            pool = _Pool()
            self._pool.set(pool)
        left = TOTAL_TIMEOUT if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            with anyio.fail_after(left):
                async with pool.places:
                    return await self._exchange(pool.transport, await self._http_request(request, pool))
        except TimeoutError:
            raise BackendUnreachable("no answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            # The kind of exception is enough: its text could hold a URL.
            raise BackendUnreachable(type(exc).__name__) from None

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        if pool := self._pool.get(None):
            self._pool.set(None)
            await pool.transport.aclose()

    async def _http_request(self, request: BackendRequest, pool: _Pool) -> httpx.Request:
        headers = dict(self._headers)
        if request.private:
            token = self._token
            if not isinstance(token, str):
                token = await anyio.to_thread.run_sync(token, abandon_on_cancel=True, limiter=pool.threads)
            headers["authorization"] = f"Bearer {token}"
        if request.body is not None:
            headers["content-type"] = "application/json"
        url = f"{self._base_url}{request.path}{f'?{urlencode(request.query)}' if request.query else ''}"
        return httpx.Request(request.method, url, headers=headers, content=request.body, extensions=_EXTENSIONS)

    async def _exchange(self, transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> BackendResponse:
        response = await transport.handle_async_request(request)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise BackendNonsense("the answer is compressed, though that was declined")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise BackendNonsense("the answer is longer than 1 MiB")
        finally:
            await response.aclose()
        return BackendResponse(response.status_code, _media_type(response.headers.get("content-type", "")), bytes(body))


def _media_type(content_type: str) -> str:
    """Return the media type, empty if the body is in another encoding than UTF-8."""
    header = Message()
    header["content-type"] = content_type
    return header.get_content_type() if header.get_content_charset("utf-8") == "utf-8" else ""


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
