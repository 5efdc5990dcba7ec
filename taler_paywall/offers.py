"""What a site has for sale: from a request to the offer that it asks for."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from taler_paywall.decision import Refused
from taler_paywall.gate import Gate
from taler_paywall.http import Request
from taler_paywall.offer import Offer
from taler_paywall.resource import Resource, Rule


class Offers:
    """The rules of a site with their prices.

    Args:
        rules: in order.
        public_url: of the site.
        price_policy: ``current`` makes the price part of what is sold.
    """

    def __init__(self, rules: tuple[Rule, ...], public_url: str, price_policy: Literal["honour", "current"]) -> None:
        self._gate = Gate(rules)
        #: Tells, for next to nothing, whether a path may be sold.
        self.concerns = self._gate.concerns
        #: Returns what a request asks for, whatever it costs; None: nothing that is sold.
        self.asked = self._gate.find
        self._public_url = public_url
        self._price_policy = price_policy

    def priced(self, rule: Rule, resource: Resource) -> Offer | None:
        """Return what is sold, None if the site says that it is free or does not exist."""
        amount = rule.price_of(resource)
        if amount is None:
            return None
        marked = self._price_policy == "current"
        if marked:
            resource = replace(resource, name=f"{resource.name} for {amount}")
        return Offer(rule, resource, amount, self._public_url, marked=marked)

    def find(self, request: Request) -> Offer | Refused | None:
        """Return the offer for what a request asks for; None if there is none."""
        found = self.asked(request)
        return self.priced(*found) if isinstance(found, tuple) else found
