"""HTTP to the merchant backend: the only module that imports httpx.

httpx's transports are used without its clients: no redirect is followed, no cookie kept, no proxy or netrc taken from
the environment, no body decompressed, and no URL logged.
"""

from __future__ import annotations

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

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)
_EXTENSIONS = {"timeout": httpx.Timeout(TOTAL_TIMEOUT, connect=CONNECT_TIMEOUT).as_dict()}


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
        self._pool: RunVar[httpx.AsyncHTTPTransport | None] = RunVar("taler_paywall.pool")

    async def send(self, request: BackendRequest) -> BackendResponse:
        """Exchange one request for an answer.

        Raises:
            BackendUnreachable: no complete answer within `TOTAL_TIMEOUT`.
            BackendNonsense: the answer is too long, or compressed.
        """
        headers = dict(self._headers)
        if request.private:
            token = self._token if isinstance(self._token, str) else await anyio.to_thread.run_sync(self._token)
            headers["authorization"] = f"Bearer {token}"
        if request.body is not None:
            headers["content-type"] = "application/json"
        query = f"?{urlencode(request.query)}" if request.query else ""
        try:
            with anyio.fail_after(TOTAL_TIMEOUT):
                url = f"{self._base_url}{request.path}{query}"
                return await self._exchange(
                    httpx.Request(request.method, url, headers=headers, content=request.body, extensions=_EXTENSIONS)
                )
        except TimeoutError:
            raise BackendUnreachable(f"no answer within {TOTAL_TIMEOUT:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            # The kind of exception is enough: its text could hold a URL.
            raise BackendUnreachable(type(exc).__name__) from None

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        if pool := self._pool.get(None):
            self._pool.set(None)
            await pool.aclose()

    async def _exchange(self, request: httpx.Request) -> BackendResponse:
        pool = self._pool.get(None)
        if pool is None:
            pool = httpx.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)
            self._pool.set(pool)
        response = await pool.handle_async_request(request)
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
