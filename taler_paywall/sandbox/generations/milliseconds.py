"""Times and durations in milliseconds, as they were written until 2021, anywhere in JSON (merchant API, Scalars)."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final

#: Members that are the shop's own: what looks like a time in there need not be one.
OPAQUE: Final = frozenset({"extra"})
#: Contract terms too, where they stand in something else: they must keep the form in which they were hashed.
OPAQUE_OR_HASHED: Final = OPAQUE | {"contract_terms", "proto_contract_terms"}

_LARGEST: Final = 2**53 - 1
# Nobody nests times deeper; without a bound JSON could be made that exhausts the stack.
_DEPTH: Final = 100


def added(value: Any, untouched: AbstractSet[str]) -> Any:
    """Copy JSON, with milliseconds besides every time and duration; again it changes nothing.

    Args:
        untouched: the names of members to copy as they are.
    """
    return _mapped(value, untouched, _with_milliseconds, _DEPTH)


def removed(value: Any, untouched: AbstractSet[str]) -> Any:
    """Copy JSON, with times and durations that are in milliseconds only in today's form.

    Args:
        untouched: the names of members to copy as they are.
    """
    return _mapped(value, untouched, _without_milliseconds, _DEPTH)


def _mapped(
    value: Any, untouched: AbstractSet[str], change: Callable[[dict[str, Any]], dict[str, Any]], depth: int
) -> Any:
    if depth and isinstance(value, list):
        return [_mapped(item, untouched, change, depth - 1) for item in value]
    if depth and isinstance(value, dict):
        return {
            name: member if name in untouched else _mapped(member, untouched, change, depth - 1)
            for name, member in change(value).items()
        }
    return value


def _with_milliseconds(members: dict[str, Any]) -> dict[str, Any]:
    match members:
        case {"t_s": int(seconds)} if seconds * 1000 <= _LARGEST:
            return {**members, "t_ms": seconds * 1000}
        case {"t_s": int() | "never"}:
            # Beyond what JSON can say there is only "never".
            return {**members, "t_ms": "never"}
        case {"d_us": int(microseconds)}:
            return {**members, "d_ms": microseconds // 1000}
        case {"d_us": "forever"}:
            return {**members, "d_ms": "forever"}
        case _:
            return members


def _without_milliseconds(members: dict[str, Any]) -> dict[str, Any]:
    match members:
        case {"t_ms": value} if members.get("t_s") is None:
            return {"t_s": value // 1000 if _is_number(value) else value}
        case {"d_ms": value} if members.get("d_us") is None:
            return {"d_us": min(value * 1000, _LARGEST) if _is_number(value) else value}
        case _:
            return members


def _is_number(value: Any) -> bool:
    # Anything else is left as it is, for the endpoint to refuse.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
