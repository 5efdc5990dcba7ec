"""What a client is told when something fails: always an ErrorDetail (merchant API, errors)."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall.sandbox.codes import ApiError, Code

_log = logging.getLogger("taler_paywall.sandbox")


def error_detail(error: ApiError) -> JSONResponse:
    """Put an error into an answer."""
    return JSONResponse(error.body, error.status)


async def _api_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return error_detail(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """Say in the merchant API's terms that the router found nothing."""
    if not isinstance(error, HTTPException):
        raise error
    wrong = ApiError(Code.GENERIC_ENDPOINT_UNKNOWN, "there is nothing at this address")
    if error.status_code == Code.GENERIC_METHOD_INVALID.status:
        wrong = ApiError(Code.GENERIC_METHOD_INVALID, f"{request.method} is not possible here")
    return JSONResponse(wrong.body, wrong.status, error.headers)


async def _database_error(_: Request, error: Exception) -> Response:
    """Say that nothing was done because the disk is full or broken; it may be better the next time."""
    _log.error("the database: %s: %s", type(error).__name__, error)
    return error_detail(ApiError(Code.GENERIC_DB_STORE_FAILED, f"the sandbox's database: {error}"))


async def _bug(_: Request, __: Exception) -> Response:
    """Answer in the merchant API's terms even then; the server logs the exception."""
    return error_detail(ApiError(Code.GENERIC_INTERNAL_INVARIANT_FAILURE, "the sandbox has a bug; its log says more"))


#: For applications: how each kind of exception is answered.
HANDLERS: Final[dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    ApiError: _api_error,
    HTTPException: _http_error,
    sqlite3.Error: _database_error,
    Exception: _bug,
}
