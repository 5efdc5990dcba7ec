"""Entity tags: what a client knows already need not be sent again (RFC 9110, ETag; merchant API, lp_not_etag)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

T = TypeVar("T")


def answer(request: Request, body: Mapping[str, Any], status: int = 200) -> Response:
    """Make the answer to a request, which is 304 if the client has said that it knows the body."""
    response: Response = JSONResponse(body, status)
    tag = _tag(response)
    # Unpaid orders (402) included, unlike RFC 9110: their answer is the one that clients wait to change.
    if _known_tags(request) & {tag, "*"}:
        response = Response(status_code=304)
    response.headers["ETag"] = f'"{tag}"'
    return response


def change_of(describe: Callable[[T], Mapping[str, Any]], request: Request) -> Callable[[T], bool] | None:
    """Tell when a long poll for another answer than one that the client knows is over.

    Args:
        describe: makes the body of the answer.

    Returns:
        Whether the answer would be another one; None if the request is no such poll.
    """
    known = request.query_params.get("lp_not_etag")
    if known is None:
        return None
    return lambda found: _tag(JSONResponse(describe(found))) != _opaque(known)


def _tag(response: Response) -> str:
    return hashlib.sha256(response.body).hexdigest()


def _known_tags(request: Request) -> set[str]:
    return {_opaque(tag) for tags in request.headers.getlist("if-none-match") for tag in tags.split(",")}


def _opaque(tag: str) -> str:
    """Return what stands between the quotes; scripts pass it on with them or without."""
    return tag.strip().removeprefix("W/").strip('"')
