"""Generations of merchant backends: what their contracts and rules were (merchant API, section 11).

All that can be seen from outside only is translated at the edge (translation.py); what stands here goes into contracts,
which are hashed, or decides what the backend does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from taler_paywall.amount import Amount
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.fields import integer, optional
from taler_paywall.sandbox.generations import milliseconds


@dataclass(frozen=True)
class Generation:
    """One generation of merchant backends.

    Args:
        version: of the protocol, as GET config says.
        is_old: speaks as backends did in 2022, and grants refunds when the money has already been wired.
        has_milliseconds: writes times and durations in milliseconds too, and reads them so.
    """

    name: str
    version: str
    is_old: bool = False
    has_milliseconds: bool = False

    @property
    def grants_late_refunds(self) -> bool:
        """Whether a refund is granted after the wire transfer deadline; the exchange refuses it later."""
        return self.is_old

    def contract(self, terms: dict[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
        """Bring contract terms to the form that they had in this generation.

        Args:
            terms: in today's form.
            order: that the merchant posted.

        Raises:
            ApiError: what the order says about wire fees is malformed (26, 30).
        """
        if not self.is_old:
            return terms
        exchanges = [
            {name: value for name, value in exchange.items() if name != "priority"} for exchange in terms["exchanges"]
        ]
        old = {**terms, "exchanges": exchanges, **_wire_fees(order, Amount.parse(terms["amount"]).currency)}
        return milliseconds.added(old, milliseconds.OPAQUE) if self.has_milliseconds else old


def _wire_fees(order: Mapping[str, Any], currency: str) -> dict[str, Any]:
    most = optional(order, "max_wire_fee", Amount.parse) or Amount.zero(currency)
    if most.currency != currency:
        raise ApiError(Code.GENERIC_CURRENCY_MISMATCH, f"max_wire_fee: the currency here is {currency}")
    amortization = optional(order, "wire_fee_amortization", integer)
    return {"max_wire_fee": str(most), "wire_fee_amortization": 1 if amortization is None else amortization}


CURRENT: Final = Generation("current", "26:0:14")
GENERATIONS: Final = {
    generation.name: generation
    for generation in (
        CURRENT,
        Generation("2022", "3:0:3", is_old=True),
        Generation("2021", "2:0:2", is_old=True, has_milliseconds=True),
    )
}
