"""The merchant backend's HTTP API: every call as a request and a parser of its answer. No I/O here.

Source: GNU Taler merchant API (core/merchant of the Taler documentation).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from taler_paywall import crockford
from taler_paywall.amount import Amount
from taler_paywall.answers import (
    Claimed,
    MerchantConfig,
    OrderCreated,
    OrderExists,
    OrderStatus,
    OrderUnknown,
    Paid,
    PaidAccepted,
    PublicStatus,
    RefundGranted,
    Unpaid,
)
from taler_paywall.contract import contract_hash
from taler_paywall.errors import BackendNonsense, BackendRejected, CodecError
from taler_paywall.http import quote_segment
from taler_paywall.operations import ORDER_ID, BackendRequest, BackendResponse, Call, SessionId
from taler_paywall.taler_uri import PayUri

T = TypeVar("T")

ORDER_UNKNOWN = 2005
ORDER_EXISTS = 2503

_ORDER_ID = re.compile(ORDER_ID).match
# A refunded order that the wallet proved is to be named too: it opens nothing, but without it a reader whose cookies
# are gone would be sent to a wallet that proves it again and again.
_REFUNDED_TOO = ("allow_refunded_for_repurchase", "YES")
#: How the public endpoint says that it does not know this credential, or no longer.
_REFUSALS = frozenset({301, 302, 303, 307, 308, 403, 404, 410})


def get_config() -> Call[MerchantConfig]:
    """Ask what kind of backend this is (``GET config``)."""
    return Call(BackendRequest("GET", "config", repeatable=True), _expect(MerchantConfig))


def post_order(body: dict[str, Any]) -> Call[OrderCreated | OrderExists]:
    """Create an order (``POST private/orders``).

    Args:
        body: a PostOrderRequest with an ``order_id`` of our own, so that repeating it makes no second order.
    """

    def parse(response: BackendResponse) -> OrderCreated | OrderExists:
        if response.status == HTTPStatus.CONFLICT and error_code(response) == ORDER_EXISTS:
            return OrderExists()
        return _expect(OrderCreated)(response)

    # With an ID of our own, so that the second one finds what the first one has made.
    request = BackendRequest("POST", "private/orders", body=msgspec.json.encode(body), private=True, repeatable=True)
    # What the order was made with never changes: whoever asks for the same is told the same.
    return Call(request, parse, lasts=lambda _: True)


def get_order(order_id: str, session_id: SessionId) -> Call[OrderStatus]:
    """Ask for an order's status under a session (``GET private/orders/ID?session_id=``).

    Raises:
        ValueError: the session is none, or empty: the backend would answer "paid" to anybody.
    """
    if not session_id:
        raise ValueError("an order's status is never asked without a session")

    def parse(response: BackendResponse) -> OrderStatus:
        if response.status == HTTPStatus.NOT_FOUND and error_code(response) == ORDER_UNKNOWN:
            return OrderUnknown()
        answer = _json(response, 200)
        kinds: dict[str, type[OrderStatus]] = {"unpaid": Unpaid, "claimed": Claimed, "paid": Paid}
        status = answer.get("order_status")
        if not isinstance(status, str) or status not in kinds:
            raise BackendNonsense("the order status is none of unpaid, claimed and paid")
        return _convert(answer, kinds[status])

    query = (("session_id", session_id), _REFUNDED_TOO)
    request = BackendRequest("GET", f"private/orders/{_quoted(order_id)}", query, private=True, repeatable=True)
    # Whoever asks has perhaps just paid: "unpaid" and "claimed" hold for those alone who asked before.
    return Call(request, parse, lasts=lambda status: isinstance(status, Paid))


def get_public_order(
    order_id: str, session_id: SessionId, credential: tuple[str, str] | None, wait: float = 0.0
) -> Call[PublicStatus | None]:
    """Ask as a customer would (``GET orders/ID``); an order that is not paid is answered with 402 or 202.

    The answer is None where the backend does not know the credential, or no longer.

    Args:
        order_id: of the order.
        session_id: that it is, or will be, paid under.
        credential: ``h_contract`` or ``token`` (the claim token) with its value; None for an order that needs none.
        wait: for how many seconds the backend may wait until the order, or another one for the same, is paid.
    """

    def parse(response: BackendResponse) -> PublicStatus | None:
        if response.status in _REFUSALS:
            return None
        answer = _json(response, 200, 202, 402)
        return _convert({**answer, "paid": response.status == HTTPStatus.OK}, PublicStatus)

    query = [credential] if credential else []
    query += [("session_id", session_id), _REFUNDED_TOO]
    if wait:
        query.append(("timeout_ms", str(int(wait * 1000))))
    request = BackendRequest("GET", f"orders/{_quoted(order_id)}", tuple(query), wait=wait, repeatable=not wait)
    return Call(request, parse)


def h_contract_of(status: Claimed) -> str:
    """Return the hash of the contract that a wallet holds, empty if there is none that could be hashed.

    Backends of 2022 tell no order status URL with "claimed": the hash has to be computed.
    """
    if not isinstance(status.contract_terms, dict):
        return ""
    try:
        # Merchants may name members as they like.
        return crockford.encode(contract_hash(status.contract_terms, any_names=True))
    except CodecError:
        return ""


def order_links(base_url: str, order_id: str, session_id: SessionId, token: str) -> tuple[str, str] | None:
    """Return the order status URL and the pay URI of an order that nobody has claimed, as backends make them.

    Args:
        base_url: of the instance as wallets see it, with a slash at the end.
        order_id: of the order.
        session_id: that it will be paid under.
        token: the claim token.

    Returns:
        None if a wallet could not read them.
    """
    try:
        pay_uri = PayUri(base_url, order_id, session_id, token)
    except CodecError:
        return None
    query = urlencode({"token": token, "session_id": session_id})
    return f"{base_url}orders/{order_id}?{query}", str(pay_uri)


def post_refund(order_id: str, refund: Amount, reason: str) -> Call[RefundGranted]:
    """Grant a refund (``POST private/orders/ID/refund``).

    Args:
        order_id: of a paid order.
        refund: the new total of all refunds of this order, not an increment.
        reason: shown to the customer.
    """
    body = msgspec.json.encode({"refund": str(refund), "reason": reason})
    path = f"private/orders/{_quoted(order_id)}/refund"
    return Call(BackendRequest("POST", path, body=body, private=True), _expect(RefundGranted))


def post_paid(order_id: str, sig: str, h_contract: str, session_id: SessionId) -> Call[PaidAccepted]:
    """Prove an earlier payment for a session (``POST orders/ID/paid``); 204 is the answer of backends of 2022."""

    def parse(response: BackendResponse) -> PaidAccepted:
        return PaidAccepted() if response.status == HTTPStatus.NO_CONTENT else _expect(PaidAccepted)(response)

    body = msgspec.json.encode({"sig": sig, "h_contract": h_contract, "session_id": str(session_id)})
    return Call(BackendRequest("POST", f"orders/{_quoted(order_id)}/paid", body=body), parse)


def _quoted(order_id: str) -> str:
    """Return an order ID as a path segment; IDs come from cookies and from the backend, so they are checked here."""
    if not _ORDER_ID(order_id):
        raise BackendNonsense("an order ID has characters that no order ID has")
    return quote_segment(order_id)


def _expect(kind: type[T]) -> Callable[[BackendResponse], T]:
    return lambda response: _convert(_json(response, 200), kind)


def _json(response: BackendResponse, *statuses: int) -> dict[str, Any]:
    """Return the JSON object of an answer with one of the statuses.

    Raises:
        BackendRejected: another status.
        BackendNonsense: no JSON object, or one that two parsers would read differently.
    """
    if response.status not in statuses:
        raise BackendRejected(response.status, error_code(response))
    return _object(response)


def _object(response: BackendResponse) -> dict[str, Any]:
    if response.media_type != "application/json":
        raise BackendNonsense("the answer is not application/json")
    answer = _decoded(response.body)
    if not isinstance(answer, dict):
        raise BackendNonsense("the answer is not a JSON object, or not well-formed")
    return answer


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        # The exception holds the whole text: it must not go along as the context of another.
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def error_code(response: BackendResponse) -> int:
    """Return the code of an ErrorDetail, 0 if the body is none."""
    try:
        code = _object(response).get("code", 0)
    except BackendNonsense:
        return 0
    return code if type(code) is int else 0


def _convert(answer: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(answer, kind)
    except UnicodeEncodeError:
        raise BackendNonsense("the answer is none of the merchant API: a text in it holds half a character") from None
    except msgspec.ValidationError as exc:
        # The text of the exception names the member and the types, never a value.
        raise BackendNonsense(f"the answer is none of the merchant API: {exc}") from None
