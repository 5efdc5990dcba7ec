"""Points in time and durations as the merchant API writes them (merchant API, Timestamp and RelativeTime)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from taler_paywall.errors import CodecError

#: The time "never", in seconds since 1970; later than every other.
NEVER: Final[int] = 2**63 - 1
#: The duration "forever", in microseconds; longer than every other.
FOREVER: Final[int] = 2**63 - 1

# What survives JSON readers that keep numbers as doubles (merchant API, SafeUint64).
_MAX: Final = 2**53 - 1


def decode_timestamp(value: object) -> int:
    """Read ``{"t_s": …}`` or the older ``{"t_ms": …}`` as seconds since 1970 (merchant API, Timestamp).

    Args:
        value: a JSON value; milliseconds are rounded down.

    Returns:
        Seconds, or NEVER.

    Raises:
        CodecError: not such an object, or not a whole number from 0 to 2**53 - 1.
    """
    members = _members(value, "a timestamp")
    if "t_s" in members:
        return _number(members["t_s"], "t_s", "never", NEVER)
    if "t_ms" in members:
        milliseconds = _number(members["t_ms"], "t_ms", "never", NEVER)
        return milliseconds if milliseconds == NEVER else milliseconds // 1000
    raise CodecError("a timestamp must have the member t_s")


def encode_timestamp(seconds: int) -> dict[str, int | str]:
    """Write a time as ``{"t_s": …}`` (merchant API, Timestamp).

    Args:
        seconds: since 1970, 0 to 2**53 - 1, or NEVER.

    Raises:
        CodecError: a number outside that range.
    """
    return {"t_s": "never" if seconds == NEVER else _number(seconds, "t_s", "never", NEVER)}


def decode_duration(value: object) -> int:
    """Read ``{"d_us": …}`` as microseconds (merchant API, RelativeTime).

    Args:
        value: a JSON value.

    Returns:
        Microseconds, or FOREVER.

    Raises:
        CodecError: not such an object, or not a whole number from 0 to 2**53 - 1.
    """
    members = _members(value, "a duration")
    if "d_us" not in members:
        raise CodecError("a duration must have the member d_us")
    return _number(members["d_us"], "d_us", "forever", FOREVER)


def encode_duration(microseconds: int) -> dict[str, int | str]:
    """Write a duration as ``{"d_us": …}`` (merchant API, RelativeTime).

    Args:
        microseconds: 0 to 2**53 - 1, or FOREVER.

    Raises:
        CodecError: a number outside that range.
    """
    return {"d_us": "forever" if microseconds == FOREVER else _number(microseconds, "d_us", "forever", FOREVER)}


def _members(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CodecError(f"{what} must be a JSON object, not {type(value).__name__}")
    return value


def _number(value: object, member: str, word: str, meaning: int) -> int:
    if value == word:
        return meaning
    # bool is an int in Python, but not in JSON.
    if isinstance(value, bool) or not isinstance(value, int):
        raise CodecError(f'{member} must be a whole number or "{word}", not {type(value).__name__}')
    if not 0 <= value <= _MAX:
        raise CodecError(f"{member} must be from 0 to {_MAX}")
    return value
