"""The calls of the merchant API that a shop's owner makes, and a paywall does not (orders, webhooks)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from taler_paywall.amount import Amount
from taler_paywall.answers import Time
from taler_paywall.errors import BackendNonsense, BackendRejected, CodecError
from taler_paywall.http import quote_segment
from taler_paywall.merchant import error_code
from taler_paywall.offer import EXTRA
from taler_paywall.operations import BackendRequest, BackendResponse, Call

T = TypeVar("T")

_SUCCESS = range(200, 300)


class BackendConfig(msgspec.Struct, frozen=True):
    """``GET config`` (MerchantVersionResponse), of whatever kind of backend."""

    version: str
    name: str = ""
    currency: str = ""
    currencies: dict[str, Any] = {}


class OrderEntry(msgspec.Struct, frozen=True):
    """One line of ``GET private/orders`` (OrderHistoryEntry)."""

    order_id: str
    row_id: int
    timestamp: Time
    amount: str
    summary: str
    paid: bool
    refundable: bool = False
    refund_amount: str | None = None


class OrderDetails(msgspec.Struct, frozen=True):
    """``GET private/orders/ID`` without a session: how the order stands for the shop."""

    order_status: str
    contract_terms: dict[str, Any] = {}
    proto_contract_terms: dict[str, Any] = {}
    refund_amount: str | None = None

    @property
    def amount(self) -> Amount:
        """What it cost.

        Raises:
            BackendNonsense: the backend does not say.
        """
        try:
            return Amount.parse((self.contract_terms or self.proto_contract_terms).get("amount"))
        except CodecError as error:
            raise BackendNonsense(f"the order has no amount: {error}") from None

    @property
    def resource(self) -> str:
        """Name of the resource that the paywall made it for, empty if another program made it."""
        extra = (self.contract_terms or self.proto_contract_terms).get("extra")
        ours = extra.get(EXTRA) if isinstance(extra, dict) else None
        name = ours.get("resource") if isinstance(ours, dict) else None
        return name if isinstance(name, str) else ""


class Webhook(msgspec.Struct, frozen=True):
    """A webhook as the list shows it, or as it is asked for (merchant API, webhooks)."""

    event_type: str
    webhook_id: str = ""
    url: str = ""


class _Orders(msgspec.Struct, frozen=True):
    orders: list[OrderEntry]


class _Webhooks(msgspec.Struct, frozen=True):
    webhooks: list[Webhook]


def get_backend_config() -> Call[BackendConfig]:
    """Ask what kind of backend this is, whatever it is (``GET config``)."""
    return Call(BackendRequest("GET", "config", repeatable=True), _reads(BackendConfig))


def get_orders(limit: int, before: int | None, traits: Mapping[str, str]) -> Call[list[OrderEntry]]:
    """List orders, the newest first (``GET private/orders``).

    Args:
        limit: how many at most.
        before: a row ID, those after it are left out; None for none.
        traits: ``paid`` or ``refunded`` with ``yes`` or ``no``.
    """
    # Under today's names and those of backends of 2022.
    numbers = {"limit": -limit, "delta": -limit}
    if before is not None:
        numbers |= {"offset": before, "start": before}
    query = (*((name, str(number)) for name, number in numbers.items()), *traits.items())
    return _private("GET", "private/orders", lambda answer: _reads(_Orders)(answer).orders, query=query)


def get_details(order_id: str) -> Call[OrderDetails]:
    """Ask how an order stands for the shop, whoever has paid it (``GET private/orders/ID``)."""
    return _private("GET", f"private/orders/{quote_segment(order_id)}", _reads(OrderDetails))


def get_webhooks() -> Call[list[Webhook]]:
    """List the webhooks (``GET private/webhooks``)."""
    return _private("GET", "private/webhooks", lambda answer: _reads(_Webhooks)(answer).webhooks)


def get_webhook(webhook_id: str) -> Call[Webhook]:
    """Ask where a webhook leads to (``GET private/webhooks/ID``)."""
    return _private("GET", f"private/webhooks/{quote_segment(webhook_id)}", _reads(Webhook))


def post_webhook(webhook_id: str, contents: Mapping[str, str]) -> Call[None]:
    """Add a webhook (``POST private/webhooks``)."""
    body = msgspec.json.encode({"webhook_id": webhook_id, **contents})
    return _private("POST", "private/webhooks", _done, body=body)


def patch_webhook(webhook_id: str, contents: Mapping[str, str]) -> Call[None]:
    """Give a webhook other contents (``PATCH private/webhooks/ID``)."""
    path = f"private/webhooks/{quote_segment(webhook_id)}"
    return _private("PATCH", path, _done, body=msgspec.json.encode(contents))


def delete_webhook(webhook_id: str) -> Call[None]:
    """Delete a webhook (``DELETE private/webhooks/ID``)."""
    return _private("DELETE", f"private/webhooks/{quote_segment(webhook_id)}", _done)


def _private(
    method: str,
    path: str,
    parse: Callable[[BackendResponse], T],
    *,
    query: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
) -> Call[T]:
    return Call(BackendRequest(method, path, query, body, private=True, repeatable=method == "GET"), parse)


def _done(response: BackendResponse) -> None:
    if response.status not in _SUCCESS:
        raise BackendRejected(response.status, error_code(response))


def _reads(kind: type[T]) -> Callable[[BackendResponse], T]:
    def parse(response: BackendResponse) -> T:
        _done(response)
        try:
            return msgspec.json.decode(response.body, type=kind)
        except (msgspec.DecodeError, CodecError) as error:
            # What it says names members and types, never a value.
            raise BackendNonsense(f"the answer is not as the merchant API has it: {error}") from None

    return parse
