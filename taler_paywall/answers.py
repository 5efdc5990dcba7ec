"""The merchant backend's answers, typed.

Source: GNU Taler merchant API. Unknown members are ignored; a needed member that is missing or has another type makes
the whole answer nonsense, for money depends on it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from taler_paywall.amount import Amount
from taler_paywall.timestamp import decode_timestamp


class _Answer(msgspec.Struct, frozen=True):
    """Base of what backends answer; URLs, tokens and sessions stand in it, and stay out of logs."""

    def __repr__(self) -> str:
        """Show the kind of answer alone."""
        return f"<{type(self).__name__}>"


class Time(msgspec.Struct, frozen=True):
    """A point in time in seconds since 1970, `timestamp.NEVER` for never; older backends write milliseconds."""

    t_s: int | str | msgspec.UnsetType = msgspec.UNSET
    t_ms: int | str | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Refuse what is no time while the answer is read, not when the time is needed."""
        decode_timestamp(msgspec.to_builtins(self))

    @property
    def seconds(self) -> int:
        """The time in seconds."""
        return decode_timestamp(msgspec.to_builtins(self))


class Price(msgspec.Struct, frozen=True):
    """What carries an amount; refused while the answer is read if the text is none."""

    amount: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no amount."""
        if self.amount is not None:
            Amount.parse(self.amount)


class ContractTerms(Price, frozen=True, kw_only=True):
    """What the storefront must know of a contract (merchant API, ContractTerms)."""

    order_id: str
    merchant_base_url: str
    refund_deadline: Time
    wire_transfer_deadline: Time
    version: Literal[0, 1] = 0
    choices: list[Price] = []
    merchant_pub: str | None = None
    fulfillment_url: str | None = None
    extra: dict[str, Any] | None = None


class OrderCreated(_Answer, frozen=True):
    """``POST private/orders`` made the order, or had made it before with the same contents."""

    order_id: str
    token: str | None = None
    pay_deadline: Time | None = None


class OrderExists(_Answer, frozen=True):
    """``POST private/orders``: there is an order of this ID with other contents (code 2503)."""


class OrderUnknown(_Answer, frozen=True):
    """``GET private/orders/ID``: there is no such order (code 2005)."""


class ProtoContract(Price, frozen=True):
    """The contract terms of an order that nobody has claimed, as far as they are needed."""

    pay_deadline: Time | None = None


class Unpaid(_Answer, frozen=True):
    """Nobody has claimed the order yet (CheckPaymentUnpaidResponse)."""

    taler_pay_uri: str
    order_status_url: str
    already_paid_order_id: str | None = None
    total_amount: str | None = None
    pay_deadline: Time | None = None
    proto_contract_terms: ProtoContract | None = None

    def __post_init__(self) -> None:
        """Refuse what is no amount."""
        if self.total_amount is not None:
            Amount.parse(self.total_amount)

    @property
    def amount(self) -> Amount | None:
        """What the order costs, if the backend tells."""
        proto = self.proto_contract_terms
        text = self.total_amount or (proto.amount if proto else None)
        return Amount.parse(text) if text else None

    @property
    def claim_token(self) -> str:
        """What stands behind ``?c=`` in the pay URI: the claim token, if nothing follows it; empty if there is none."""
        return self.taler_pay_uri.partition("?c=")[2]

    @property
    def deadline(self) -> int | None:
        """When the offer ends, in seconds, if the backend tells."""
        proto = self.proto_contract_terms
        time = self.pay_deadline or (proto.pay_deadline if proto else None)
        return time.seconds if time else None


class Claimed(_Answer, frozen=True):
    """A wallet holds the order, or it was paid under another session (CheckPaymentClaimedResponse)."""

    #: Only their hash is of use, as a credential; whoever needs it looks whether they are a JSON object.
    contract_terms: Any = None


class Paid(_Answer, frozen=True):
    """The order was paid under the session that was asked for (CheckPaymentPaidResponse)."""

    refunded: bool
    refund_pending: bool
    refund_amount: str
    contract_terms: ContractTerms
    order_status_url: str | None = None
    choice_index: int | None = None

    @property
    def amount(self) -> Amount | None:
        """What the contract cost: its amount, or that of the choice that was paid; None if it does not say."""
        terms, index = self.contract_terms, self.choice_index
        priced: Price | None = terms
        if terms.version != 0:
            priced = terms.choices[index] if index is not None and 0 <= index < len(terms.choices) else None
        return Amount.parse(priced.amount) if priced and priced.amount is not None else None


OrderStatus = Unpaid | Claimed | Paid | OrderUnknown


class MerchantConfig(msgspec.Struct, frozen=True):
    """``GET config`` (MerchantVersionResponse)."""

    version: str
    name: Literal["taler-merchant"]
    currency: str
    #: By code, each a `CurrencySpecification` or anything else: one that is malformed must not spoil the others.
    currencies: dict[str, Any] = {}


class CurrencySpecification(msgspec.Struct, frozen=True):
    """How amounts of a currency are written for people; refused while it is read if it cannot be shown.

    Args:
        num_fractional_normal_digits: decimals that are shown where they are not zero, 0 to 8.
        num_fractional_trailing_zero_digits: decimals that are shown even if they are zero, 0 to 8.
        alt_unit_names: names of units by power of ten: ``{"0": "€", "-2": "ct"}``; printable, without digits.
    """

    num_fractional_normal_digits: int
    num_fractional_trailing_zero_digits: int
    alt_unit_names: dict[str, str]

    def __post_init__(self) -> None:
        """Refuse what would hide or change the price on a page."""
        digits = {self.num_fractional_normal_digits, self.num_fractional_trailing_zero_digits}
        if min(digits) < 0 or max(digits) > _DIGITS:
            raise ValueError(f"the numbers of decimals must be 0 to {_DIGITS}")
        if "0" not in self.alt_unit_names or not all(map(_POWER_OF_TEN, self.alt_unit_names)):
            raise ValueError("the units must have powers of ten, 0 among them")
        if not all(map(_is_unit_name, self.alt_unit_names.values())):
            raise ValueError("the name of a unit cannot be shown next to a number")


_DIGITS = 8
_POWER_OF_TEN = re.compile(r"-?[1-9][0-9]?|0").fullmatch
_LONGEST_UNIT_NAME = 32


def _is_unit_name(name: str) -> bool:
    # What is printable has no control characters and none that turn the writing round.
    short = 0 < len(name) <= _LONGEST_UNIT_NAME
    return short and name == name.strip() and name.isprintable() and not any(map(str.isnumeric, name))


class RefundGranted(_Answer, frozen=True):
    """``POST private/orders/ID/refund`` granted it (MerchantRefundResponse)."""

    taler_refund_uri: str
    h_contract: str


class PublicStatus(_Answer, frozen=True):
    """``GET orders/ID``, any of its 200, 202 and 402 bodies; ``paid`` says which."""

    paid: bool
    refunded: bool = False
    refund_pending: bool = False
    fulfillment_url: str | None = None
    public_reorder_url: str | None = None
    taler_pay_uri: str | None = None
    already_paid_order_id: str | None = None


class PaidAccepted(msgspec.Struct, frozen=True):
    """``POST orders/ID/paid`` accepted the proof (PaidRefundStatusResponse); older backends say nothing more."""

    refunded: bool = False
    pos_confirmation: str | None = None
