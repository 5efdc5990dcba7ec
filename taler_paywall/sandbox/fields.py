"""Reading requests: JSON bodies of bounded size, and their members one by one; an explicit null means absent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from taler_paywall import crockford
from taler_paywall.errors import CodecError
from taler_paywall.sandbox.bodies import body_of
from taler_paywall.sandbox.codes import ApiError, Code

T = TypeVar("T")

#: The longest wait that a client can ask for, in seconds.
LONGEST_POLL: Final = 600.0

_MAX_INTEGER: Final = 2**53 - 1
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9._~-]*")
_CHOSEN_ID: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9.:_-]{1,255}")


async def json_body(request: Request) -> dict[str, Any]:
    """Read the JSON object in the request's body.

    Raises:
        ApiError: too large (32), not decompressible (28), or not a JSON object in UTF-8 (22).
    """
    raw = await body_of(request)
    try:
        members = json.loads(raw.decode(), parse_constant=_refuse_constant)
        # Texts that cannot be written as UTF-8 would fail later, in the database or in the answer.
        json.dumps(members, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ApiError(Code.GENERIC_JSON_INVALID, f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(members, dict):
        raise ApiError(Code.GENERIC_JSON_INVALID, "the body must be a JSON object")
    return members


async def form_body(request: Request) -> dict[str, str]:
    """Read the URL-encoded form in the request's body; of a field given twice the last counts.

    Raises:
        ApiError: too large (32), or not decompressible (28).
    """
    raw = await body_of(request)
    # Undecodable bytes become question marks, which no field accepts.
    return dict(parse_qsl(raw.decode("ascii", "replace")))


def optional(members: Mapping[str, Any], name: str, parse: Callable[[object], T]) -> T | None:
    """Read a member that may be absent.

    Raises:
        ApiError: it is malformed (26).
    """
    value = members.get(name)
    if value is None:
        return None
    try:
        return parse(value)
    except CodecError as error:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, f"{name}: {error}", parameter=name) from error


def needed(members: Mapping[str, Any], name: str, parse: Callable[[object], T]) -> T:
    """Read a member that must be there.

    Raises:
        ApiError: it is absent (25) or malformed (26).
    """
    value = optional(members, name, parse)
    if value is None:
        raise ApiError(Code.GENERIC_PARAMETER_MISSING, f"{name} is missing", parameter=name)
    return value


def text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise CodecError(f"must be a text, not {type(value).__name__}")
    return value


def chosen_id(value: object) -> str:
    """Read the id that a merchant has chosen for something, which becomes part of addresses."""
    if not _CHOSEN_ID.fullmatch(text(value)):
        raise CodecError("must be up to 255 letters, digits and . : _ - only")
    return text(value)


def web_url(value: object) -> str:
    """Read an absolute http or https URL."""
    try:
        parts = urlsplit(text(value))
    except ValueError as error:
        raise CodecError("is not a URL") from error
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise CodecError("must be an absolute http or https URL")
    return text(value)


def session_id_of(value: object) -> str:
    """Read the id of a session, which becomes part of URIs that wallets do not decode."""
    if not _SESSION_ID.fullmatch(text(value)) or value in (".", ".."):
        raise CodecError("may have letters, digits and . _ ~ - only, because it becomes part of URIs")
    return text(value)


def boolean(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise CodecError(f"must be true or false, not {type(value).__name__}")
    return value


def integer(value: object) -> int:
    """Read a whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        raise CodecError("must be a whole number from 0 to 2**53 - 1")
    return value


def members_of(value: object) -> dict[str, Any]:
    """Read a JSON object."""
    if not isinstance(value, dict):
        raise CodecError(f"must be an object, not {type(value).__name__}")
    return value


def items_of(value: object) -> list[Any]:
    """Read a JSON array."""
    if not isinstance(value, list):
        raise CodecError(f"must be an array, not {type(value).__name__}")
    return value


def objects_of(value: object) -> list[dict[str, Any]]:
    """Read a JSON array of objects."""
    return [members_of(item) for item in items_of(value)]


def binary(size: int) -> Callable[[object], str]:
    """Make a reader of base32 text for so many bytes, which returns it in canonical spelling."""
    return lambda value: crockford.encode(crockford.decode(text(value), size))


def milliseconds(value: object) -> float:
    """Read the text of a number of milliseconds as seconds, cut to the longest poll there is."""
    return min(_digits(value) / 1000, LONGEST_POLL)


def seconds(value: object) -> float:
    """Read the text of a number of seconds, cut to the longest poll there is."""
    return min(_digits(value), LONGEST_POLL)


def _digits(value: object) -> int:
    digits = text(value)
    if not (digits.isascii() and digits.isdigit()):
        raise CodecError("must be a whole number")
    # The length first: int() refuses very long numbers with an error of its own.
    return _MAX_INTEGER if len(digits) > len(str(_MAX_INTEGER)) else int(digits)


def yes(value: object) -> bool:
    """Read a flag of a query string: yes or no, in either case."""
    flag = text(value).lower()
    if flag not in ("yes", "no"):
        raise CodecError("must be yes or no")
    return flag == "yes"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
