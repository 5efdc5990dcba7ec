"""How the play wallet talks to merchants: again after trouble that passes, and never without an end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import httpx

from taler_paywall.errors import TalerPaywallError

#: How long one answer may take, in seconds.
_PATIENCE: Final = 30.0
_MOST_REDIRECTS: Final = 5


class WalletError(TalerPaywallError):
    """The wallet could not do what it was asked to; the message says why, for people.

    Args:
        status: HTTP status of the merchant's answer, if that is the reason.
        code: the GNU Taler error code in it, if it has one (merchant API, ErrorDetail).
    """

    def __init__(self, message: str, status: int | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def http_client() -> httpx.AsyncClient:
    """Make a client that goes straight to the merchant: no proxy, no password file of the environment."""
    return httpx.AsyncClient(trust_env=False, timeout=_PATIENCE, max_redirects=_MOST_REDIRECTS)


class Messenger:
    """Carries the requests of a wallet.

    Args:
        client: how merchants are reached; not closed here.
        retry_delays: seconds to wait before each further attempt, after a status 5xx or a broken connection.
    """

    def __init__(self, client: httpx.AsyncClient, retry_delays: Sequence[float]) -> None:
        self._client = client
        self._retry_delays = retry_delays

    async def get(self, url: str) -> httpx.Response:
        """Fetch what is at an address, or where that leads to.

        Raises:
            WalletError: there is no answer.
        """
        return await self._request("GET", url, None)

    async def post(self, url: str, body: Mapping[str, Any]) -> httpx.Response:
        """Send a JSON object; the merchant may get it more than once.

        Raises:
            WalletError: there is no answer.
        """
        return await self._request("POST", url, body)

    async def _request(self, method: str, url: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            for delay in self._retry_delays:
                # What is wrong now may have passed by the last attempt, whose outcome counts.
                with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
                    answer = await self._attempt(method, url, body)
                    if not answer.is_server_error:
                        return answer
                await asyncio.sleep(delay)
            return await self._attempt(method, url, body)
        except TimeoutError as error:
            raise WalletError(f"the merchant does not answer within {_PATIENCE:g} seconds") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WalletError(f"the merchant cannot be reached: {error or type(error).__name__}") from error

    async def _attempt(self, method: str, url: str, body: Mapping[str, Any] | None) -> httpx.Response:
        # The client's own limit is for every read by itself, so that dripping answers would have no end.
        async with asyncio.timeout(_PATIENCE):
            headers = {"Accept": "application/json"}
            return await self._client.request(method, url, json=body, headers=headers, follow_redirects=method == "GET")


def require_ok(answer: httpx.Response, complaint: str) -> None:
    """Go on with an answer of status 200 only.

    Raises:
        WalletError: the complaint, with what the merchant says about it.
    """
    if answer.status_code == HTTPStatus.OK:
        return
    error = members_of(answer) if is_json(answer) else {}
    reason = error.get("detail") or error.get("hint") or "no reason given"
    code = error.get("code")
    known_code = code if type(code) is int else None
    raise WalletError(f"{complaint}: {answer.status_code}, {reason}", answer.status_code, known_code)


def is_json(answer: httpx.Response) -> bool:
    """Tell whether an answer claims to be JSON of some kind."""
    media_type = str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def members_of(answer: httpx.Response) -> dict[str, Any]:
    """Read the JSON object in an answer.

    Raises:
        WalletError: there is none.
    """
    try:
        members = answer.json()
    except (ValueError, RecursionError) as error:
        raise WalletError("the merchant's answer is not JSON") from error
    if not isinstance(members, dict):
        raise WalletError("the merchant's answer is not a JSON object")
    return members
