"""The play wallet: pays with coins it makes itself, and never twice for the same thing (merchant API, wallet side)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import urlencode

import httpx

from taler_paywall import contract, crockford
from taler_paywall.errors import CodecError
from taler_paywall.sandbox.wallet.contracts import (
    checked_contract,
    checked_refunds,
    coins_for,
    price_of,
    refuse_expired,
    verified_hash,
    web_url,
)
from taler_paywall.sandbox.wallet.merchants import Messenger, WalletError, http_client, is_json, members_of, require_ok
from taler_paywall.sandbox.wallet.purchase import Purchase
from taler_paywall.sandbox.wallet.purse import Purse
from taler_paywall.taler_uri import PayUri, RefundUri
from taler_paywall.timestamp import decode_duration

__all__ = ["Outcome", "Wallet", "WalletError", "http_client"]

#: Codes that say that the merchant has another key now, or has lost the order (merchant API, POST orders/ID/paid).
_WORTHLESS_RECEIPT: Final = (2201, 2005)
#: How often a wallet asks for the refund that a contract has announced, in seconds.
_REFUND_POLL: Final = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the wallet did.

    Args:
        how: "already paid" means that there was nothing to do, "gone" that a refund came too late to be collected.
        contract_terms: what was bought, None if the wallet did not need to know.
        purchase: all that the wallet remembers of it, None if it was not this wallet that paid.
    """

    how: Literal["claimed", "paid", "proved", "already paid", "collected", "gone"]
    fulfillment_url: str | None
    contract_terms: Mapping[str, Any] | None = None
    purchase: Purchase | None = None


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
        self._now = now

    async def claim(self, url: str) -> Outcome:
        """Claim an order without paying it.

        Args:
            url: a taler://pay URI, an order status URL, or the address of a page that asks for a payment.

        Raises:
            WalletError: it cannot be claimed.
        """
        offer = await self._offer(url)
        if isinstance(offer, Outcome):
            return offer
        return _outcome("claimed", await self._claim(offer))

    async def pay(self, url: str, choice: int | None = None) -> Outcome:
        """Pay an order, or prove that what it sells was bought before.

        Args:
            url: a taler://pay URI, an order status URL, or the address of a page that asks for a payment.
            choice: which of its choices to pay, where the contract offers some.

        Raises:
            WalletError: neither is possible.
        """
        offer = await self._offer(url)
        if isinstance(offer, Outcome):
            return offer
        known = self._purse.find(offer.merchant_base_url, offer.order_id)
        if known and known.signature and await self._prove(known, offer.session_id) != "worthless":
            return _outcome("proved", self._purse.note_session(known, offer.session_id))
        purchase = await self._claim(offer)
        for earlier in self._bought_before(purchase):
            if await self._prove(earlier, offer.session_id) == "good":
                return _outcome("proved", self._purse.note_session(earlier, offer.session_id))
        return _outcome("paid", await self._pay(purchase, offer.session_id, choice))

    async def collect(self, url: str) -> Outcome:
        """Collect the refunds of an order that this wallet has paid.

        Args:
            url: a taler://refund URI or an order status URL.

        Raises:
            WalletError: there is nothing to collect.
        """
        uri = _refund_uri(url)
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
        announced = (paid.contract_terms or {}).get("auto_refund")
        if purchase is None or purchase.paid_at is None or announced is None:
            return None
        try:
            deadline = purchase.paid_at + decode_duration(announced) // 1_000_000
        except CodecError as error:
            raise WalletError(f"auto_refund of the contract is malformed: {error}") from error
        query = {"h_contract": purchase.h_contract, "timeout_ms": _REFUND_POLL * 1000, "await_refund_obtained": "yes"}
        while self._now() < deadline:
            answer = await self._messenger.get(f"{_order_url(purchase)}?{urlencode(query)}")
            require_ok(answer, "the merchant does not say whether there is a refund")
            if members_of(answer).get("refund_pending") is True:
                return await self._collect(purchase)
            # Without a pending refund the merchant answers at once.
            await asyncio.sleep(_REFUND_POLL)
        return None

    async def _offer(self, url: str) -> PayUri | Outcome:
        """Find the pay URI that a web address stands for; an order that is paid needs none."""
        if web_url(url.lower()) is None:
            return _pay_uri(url)
        answer = await self._messenger.get(url)
        status = members_of(answer) if is_json(answer) else {}
        if answer.status_code == HTTPStatus.PAYMENT_REQUIRED and "already_paid_order_id" not in status:
            # The header is what pages have that are not meant for programs.
            return _pay_uri(status.get("taler_pay_uri") or answer.headers.get("taler"))
        if answer.status_code == HTTPStatus.ACCEPTED and web_url(status.get("public_reorder_url")):
            raise WalletError(f"this order is of somebody else; the same is sold at {status['public_reorder_url']}")
        if answer.status_code != HTTPStatus.PAYMENT_REQUIRED:
            require_ok(answer, "this is not the status URL of an order that can be paid")
            if "refunded" not in status:
                raise WalletError("there is nothing to pay at this address")
        return Outcome("already paid", web_url(status.get("fulfillment_url")))

    async def _claim(self, offer: PayUri) -> Purchase:
        """Claim an order; a claim that was interrupted is taken up again with the same nonce."""
        purchase = self._purse.begin(offer.merchant_base_url, offer.order_id, _nonce_seed(offer))
        nonce = crockford.encode(contract.public_key(purchase.nonce_seed))
        body = {"nonce": nonce} if offer.claim_token is None else {"nonce": nonce, "token": offer.claim_token}
        answer = await self._post(purchase, "claim", body)
        if answer.status_code == HTTPStatus.CONFLICT:
            require_ok(answer, "another wallet has claimed this order; go back to the shop for a new one")
        require_ok(answer, "the order cannot be claimed")
        terms, h_contract = checked_contract(members_of(answer), offer, nonce)
        return self._purse.note_contract(purchase, terms, h_contract, web_url(terms.get("fulfillment_url")))

    def _bought_before(self, purchase: Purchase) -> list[Purchase]:
        """Return earlier purchases of the same thing: the fulfillment URL alone tells what that is.

        What was given back is not owned any more: merchants do not count it either (protocol version 9).
        """
        url = web_url((purchase.contract_terms or {}).get("fulfillment_url"))
        bought = self._purse.bought(purchase.merchant_base_url, url) if url else []
        return [earlier for earlier in bought if earlier.serial != purchase.serial and earlier.status == "paid"]

    async def _prove(self, purchase: Purchase, session_id: str) -> Literal["good", "refunded", "worthless"]:
        """Show the receipt of a purchase in another session; one that is refused for good is forgotten."""
        body = {"sig": purchase.signature, "h_contract": purchase.h_contract, "session_id": session_id}
        answer = await self._post(purchase, "paid", body)
        # 204 is what backends of 2022 answer, which do not speak of refunds.
        if answer.status_code == HTTPStatus.NO_CONTENT:
            return "good"
        try:
            require_ok(answer, "the proof of payment was refused")
        except WalletError as error:
            if error.code not in _WORTHLESS_RECEIPT:
                raise
            self._purse.forget_payment(purchase)
            return "worthless"
        return "refunded" if members_of(answer).get("refunded") is True else "good"

    async def _pay(self, purchase: Purchase, session_id: str, choice: int | None) -> Purchase:
        """Send the coins; a payment that was begun before is repeated, as it was and whenever that is."""
        terms = purchase.contract_terms or {}
        if purchase.amount is None:
            refuse_expired(terms, self._now())
        price = price_of(terms, choice)
        purchase = self._purse.begin_payment(purchase, price.amount, price.choice_index)
        if choice not in (None, purchase.choice_index):
            raise WalletError(f"the payment of this contract was begun with choice {purchase.choice_index}")
        body: dict[str, Any] = {"coins": coins_for(purchase, price.exchange_url), "session_id": session_id}
        if purchase.choice_index is not None:
            # Which of the two places is read differs between backends.
            chosen = {"choice_index": purchase.choice_index}
            body |= {**chosen, "wallet_data": chosen}
        answer = await self._post(purchase, "pay", body)
        # 402 says that the coins were taken and given back since.
        if answer.is_client_error and answer.status_code != HTTPStatus.PAYMENT_REQUIRED:
            self._purse.cancel_payment(purchase)
        require_ok(answer, "the payment was refused")
        signature = members_of(answer).get("sig")
        verified_hash(terms, contract.MERCHANT_PAYMENT_OK, signature)
        return self._purse.note_payment(purchase, str(signature), session_id)

    async def _collect(self, purchase: Purchase) -> Outcome:
        if purchase.amount is None:
            raise WalletError("this wallet did not pay this order, so the refund is not its own")
        answer = await self._post(purchase, "refund", {"h_contract": purchase.h_contract})
        if answer.status_code == HTTPStatus.NO_CONTENT:
            raise WalletError("no refund was granted for this order")
        require_ok(answer, "the refund was refused")
        refunds = checked_refunds(members_of(answer), purchase, purchase.amount)
        all_gone = all(refund.gone for refund in refunds)
        return _outcome("gone" if all_gone else "collected", self._purse.note_refunds(purchase, refunds))

    async def _post(self, purchase: Purchase, action: str, body: Mapping[str, Any]) -> httpx.Response:
        return await self._messenger.post(f"{_order_url(purchase)}/{action}", body)


def _order_url(purchase: Purchase) -> str:
    return f"{purchase.merchant_base_url}orders/{purchase.order_id}"


def _pay_uri(value: object) -> PayUri:
    try:
        return PayUri.parse(value)
    except CodecError as error:
        raise WalletError(f"this is not a pay URI: {error}") from error


def _refund_uri(url: str) -> RefundUri:
    try:
        if web_url(url.lower()) is None:
            return RefundUri.parse(url)
        # An order status URL says the same in another form.
        base_url, _, order_id = url.partition("?")[0].rpartition("orders/")
        return RefundUri(base_url, order_id)
    except CodecError as error:
        raise WalletError(f"this is not a refund URI: {error}") from error


def _nonce_seed(offer: PayUri) -> bytes | None:
    try:
        return None if offer.nonce_priv is None else crockford.decode(offer.nonce_priv, 32)
    except CodecError as error:
        raise WalletError(f"the nonce in the pay URI is malformed: {error}") from error


def _outcome(how: Literal["claimed", "paid", "proved", "collected", "gone"], purchase: Purchase) -> Outcome:
    terms = purchase.contract_terms or {}
    return Outcome(how, web_url(terms.get("fulfillment_url")), terms, purchase)
