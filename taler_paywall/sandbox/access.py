"""Who may do what: the tokens and the password of the instances (merchant API, authentication)."""

from __future__ import annotations

import base64
import binascii
import hmac
from enum import StrEnum
from typing import Final

from starlette.requests import Request

from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, NAMES_OF_DEFAULT, Instance, backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.state.logins import TOKEN_PREFIX, Login


class Permission(StrEnum):
    """What a token may allow, under the merchant API's names."""

    ORDERS_READ = "orders-read"
    ORDERS_WRITE = "orders-write"
    ORDERS_REFUND = "orders-refund"
    TEMPLATES_READ = "templates-read"
    TEMPLATES_WRITE = "templates-write"
    WEBHOOKS_READ = "webhooks-read"
    WEBHOOKS_WRITE = "webhooks-write"
    TOKENS_READ = "tokens-read"
    TOKENS_WRITE = "tokens-write"


_ALL: Final = frozenset(Permission)
_SIMPLE: Final = frozenset({Permission.ORDERS_READ, Permission.ORDERS_WRITE})
_WITH_REFUNDS: Final = _SIMPLE | {Permission.ORDERS_REFUND}

#: What each scope allows; there is no inventory, so that order-pos allows no more than order-simple.
SCOPES: Final = {
    "readonly": frozenset(permission for permission in Permission if permission.endswith("-read")),
    "write": _ALL,
    "all": _ALL,
    "order-simple": _SIMPLE,
    "order-pos": _SIMPLE,
    "order-mgmt": _WITH_REFUNDS,
    "order-full": _WITH_REFUNDS,
}


def owned_instance_of(request: Request, permission: Permission) -> Instance:
    """Return the instance that a request names, if it was sent by somebody who may do this there.

    Raises:
        ApiError: no such instance (2000), no bearer token of it (40), not any more (42), or not for this (16).
    """
    instance = instance_of(request)
    login = login_of(request, instance)
    if login is not None:
        require(login, frozenset({permission}))
    return instance


def login_of(request: Request, instance: Instance) -> Login | None:
    """Return what is known of the login token that was sent, None if it was the instance's own token.

    Raises:
        ApiError: neither was sent (40), or the login token has expired (42).
    """
    scheme, sent = _credentials(request)
    if scheme != "bearer":
        raise ApiError(Code.GENERIC_UNAUTHORIZED, "a bearer token is needed")
    if hmac.compare_digest(sent, instance.token.encode()):
        return None
    backend = backend_of(request)
    login = backend.logins.find(instance.name, sent)
    if login is None:
        raise ApiError(Code.GENERIC_UNAUTHORIZED, "the bearer token is wrong")
    if login.expires <= backend.now():
        raise ApiError(Code.GENERIC_TOKEN_EXPIRED, "the bearer token has expired")
    return login


def has_password(request: Request, instance: Instance) -> bool:
    """Tell whether a request was sent with name and password, which must be those of this instance.

    Raises:
        ApiError: they are not (40).
    """
    scheme, sent = _credentials(request)
    if scheme != "basic":
        return False
    try:
        name, _, password = base64.b64decode(sent, validate=True).partition(b":")
    except binascii.Error as error:
        raise ApiError(Code.GENERIC_UNAUTHORIZED, "name and password are not in base64") from error
    names = NAMES_OF_DEFAULT if instance.name == DEFAULT_INSTANCE else (instance.name,)
    known = instance.token.removeprefix(TOKEN_PREFIX).encode()
    if name not in [each.encode() for each in names] or not hmac.compare_digest(password, known):
        raise ApiError(Code.GENERIC_UNAUTHORIZED, "the name or the password is wrong")
    return True


def require(login: Login, permissions: frozenset[Permission]) -> None:
    """Demand that a login token allows all of these.

    Raises:
        ApiError: it does not (16).
    """
    missing = permissions - SCOPES[login.scope]
    if missing:
        detail = f"the scope {login.scope} does not include {', '.join(sorted(missing))}"
        raise ApiError(Code.GENERIC_TOKEN_PERMISSION_INSUFFICIENT, detail)


def _credentials(request: Request) -> tuple[str, bytes]:
    """Split the Authorization header; its bytes are kept, whatever they are (RFC 9110, 11.6.2)."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return scheme.lower(), rest.strip().encode("latin-1")
