"""What a wallet knows of one order that it buys, and of the play money that it pays with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from taler_paywall.amount import FRACTION_BASE, MAX_VALUE, Amount

RefundState = Literal["collected", "pending", "gone"]
_MAX_UNITS: Final = MAX_VALUE * FRACTION_BASE + FRACTION_BASE - 1


@dataclass(frozen=True, slots=True)
class CoinRefund:
    """A refund that the merchant has handed out (merchant API, MerchantCoinRefundStatus).

    Args:
        state: "gone" is one that the exchange does not pay any more, "pending" one that it does not pay yet.
    """

    rtransaction_id: int
    amount: Amount
    state: RefundState


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order that the wallet has begun to buy.

    Args:
        nonce_seed: private key of the claim.
        contract_terms: what was claimed, None before.
        amount: what it costs, None before coins were sent.
        choice_index: which choice of the contract they pay, None for a contract without choices.
        attempts: how often they were sent; after more than once a refusal does not tell whether they were taken.
        signature: the merchant's receipt over the contract hash, None as long as the wallet knows of no payment.
        is_lost: whether the merchant refuses its own receipt.
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
    attempts: int
    signature: str | None
    is_lost: bool
    session_id: str | None
    paid_at: int | None
    refunds: tuple[CoinRefund, ...]

    @property
    def status(self) -> Literal["claimed", "unconfirmed", "paid", "refunded", "lost"]:
        """How far it got: unconfirmed are coins sent without a valid receipt, refunded is any part of the price."""
        if self.amount is None:
            return "claimed"
        if self.is_lost:
            return "lost"
        if self.signature is None:
            return "unconfirmed"
        return "paid" if self.refunded is None or self.refunded.is_zero else "refunded"

    @property
    def refunded(self) -> Amount | None:
        """The sum of the refunds collected, None before coins were sent."""
        return self._sum_of_refunds("collected")

    @property
    def pending(self) -> Amount | None:
        """The sum of the refunds that the exchange has not paid yet, None before coins were sent."""
        return self._sum_of_refunds("pending")

    @property
    def gone(self) -> Amount | None:
        """The sum of the refunds that came too late to be collected, None before coins were sent."""
        return self._sum_of_refunds("gone")

    def _sum_of_refunds(self, state: RefundState) -> Amount | None:
        if self.amount is None:
            return None
        amounts = (refund.amount for refund in self.refunds if refund.state == state)
        return shown(self.amount.currency, total(self.amount.currency, amounts))


@dataclass(frozen=True, slots=True)
class Balance:
    """The play money of one currency, in units of 1e-8; all of it can be traced to withdrawals and purchases."""

    currency: str
    units_withdrawn: int
    units_spent: int
    units_refunded: int

    @property
    def units_available(self) -> int:
        """What is left, exactly."""
        return self.units_withdrawn + self.units_refunded - self.units_spent

    @property
    def withdrawn(self) -> Amount:
        """What was withdrawn; like all that is shown, cut to the largest amount there is."""
        return shown(self.currency, self.units_withdrawn)

    @property
    def spent(self) -> Amount:
        """What was paid."""
        return shown(self.currency, self.units_spent)

    @property
    def refunded(self) -> Amount:
        """What came back."""
        return shown(self.currency, self.units_refunded)

    @property
    def available(self) -> Amount:
        """What is left."""
        return shown(self.currency, self.units_available)


def units(amount: Amount) -> int:
    """Return an amount in units of 1e-8: sums of amounts can be larger than any amount."""
    return amount.value * FRACTION_BASE + amount.fraction


def total(currency: str, amounts: Iterable[Amount]) -> int:
    """Add up the amounts that are of one currency, in units of 1e-8."""
    return sum(units(amount) for amount in amounts if amount.currency == currency)


def shown(currency: str, sum_of_units: int) -> Amount:
    """Return a sum as an amount, cut to the largest there is."""
    return Amount.from_parts(currency, 0, min(sum_of_units, _MAX_UNITS))
