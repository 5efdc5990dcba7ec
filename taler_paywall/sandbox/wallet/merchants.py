"""How the play wallet talks to merchants: again after trouble that passes, and never without an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx

from taler_paywall.sandbox.wallet.errors import WalletError

#: How long one answer may take, in seconds.
_PATIENCE: Final = 30.0
_MOST_REDIRECTS: Final = 5
#: The longest answer that is read, in bytes.
_MOST_BYTES: Final = 4 * 2**20
#: Compressed answers could be longer than they look.
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a merchant has answered.

    Args:
        url: where the answer is from, after all redirects.
    """

    status_code: int
    headers: httpx.Headers
    body: bytes
    url: str

    @property
    def is_json(self) -> bool:
        """Whether it claims to be JSON of some kind."""
        media_type = str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()
        return media_type == "application/json" or media_type.endswith("+json")

    @property
    def members(self) -> dict[str, Any]:
        """The JSON object in it.

        Raises:
            WalletError: there is none.
        """
        try:
            members = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise WalletError("the merchant's answer is not JSON") from error
        if not isinstance(members, dict):
            raise WalletError("the merchant's answer is not a JSON object")
        return members

    @property
    def code(self) -> int | None:
        """The GNU Taler error code in it, if it has one."""
        code = self.members.get("code") if self.is_json else None
        return code if type(code) is int else None

    def require_ok(self, complaint: str) -> None:
        """Go on with status 200 only.

        Raises:
            WalletError: the complaint, with what the merchant says about it.
        """
        if self.status_code == HTTPStatus.OK:
            return
        error = self.members if self.is_json else {}
        reason = error.get("detail") or error.get("hint") or "no reason given"
        raise WalletError(f"{complaint}: {self.status_code}, {reason}", self.status_code, self.code)


def http_client() -> httpx.AsyncClient:
    """Make a client that goes straight to the merchant: no proxy, no password file of the environment."""
    return httpx.AsyncClient(trust_env=False, timeout=_PATIENCE)


class Messenger:
    """Carries the requests of a wallet.

    Args:
        client: how merchants are reached; not closed here.
        retry_delays: seconds to wait before each further attempt, after a status 5xx or a broken connection.
    """

    def __init__(self, client: httpx.AsyncClient, retry_delays: Sequence[float]) -> None:
        self._client = client
        self._retry_delays = retry_delays

    async def get(self, url: str) -> Answer:
        """Fetch what is at an address, or where that leads to.

        Raises:
            WalletError: there is no answer.
        """
        return await self._request(lambda: self._get(url))

    async def post(self, url: str, body: Mapping[str, Any], before: Callable[[], None] = lambda: None) -> Answer:
        """Send a JSON object; the merchant may get it more than once.

        Args:
            before: called before every attempt.

        Raises:
            WalletError: there is no answer.
        """

        async def attempt() -> Answer:
            before()
            return await self._post(url, body)

        return await self._request(attempt)

    async def _request(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            for delay in self._retry_delays:
                # What is wrong now may have passed by the last attempt, whose outcome counts.
                with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
                    answer = await self._in_time(attempt)
                    if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                        return answer
                await asyncio.sleep(delay)
            return await self._in_time(attempt)
        except TimeoutError as error:
            raise WalletError(f"the merchant does not answer within {_PATIENCE:g} seconds") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WalletError(f"the merchant cannot be reached: {error or type(error).__name__}") from error

    async def _in_time(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        # The client's own limit is for every read by itself, so that dripping answers would have no end.
        async with asyncio.timeout(_PATIENCE):
            return await attempt()

    async def _get(self, url: str) -> Answer:
        request = self._client.build_request("GET", url, headers=_HEADERS)
        # Not left to the client, which reads all that comes with a redirect.
        for _ in range(_MOST_REDIRECTS + 1):
            response = await self._client.send(request, stream=True, follow_redirects=False)
            if response.next_request is None:
                return await _read(response)
            await response.aclose()
            request = response.next_request
        raise WalletError(f"the merchant cannot be reached: {url} leads to more than {_MOST_REDIRECTS} redirects")

    async def _post(self, url: str, body: Mapping[str, Any]) -> Answer:
        request = self._client.build_request("POST", url, json=body, headers=_HEADERS)
        return await _read(await self._client.send(request, stream=True, follow_redirects=False))


async def _read(response: httpx.Response) -> Answer:
    body = bytearray()
    try:
        if "content-encoding" in response.headers:
            raise WalletError("the merchant's answer is compressed, which was not asked for", response.status_code)
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise WalletError(f"the merchant's answer is longer than {_MOST_BYTES} bytes", response.status_code)
    finally:
        await response.aclose()
    return Answer(response.status_code, response.headers, bytes(body), str(response.url))
