"""What a wallet knows of one order that it buys, and of the play money that it pays with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from taler_paywall.amount import Amount


@dataclass(frozen=True, slots=True)
class CoinRefund:
    """A refund that the merchant has handed out (merchant API, MerchantCoinRefundStatus).

    Args:
        gone: whether the exchange does not pay it any more.
    """

    rtransaction_id: int
    amount: Amount
    gone: bool


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order that the wallet has begun to buy.

    Args:
        nonce_seed: private key of the claim.
        contract_terms: what was claimed, None before.
        amount: what it costs, None before coins were sent.
        choice_index: which choice of the contract they pay, None for a contract without choices.
        signature: the merchant's receipt over the contract hash, None as long as the wallet knows of no payment.
        session_id: under which it was last paid or proved.
    """

    serial: int
    merchant_base_url: str
    order_id: str
    nonce_seed: bytes = field(repr=False)
    contract_terms: dict[str, Any] | None
    h_contract: str | None
    claimed_at: int | None
    amount: Amount | None
    choice_index: int | None
    signature: str | None
    session_id: str | None
    paid_at: int | None
    refunds: tuple[CoinRefund, ...]

    @property
    def status(self) -> Literal["claimed", "unconfirmed", "paid", "refunded"]:
        """How far it got: unconfirmed are coins sent without a valid receipt, refunded is any part of the price."""
        if self.amount is None:
            return "claimed"
        if self.signature is None:
            return "unconfirmed"
        return "paid" if self.refunded is None or self.refunded.is_zero else "refunded"

    @property
    def refunded(self) -> Amount | None:
        """The sum of the refunds collected, None before coins were sent."""
        return self._sum_of_refunds(gone=False)

    @property
    def gone(self) -> Amount | None:
        """The sum of the refunds that came too late to be collected, None before coins were sent."""
        return self._sum_of_refunds(gone=True)

    def _sum_of_refunds(self, *, gone: bool) -> Amount | None:
        if self.amount is None:
            return None
        return total(self.amount.currency, (refund.amount for refund in self.refunds if refund.gone is gone))


@dataclass(frozen=True, slots=True)
class Balance:
    """The play money of one currency; all of it can be traced to withdrawals and purchases."""

    withdrawn: Amount
    spent: Amount
    refunded: Amount

    @property
    def available(self) -> Amount:
        """What is left."""
        return self.withdrawn.add(self.refunded)[0].subtract(self.spent)[0]


def total(currency: str, amounts: Iterable[Amount]) -> Amount:
    """Add up the amounts that are of one currency; the sum is cut to the largest amount there is."""
    result = Amount.zero(currency)
    for amount in amounts:
        if amount.currency == currency:
            result, _ = result.add(amount)
    return result
