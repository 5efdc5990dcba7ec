"""What a wallet does with one order at its merchant: claim, pay, prove, collect refunds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from taler_paywall import contract, crockford
from taler_paywall.sandbox.wallet.addresses import nonce_seed, web_url
from taler_paywall.sandbox.wallet.contracts import (
    announced_refund,
    checked_contract,
    checked_refunds,
    coins_for,
    exchange_url_of,
    price_of,
    refuse_expired,
    verified_hash,
)
from taler_paywall.sandbox.wallet.errors import WalletError
from taler_paywall.sandbox.wallet.merchants import Answer, Messenger
from taler_paywall.sandbox.wallet.purchase import Purchase, RefundState
from taler_paywall.sandbox.wallet.purse import Purse
from taler_paywall.taler_uri import PayUri

#: Of the merchant that does not know the order, or not as a paid one (merchant API, error codes).
_ORDER_UNKNOWN: Final = 2005
#: Codes that say that the merchant has another key now, or has lost the order (merchant API, POST orders/ID/paid).
_WORTHLESS_RECEIPT: Final = (2201, _ORDER_UNKNOWN)
#: What says that the coins of a payment were not taken (merchant API, POST orders/ID/pay).
_NOT_TAKEN: Final = frozenset({400, 403, 406, 409, 410, 412, 413, 451})


class Checkout:
    """The way to the merchants, with the books kept.

    Args:
        now: the clock, in seconds since 1970.
    """

    def __init__(self, purse: Purse, messenger: Messenger, now: Callable[[], float]) -> None:
        self._purse = purse
        self._messenger = messenger
        self._now = now

    async def claim(self, offer: PayUri) -> Purchase:
        """Claim an order; a claim that was interrupted is taken up again with the same nonce.

        Raises:
            WalletError: it cannot be claimed, or its contract is not as it must be.
        """
        purchase = self._purse.begin(offer.merchant_base_url, offer.order_id, nonce_seed(offer))
        nonce = crockford.encode(contract.public_key(purchase.nonce_seed))
        body = {"nonce": nonce} if offer.claim_token is None else {"nonce": nonce, "token": offer.claim_token}
        answer = await self._messenger.post(f"{_order_url(purchase)}/claim", body)
        if answer.status_code == HTTPStatus.CONFLICT:
            complaint = "another wallet has claimed this order; go back to the shop for a new one"
            raise WalletError(complaint, answer.status_code, answer.code)
        answer.require_ok("the order cannot be claimed")
        terms, h_contract = checked_contract(answer.members, offer, nonce)
        return self._purse.note_contract(purchase, terms, h_contract, web_url(terms.get("fulfillment_url")))

    async def pay(self, purchase: Purchase, session_id: str, choice: int | None = None) -> Purchase:
        """Send the coins; a payment that was begun before is repeated, as it was and whenever that is.

        Raises:
            WalletError: there is no receipt for them.
        """
        terms = purchase.contract_terms or {}
        exchange_url = exchange_url_of(terms)
        if purchase.amount is None:
            refuse_expired(terms, self._now())
            announced_refund(terms)
            price = price_of(terms, choice)
            purchase = self._purse.begin_payment(purchase, price.amount, price.choice_index, session_id)
        if choice not in (None, purchase.choice_index):
            raise WalletError(f"the payment of this contract was begun with choice {purchase.choice_index}")
        body: dict[str, Any] = {"coins": coins_for(purchase, exchange_url), "session_id": session_id}
        if purchase.choice_index is not None:
            # Which of the two places is read differs between backends.
            chosen = {"choice_index": purchase.choice_index}
            body |= {**chosen, "wallet_data": chosen}
        answer = await self._messenger.post(
            f"{_order_url(purchase)}/pay", body, before=lambda: self._purse.note_attempt(purchase)
        )
        if answer.status_code in _NOT_TAKEN:
            self._purse.cancel_payment(purchase)
        answer.require_ok("the payment was refused")
        signature = answer.members.get("sig")
        verified_hash(terms, contract.MERCHANT_PAYMENT_OK, signature)
        return self._purse.note_payment(purchase, str(signature), session_id)

    async def confirm(self, purchase: Purchase) -> Purchase | None:
        """Repeat a payment whose outcome is not known.

        Returns:
            What is paid then, None if the merchant says that it does not have the coins, or not any more.

        Raises:
            WalletError: whether it has them is still not known.
        """
        try:
            return await self.pay(purchase, purchase.session_id or "")
        except WalletError as error:
            refused = error.status in (*_NOT_TAKEN, HTTPStatus.PAYMENT_REQUIRED)
            if refused or error.code == _ORDER_UNKNOWN:
                return None
            complaint = (
                f"this may be paid already with order {purchase.order_id}, and that must be known first: {error}"
            )
            raise WalletError(complaint, error.status, error.code) from error

    async def prove(self, purchase: Purchase, session_id: str) -> bool:
        """Show the receipt of a purchase in another session; one that is refused for good counts as lost.

        Returns:
            Whether it was accepted.

        Raises:
            WalletError: it is refused for now.
        """
        body = {"sig": purchase.signature, "h_contract": purchase.h_contract, "session_id": session_id}
        answer = await self._messenger.post(f"{_order_url(purchase)}/paid", body)
        # 204 is what backends of 2022 answer.
        if answer.status_code == HTTPStatus.NO_CONTENT:
            return True
        try:
            answer.require_ok("the proof of payment was refused")
        except WalletError as error:
            if error.code not in _WORTHLESS_RECEIPT:
                raise
            self._purse.note_loss(purchase)
            return False
        return True

    async def collect(self, purchase: Purchase) -> tuple[RefundState | None, Purchase]:
        """Collect what was given back.

        Returns:
            What came of the refunds that were not collected before, None if there are no such.

        Raises:
            WalletError: there is nothing to collect, or not for this wallet.
        """
        if purchase.amount is None:
            raise WalletError("this wallet did not pay this order, so the refund is not its own")
        answer = await self._messenger.post(f"{_order_url(purchase)}/refund", {"h_contract": purchase.h_contract})
        if answer.status_code == HTTPStatus.NO_CONTENT:
            raise WalletError("no refund was granted for this order")
        answer.require_ok("the refund was refused")
        refunds = checked_refunds(answer.members, purchase, purchase.amount)
        # Those that are pending are new each time.
        known = {(refund.rtransaction_id, refund.state) for refund in purchase.refunds if refund.state != "pending"}
        states = {refund.state for refund in refunds if (refund.rtransaction_id, refund.state) not in known}
        news: tuple[RefundState, ...] = ("collected", "pending", "gone")
        noted = self._purse.note_refunds(purchase, refunds)
        return next((state for state in news if state in states), None), noted

    async def is_refund_pending(self, purchase: Purchase, patience: int) -> bool:
        """Ask whether a refund waits for the wallet.

        Args:
            patience: how many seconds the merchant may take to answer.

        Raises:
            WalletError: the merchant does not say.
        """
        query: Mapping[str, object] = {
            "h_contract": purchase.h_contract,
            "timeout_ms": patience * 1000,
            "await_refund_obtained": "yes",
        }
        answer: Answer = await self._messenger.get(f"{_order_url(purchase)}?{urlencode(query)}")
        answer.require_ok("the merchant does not say whether there is a refund")
        return answer.members.get("refund_pending") is True


def _order_url(purchase: Purchase) -> str:
    return f"{purchase.merchant_base_url}orders/{purchase.order_id}"
