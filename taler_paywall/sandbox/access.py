"""Who may do what: bearer tokens of the instances (merchant API, authentication)."""

from __future__ import annotations

import hmac
from enum import StrEnum

from starlette.requests import Request

from taler_paywall.sandbox.backend import Instance, instance_of
from taler_paywall.sandbox.codes import ApiError, Code


class Permission(StrEnum):
    """What a token may allow, under the merchant API's names."""

    ORDERS_READ = "orders-read"
    ORDERS_WRITE = "orders-write"
    ORDERS_REFUND = "orders-refund"
    TEMPLATES_READ = "templates-read"
    TEMPLATES_WRITE = "templates-write"
    WEBHOOKS_READ = "webhooks-read"
    WEBHOOKS_WRITE = "webhooks-write"


def owned_instance_of(request: Request, _permission: Permission) -> Instance:
    """Return the instance that a request names, if it was sent by somebody who may do this there.

    Raises:
        ApiError: no such instance (2000), or no bearer token of it (40).
    """
    instance = instance_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    sent = token.strip().encode("latin-1")
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent, instance.token.encode()):
        raise ApiError(Code.GENERIC_UNAUTHORIZED, "the bearer token is missing or wrong")
    return instance
