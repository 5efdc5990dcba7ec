"""Whether the merchant backend is the one that was meant, speaks our protocol, and lets us do what we have to.

Nothing is changed there: what asks for a permission to write is so malformed that it can only be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import anyio
import httpx
import msgspec

from taler_paywall.connections import tls_context
from taler_paywall.errors import SERVER_ERROR, BackendError, BackendUnreachable
from taler_paywall.operations import BackendRequest
from taler_paywall.operator.finding import Finding
from taler_paywall.operator.merchant_calls import BackendConfig, get_backend_config
from taler_paywall.operator.target import REACH, Target
from taler_paywall.operator.webhooks import findings as webhook_findings
from taler_paywall.transport import TOTAL_TIMEOUT

#: The versions of the merchant API that this paywall speaks (merchant API, protocol version).
OLDEST, NEWEST = 2, 26
#: Cookies bear times of their own, but deadlines are the backend's; in seconds.
MAX_SKEW = 60

# What who lacks a permission is answered; and what anybody is who asks for orders, or would make a malformed one.
_LACKING = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_OF_ORDERS = {*_LACKING, HTTPStatus.OK, HTTPStatus.BAD_REQUEST}

_VERSION = re.compile(r"(\d{1,9}):(\d{1,9}):(\d{1,9})")


def findings(target: Target) -> Iterator[Finding]:
    """Look at the backend of a paywall."""
    address = target.settings.backend
    try:
        config = target.ask(get_backend_config())
    except BackendError as error:
        yield Finding("error", "backend", f"{address} gives no answer that can be used ({error})", REACH)
        return
    if config.name != "taler-merchant":
        fix = "option backend is the base URL of a GNU Taler merchant instance"
        yield Finding("error", "backend", f"{address} calls itself {config.name!r}, not 'taler-merchant'", fix)
        return
    yield Finding("ok", "backend", f"{address} answers")
    yield _version(config.version)
    yield _currencies(target, config)
    yield _clock(address)
    try:
        yield from _token(target, config)
    except BackendError as error:
        yield Finding("error", "token", f"the backend could not be asked ({error})", "try again")


def _version(version: str) -> Finding:
    match = _VERSION.fullmatch(version)
    if match is None:
        return Finding("error", "protocol", f"{version!r} is no version of a protocol", "ask who runs the backend")
    current, _, age = map(int, match.groups())
    spoken = f"the backend speaks versions {max(current - age, 0)} to {current}, this paywall {OLDEST} to {NEWEST}"
    if current - age > NEWEST:
        return Finding("error", "protocol", spoken, "update taler-paywall")
    if current < OLDEST:
        return Finding("error", "protocol", spoken, "update the backend")
    return Finding("ok", "protocol", spoken)


def _currencies(target: Target, config: BackendConfig) -> Finding:
    known = set(config.currencies) or {config.currency}
    asked = {rule.fixed_price.currency for rule in target.settings.rules if rule.fixed_price}
    if foreign := sorted(asked - known):
        text = f"prices are in {', '.join(foreign)}, and the backend knows {', '.join(sorted(known))} alone"
        return Finding("error", "currency", text, "change the prices of the rules")
    unseen = "; prices of callables are not looked at" if any(callable(r.price) for r in target.settings.rules) else ""
    return Finding("ok", "currency", f"the backend takes {', '.join(sorted(known))}{unseen}")


def _clock(address: str) -> Finding:
    fix = "set the clocks by NTP"
    try:
        date = parsedate_to_datetime(anyio.run(_date, address))
    except (httpx.HTTPError, TimeoutError, ValueError, TypeError):
        return Finding("warning", "clock", "the backend does not tell its time (header Date)", fix)
    ahead = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    if abs(ahead) > MAX_SKEW:
        side = "ahead of" if ahead > 0 else "behind"
        return Finding("warning", "clock", f"the backend's clock is {abs(ahead):.0f} s {side} this machine's", fix)
    return Finding("ok", "clock", "this machine and the backend have the same time")


async def _date(address: str) -> str:
    # Our own client of the backend keeps no headers.
    with anyio.fail_after(TOTAL_TIMEOUT):
        async with httpx.AsyncClient(trust_env=False, verify=tls_context()) as client:
            answer = await client.get(f"{address}config")
    return str(answer.headers.get("date", ""))


def _token(target: Target, config: BackendConfig) -> Iterator[Finding]:
    """Find out what the token allows."""
    allowed: list[str] = []
    missing: list[str] = []
    for permission, request in _probes(config.currency or next(iter(config.currencies), "KUDOS")):
        status = target.backend.send(request).status
        if status >= SERVER_ERROR:
            raise BackendUnreachable(f"{request.method} {request.path} was answered {status}")
        if not allowed and status == HTTPStatus.UNAUTHORIZED:
            text, fix = "the backend does not accept it", "option token is the instance's access token"
            yield Finding("error", "token", text, f"{fix}; it may have expired")
            return
        if request.path == "private/orders" and status not in _OF_ORDERS:
            text = f"what it allows cannot be seen: {request.method} {request.path} was answered {status}"
            yield Finding("error", "token", text, f"that is no answer about a token; {REACH}")
            return
        (missing if status in _LACKING else allowed).append(permission)
    yield Finding("ok", "token", f"accepted; it allows {', '.join(allowed) or 'nothing'}")
    yield from _lacking(target, missing)
    if "webhooks-read" in missing:
        fix = "give taler-paywall check a token with webhooks-read"
        yield Finding("warning", "webhook", "whether it is installed cannot be seen with this token", fix)
    else:
        yield from webhook_findings(target)


def _probes(currency: str) -> Iterator[tuple[str, BackendRequest]]:
    """Yield how each permission is asked for."""
    refund = msgspec.json.encode({"refund": f"{currency}:1", "reason": "taler-paywall check"})
    for permission, method, path, body in (
        ("orders-read", "GET", "orders", None),
        ("orders-write", "POST", "orders", b"{}"),
        ("orders-refund", "POST", "orders/taler-paywall-check/refund", refund),
        ("webhooks-read", "GET", "webhooks", None),
        ("webhooks-write", "POST", "webhooks", b"{}"),
    ):
        yield permission, BackendRequest(method, f"private/{path}", body=body, private=True)


def _lacking(target: Target, missing: Sequence[str]) -> Iterator[Finding]:
    scopes = {"orders-read": "order-simple", "orders-write": "order-simple"}
    if any(rule.refundable for rule in target.settings.rules):
        scopes["orders-refund"] = "order-mgmt, for readers may give back what some rules sell"
    for permission, scope in scopes.items():
        if permission in missing:
            yield Finding("error", "token", f"it does not allow {permission}", f"make one with scope {scope}")
