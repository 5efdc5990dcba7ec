"""The absolute addresses that answers contain: base URL, order status URL, pay and refund URI."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request

from taler_paywall.errors import CodecError
from taler_paywall.sandbox.backend import Instance
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.state.store import Order
from taler_paywall.taler_uri import PayUri, RefundUri, canonical_base_url

#: What a path may consist of (RFC 3986, pchar), beside the slashes.
_PATH: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")


def root_path(request: Request) -> str:
    """Return the path of the sandbox as browsers see it, ending in a slash.

    Raises:
        ApiError: the header that says so is malformed (23).
    """
    prefix = request.headers.get("x-forwarded-prefix", "").partition(",")[0].strip().strip("/")
    if not _PATH.fullmatch(prefix):
        raise ApiError(Code.GENERIC_HTTP_HEADERS_MALFORMED, "X-Forwarded-Prefix is not the path of a URL")
    return f"/{prefix}/" if prefix else "/"


def base_url(request: Request, instance: Instance) -> str:
    """Build the base URL of an instance as the sender of a request sees it (merchant API, base URL).

    Raises:
        ApiError: the headers that it is made of are malformed (23).
    """
    headers = request.headers
    # With several proxies in a row, the first in the list is the one that the sender spoke to.
    scheme = headers.get("x-forwarded-proto", request.url.scheme).partition(",")[0].strip()
    host = headers.get("x-forwarded-host", headers.get("host", "")).partition(",")[0].strip()
    try:
        url = canonical_base_url(f"{scheme}://{host.lower()}{root_path(request)}{instance.path}")
    except CodecError as error:
        raise ApiError(
            Code.GENERIC_HTTP_HEADERS_MALFORMED, f"no base URL can be made of the headers: {error}"
        ) from error
    return url


def pay_uri(order: Order, session_id: str | None) -> str:
    """Build the URI that makes a wallet pay an order in a session (Taler URI scheme, pay).

    Raises:
        ApiError: the session id cannot be part of a URI (26).
    """
    try:
        return str(
            PayUri(order.base_url, order.order_id, session_id or order.intended_session or "", order.claim_token)
        )
    except CodecError as error:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, f"session_id: {error}", parameter="session_id") from error


def refund_uri(order: Order) -> str:
    """Build the URI that makes a wallet collect the refunds of an order (Taler URI scheme, refund)."""
    return str(RefundUri(order.base_url, order.order_id))


def order_status_url(base: str, order: Order, session_id: str | None) -> str:
    """Build the address of the public order page, with what entitles to see it (DD 07, client-order-status-URL)."""
    query: dict[str, str | None] = {"h_contract": order.h_contract}
    if order.h_contract is None:
        query = {"token": order.claim_token}
    given = {name: value for name, value in {**query, "session_id": session_id}.items() if value}
    return f"{base}orders/{order.order_id}" + (f"?{urlencode(given)}" if given else "")
