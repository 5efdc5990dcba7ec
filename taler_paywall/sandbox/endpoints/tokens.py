"""Login tokens: made with the instance's password, listed, made void (merchant API, private/token)."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from taler_paywall.errors import CodecError
from taler_paywall.sandbox.access import SCOPES, Permission, has_password, login_of, owned_instance_of, require
from taler_paywall.sandbox.backend import backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import boolean, json_body, needed, optional, text
from taler_paywall.sandbox.state.logins import Login
from taler_paywall.timestamp import FOREVER, NEVER, decode_duration, encode_timestamp

#: How long a token is good for, unless its owner says so: a day, in microseconds.
_DURATION: Final = 24 * 3600 * 1_000_000
_REFRESHABLE: Final = ":refreshable"
_LAST_SECOND: Final = 2**53 - 1


async def post_token(request: Request) -> JSONResponse:
    """Make a login token, for the instance's password or a token that is not weaker (POST private/token)."""
    backend, instance = backend_of(request), instance_of(request)
    login = None if has_password(request, instance) else login_of(request, instance)
    body = await json_body(request)
    scope, is_refreshable = needed(body, "scope", _scope)
    if login is not None:
        _check_refresh(login, scope)
    is_refreshable = is_refreshable or optional(body, "refreshable", boolean) or False
    duration = optional(body, "duration", decode_duration)
    created = backend.now()
    expires = _end(created, _DURATION if duration is None else duration)
    token = backend.logins.add(
        instance.name,
        scope=scope,
        refreshable=is_refreshable,
        description=optional(body, "description", text) or "",
        created=created,
        expires=expires,
    )
    answer = {
        "access_token": token,
        # The name until v19.
        "token": token,
        "scope": scope,
        "expiration": encode_timestamp(expires),
        "refreshable": is_refreshable,
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def delete_token(request: Request) -> Response:
    """Make the login token void that the request was sent with (DELETE private/token)."""
    instance = instance_of(request)
    login = login_of(request, instance)
    if login is None:
        detail = "the instance's own token is not a login token"
        raise ApiError(Code.GENERIC_TOKEN_PERMISSION_INSUFFICIENT, detail)
    backend_of(request).logins.delete(instance.name, login.serial)
    return Response(status_code=204)


async def get_tokens(request: Request) -> JSONResponse:
    """List the login tokens, without the tokens themselves (GET private/tokens)."""
    instance = owned_instance_of(request, Permission.TOKENS_READ)
    return JSONResponse({"tokens": [_entry(login) for login in backend_of(request).logins.all_of(instance.name)]})


async def delete_token_by_serial(request: Request) -> Response:
    """Make a login token void (DELETE private/tokens/SERIAL)."""
    instance = owned_instance_of(request, Permission.TOKENS_WRITE)
    if not backend_of(request).logins.delete(instance.name, _serial(request)):
        raise ApiError(Code.GENERIC_TOKEN_UNKNOWN, "there is no such token")
    return Response(status_code=204)


def _scope(value: object) -> tuple[str, bool]:
    """Read a scope, and whether the token is to be refreshable."""
    scope = text(value).removesuffix(_REFRESHABLE)
    if scope not in SCOPES:
        raise CodecError(f"must be one of {', '.join(SCOPES)}, with {_REFRESHABLE} or without")
    return scope, scope != value


def _check_refresh(login: Login, scope: str) -> None:
    if not login.refreshable:
        raise ApiError(Code.GENERIC_TOKEN_PERMISSION_INSUFFICIENT, "this token cannot be refreshed")
    require(login, SCOPES[scope])


def _end(start: int, duration: int) -> int:
    # Beyond what JSON can say there is only "never".
    end = start + duration // 1_000_000
    return end if duration != FOREVER and end <= _LAST_SECOND else NEVER


def _serial(request: Request) -> int:
    serial = request.path_params["serial"]
    if not (serial.isascii() and serial.isdigit() and len(serial) < len(str(_LAST_SECOND))):
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "a serial is a whole number")
    return int(serial)


def _entry(login: Login) -> dict[str, Any]:
    return {
        "serial": login.serial,
        "scope": login.scope,
        "refreshable": login.refreshable,
        "description": login.description,
        "creation_time": encode_timestamp(login.created),
        "expiration": encode_timestamp(login.expires),
    }
