"""The play wallet: pays with coins it makes itself, and never twice for the same thing (merchant API, wallet side)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

import httpx

from taler_paywall.errors import CodecError
from taler_paywall.sandbox.wallet.addresses import pay_uri, refund_uri, session_of, web_url
from taler_paywall.sandbox.wallet.checkout import Checkout
from taler_paywall.sandbox.wallet.contracts import announced_refund
from taler_paywall.sandbox.wallet.errors import WalletError
from taler_paywall.sandbox.wallet.merchants import Answer, Messenger, http_client
from taler_paywall.sandbox.wallet.purchase import Purchase
from taler_paywall.sandbox.wallet.purse import Purse
from taler_paywall.taler_uri import PayUri

__all__ = ["Outcome", "Wallet", "WalletError", "http_client"]

#: How often a wallet asks for the refund that a contract has announced, in seconds.
_REFUND_POLL: Final = 1
_How = Literal["claimed", "paid", "proved", "already paid", "collected", "pending", "gone", "nothing new"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the wallet did.

    Args:
        how: "already paid" and "nothing new" mean that there was nothing to do, "pending" that the exchange does not
            pay a refund yet, "gone" that it came too late to be collected.
        contract_terms: what was bought, None if the wallet did not need to know.
        purchase: all that the wallet remembers of it, None if it was not this wallet that paid.
    """

    how: _How
    fulfillment_url: str | None
    contract_terms: Mapping[str, Any] | None = None
    purchase: Purchase | None = None


@dataclass(frozen=True, slots=True)
class _Settled:
    """A web address that stands for an order which is paid, maybe with coins of this wallet.

    Args:
        order: the purchase of it, None if this wallet knows of none.
    """

    fulfillment_url: str | None
    order: Purchase | None
    session_id: str

    @property
    def outcome(self) -> Outcome:
        return Outcome("already paid", self.fulfillment_url)


class Wallet:
    """A wallet full of play money.

    Args:
        purse: what it remembers.
        client: how it reaches merchants; not closed here.
        now: the clock, in seconds since 1970.
        retry_delays: seconds to wait before each further attempt where a merchant is in trouble.
    """

    def __init__(
        self,
        purse: Purse,
        client: httpx.AsyncClient,
        *,
        now: Callable[[], float] = time.time,
        retry_delays: Sequence[float] = (0.2, 1.0),
    ) -> None:
        self._purse = purse
        self._messenger = Messenger(client, retry_delays)
        self._checkout = Checkout(purse, self._messenger, now)
        self._now = now

    async def claim(self, url: str) -> Outcome:
        """Claim an order without paying it.

        Args:
            url: a taler://pay URI, an order status URL, or the address of a page that asks for a payment.

        Raises:
            WalletError: it cannot be claimed.
        """
        offer = await self._offer(url)
        if isinstance(offer, _Settled):
            return offer.outcome
        return _outcome("claimed", await self._checkout.claim(offer))

    async def pay(self, url: str, choice: int | None = None) -> Outcome:
        """Pay an order, or prove that what it sells was bought before.

        Args:
            url: a taler://pay URI, an order status URL, or the address of a page that asks for a payment.
            choice: which of its choices to pay, where the contract offers some.

        Raises:
            WalletError: neither is possible.
        """
        offer = await self._offer(url)
        known = (
            offer.order if isinstance(offer, _Settled) else self._purse.find(offer.merchant_base_url, offer.order_id)
        )
        if known and known.status == "unconfirmed":
            return _outcome("paid", await self._checkout.pay(known, offer.session_id, choice))
        if isinstance(offer, _Settled):
            return offer.outcome
        has_receipt = known is not None and known.status in ("paid", "refunded")
        if known and has_receipt and await self._checkout.prove(known, offer.session_id):
            return _outcome("proved", self._purse.note_session(known, offer.session_id))
        purchase = await self._checkout.claim(offer)
        owned = await self._owned(purchase, offer.session_id)
        if owned:
            return _outcome("proved", self._purse.note_session(owned, offer.session_id))
        return _outcome("paid", await self._checkout.pay(purchase, offer.session_id, choice))

    async def collect(self, url: str) -> Outcome:
        """Collect the refunds of an order that this wallet has paid.

        Args:
            url: a taler://refund URI or an order status URL.

        Raises:
            WalletError: there is nothing to collect.
        """
        uri = refund_uri(url)
        purchase = self._purse.find(uri.merchant_base_url, uri.order_id)
        if purchase is None:
            raise WalletError("this wallet did not pay this order, so the refund is not its own")
        return await self._collect(purchase)

    async def await_refund(self, paid: Outcome) -> Outcome | None:
        """Collect the refund that a contract announces with `auto_refund`, as soon as it is granted.

        Args:
            paid: what came of paying.

        Returns:
            None if no refund was granted in the announced time, or none was announced.

        Raises:
            WalletError: the merchant cannot be asked, or the refund cannot be collected.
        """
        purchase = paid.purchase
        announced = announced_refund(paid.contract_terms or {})
        if purchase is None or purchase.paid_at is None or announced is None:
            return None
        while self._now() < purchase.paid_at + announced:
            if await self._checkout.is_refund_pending(purchase, _REFUND_POLL):
                return await self._collect(purchase)
            # Without a pending refund the merchant answers at once.
            await asyncio.sleep(_REFUND_POLL)
        return None

    async def _offer(self, url: str) -> PayUri | _Settled:
        """Find the pay URI that a web address stands for; an order that is paid needs none."""
        if web_url(url) is None:
            return pay_uri(url)
        answer = await self._messenger.get(url)
        status = answer.members if answer.is_json else {}
        already_paid = status.get("already_paid_order_id")
        if answer.status_code == HTTPStatus.PAYMENT_REQUIRED and already_paid is None:
            # The header is what pages have that are not meant for programs.
            return _asked_for(status.get("taler_pay_uri") or answer.headers.get("taler"))
        if answer.status_code == HTTPStatus.ACCEPTED and web_url(status.get("public_reorder_url")):
            raise WalletError(f"this order is of somebody else; the same is sold at {status['public_reorder_url']}")
        if answer.status_code != HTTPStatus.PAYMENT_REQUIRED:
            answer.require_ok("this is not the status URL of an order that can be paid")
            if "refunded" not in status:
                raise WalletError("there is nothing to pay at this address")
        return self._settled(answer, already_paid)

    def _settled(self, answer: Answer, already_paid: object) -> _Settled:
        """Find out whether an order that is paid is one of this wallet."""
        fulfillment_url = web_url(answer.members.get("fulfillment_url"))
        try:
            order = refund_uri(answer.url)
        except WalletError:
            # The address of something else than the merchant backend, which tells of the payment all the same.
            return _Settled(fulfillment_url, None, "")
        order_id = order.order_id if already_paid is None else str(already_paid)
        known = self._purse.find(order.merchant_base_url, order_id)
        session_id = session_of(answer.url) or (known and known.session_id) or ""
        return _Settled(fulfillment_url, known, session_id)

    async def _owned(self, purchase: Purchase, session_id: str) -> Purchase | None:
        """Prove an earlier purchase of the same thing: the fulfillment URL alone tells what that is.

        What the wallet has got its money back for is not owned any more: merchants do not count it either (protocol
        version 9). As long as a refund waits to be collected, the thing is owned.
        """
        url = web_url((purchase.contract_terms or {}).get("fulfillment_url"))
        for earlier in self._purse.bought(purchase.merchant_base_url, url) if url else []:
            if earlier.serial == purchase.serial or earlier.status not in ("paid", "unconfirmed"):
                continue
            paid = await self._checkout.confirm(earlier) if earlier.status == "unconfirmed" else earlier
            if paid and await self._checkout.prove(paid, session_id):
                return paid
        return None

    async def _collect(self, purchase: Purchase) -> Outcome:
        found, noted = await self._checkout.collect(purchase)
        return _outcome(found or "nothing new", noted)


def _asked_for(uri: object) -> PayUri:
    """Read the pay URI of a page that asks for a payment."""
    try:
        return PayUri.parse(uri)
    except CodecError as error:
        raise WalletError(f"what the page gives is not a pay URI: {error}") from error


def _outcome(how: _How, purchase: Purchase) -> Outcome:
    terms = purchase.contract_terms or {}
    return Outcome(how, web_url(terms.get("fulfillment_url")), terms, purchase)
