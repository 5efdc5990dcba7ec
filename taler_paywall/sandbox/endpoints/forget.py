"""Contract members that the merchant may forget later without changing the contract's hash (merchant API, 5.3, 8.2)."""

from __future__ import annotations

import re
import secrets
from copy import deepcopy
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from taler_paywall import contract, crockford
from taler_paywall.sandbox import standing, terms
from taler_paywall.sandbox.access import Permission, owned_instance_of
from taler_paywall.sandbox.backend import backend_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import items_of, json_body, needed, text

_FORGETTABLE: Final = "$forgettable"
_FORGOTTEN: Final = "$forgotten"
_PATH: Final = re.compile(r"\$(?:\.[0-9A-Za-z_]+(?:\[(?:[0-9]{1,9}|\*)\])*)*\.[0-9A-Za-z_]+")
_STEP: Final = re.compile(r"\.[0-9A-Za-z_]+|\[[0-9*]+\]")


def salt(proposal: dict[str, Any]) -> None:
    """Give every member of contract terms that is marked forgettable with `true` a salt of its own, in place."""
    unseen: list[Any] = [proposal]
    while unseen:
        value = unseen.pop()
        if isinstance(value, list):
            unseen.extend(value)
        elif isinstance(value, dict):
            unseen.extend(value.values())
            salts = value.get(_FORGETTABLE)
            if isinstance(salts, dict):
                value[_FORGETTABLE] = {name: _new_salt() if one is True else one for name, one in salts.items()}


def _new_salt() -> str:
    return crockford.encode(secrets.token_bytes(32))


async def patch_forget(request: Request) -> Response:
    """Forget members of an order's contract (merchant API, PATCH private/orders/ID/forget)."""
    backend, instance = backend_of(request), owned_instance_of(request, Permission.ORDERS_WRITE)
    body = await json_body(request)
    paths = [_steps(path) for path in needed(body, "fields", _texts_of)]
    order = standing.find(backend, instance, request.path_params["order_id"])
    proposal = deepcopy(order.proposal)
    for *way, last in paths:
        for members in _reached(proposal, way):
            name = last.removeprefix(".")
            _forget(members, name, vital=members is proposal and name not in terms.DISPENSABLE)
    if proposal == order.proposal:
        return Response(status_code=204)
    backend.store.replace_proposal(order, proposal)
    standing.announce(backend, order)
    return Response(status_code=200)


def _texts_of(value: object) -> list[str]:
    return [text(item) for item in items_of(value)]


def _steps(path: str) -> list[str]:
    """Split a path such as `$.products[*].description` into `.products`, `[*]` and `.description`."""
    if not _PATH.fullmatch(path):
        detail = f"fields: {path!a} is not a path such as $.extra.name or $.products[*].description"
        raise ApiError(Code.MERCHANT_PRIVATE_PATCH_ORDERS_ID_FORGET_PATH_SYNTAX_INCORRECT, detail)
    return _STEP.findall(path)


def _reached(proposal: dict[str, Any], way: list[str]) -> list[dict[str, Any]]:
    """Return the objects that a path leads to: none where it leads nowhere, several with asterisks."""
    reached: list[Any] = [proposal]
    for step in way:
        reached = [inner for value in reached for inner in _inner(value, step)]
    return [value for value in reached if isinstance(value, dict)]


def _inner(value: Any, step: str) -> list[Any]:
    if isinstance(value, dict) and step[1:] in value:
        return [value[step[1:]]]
    if isinstance(value, list) and step == "[*]":
        return value
    if isinstance(value, list) and step.startswith("["):
        index = int(step[1:-1])
        return value[index : index + 1]
    return []


def _forget(members: dict[str, Any], name: str, *, vital: bool) -> None:
    """Put the hash of a member in its place, if it is there.

    Args:
        vital: whether the order could not be served without it.

    Raises:
        ApiError: it may not be forgotten (2511).
    """
    if name not in members:
        return
    salts = members.get(_FORGETTABLE, {})
    if vital or name not in salts:
        raise ApiError(Code.MERCHANT_PRIVATE_PATCH_ORDERS_ID_FORGET_PATH_NOT_FORGETTABLE, f"{name} is not forgettable")
    digest = contract.member_hash(salts.pop(name), members.pop(name))
    members.setdefault(_FORGOTTEN, {})[name] = crockford.encode(digest)
    if not salts:
        del members[_FORGETTABLE]
