"""Rules: which request asks for which resource, and what a resource costs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Literal

import msgspec

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.http import UNSAFE_METHODS, quote_path, quote_segment

_METHOD = re.compile(r"([A-Za-z]+) +(?=/)")
_PIECES = re.compile(r"(\{[A-Za-z_][A-Za-z0-9_]*\})")
PART = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}\Z")


class Resource(msgspec.Struct, frozen=True, dict=True):
    """One thing that is sold.

    Args:
        name: what the order, the cookie and the cache call it; the same text for the same resource at all times.
        pattern: the pattern of the rule that sells it.
        parts: the pattern's named parts, decoded, and the declared query keys.
        method: the method the rule names, or None.
    """

    name: str
    pattern: str
    parts: Mapping[str, str]
    method: str | None = None

    @cached_property
    def tag(self) -> str:
        """A short text that stands for the name in URLs and in names of cookies."""
        return sha256(self.name.encode()).hexdigest()[:16]


Price = str | Amount | Callable[[Resource], "str | Amount | None"] | None


@dataclass(frozen=True)
class Rule:
    """Sell, or give away, what a pattern matches (design, section 4).

    Args:
        pattern: a path template (``/articles/{slug}/*``), optionally after a method (``POST /api/translate``), or a
            compiled regular expression, used with ``fullmatch``, whose named groups tell resources apart.
        price: an amount such as ``KUDOS:0.5``; or a callable of the `Resource`, which returns None for what is free or
            does not exist; or None: free, matched exactly.
        summary: what the wallet shows; a text with ``{name}`` parts, or a callable of the `Resource`.
        page: path of the page to return to after paying, with ``{name}`` parts; needed for regular expressions and
            for rules of POST, PUT, PATCH and DELETE.
        query: names of query keys that select content and so belong to the resource.
        unpaid: what browsers get that have not paid: ``redirect`` to the backend's page, or a ``page`` of the paywall's
            own; None: as the paywall is configured.
        teaser: a preview for who has not paid: the name of a template, or a callable of the `Resource` that returns a
            text, or HTML as an object with ``__html__``; never the protected answer itself.
        refundable: whether readers may give it back by themselves, until the refund deadline.
    """

    pattern: str | re.Pattern[str]
    price: Price
    summary: str | Callable[[Resource], str] = ""
    page: str = ""
    query: Sequence[str] = ()
    unpaid: Literal["redirect", "page"] | None = None
    teaser: str | Callable[[Resource], object] | None = None
    refundable: bool = False

    @cached_property
    def text(self) -> str:
        """The pattern as it was written."""
        return str(getattr(self.pattern, "pattern", self.pattern))

    @cached_property
    def method(self) -> str | None:
        """The method that the pattern names, in capitals."""
        match = _METHOD.match(self.pattern) if isinstance(self.pattern, str) else None
        return match[1].upper() if match else None

    @cached_property
    def fixed_price(self) -> Amount | None:
        """The price of a rule whose price is no callable."""
        price = None if callable(self.price) else self.price
        return price if price is None or isinstance(price, Amount) else Amount.parse(price)

    @cached_property
    def path(self) -> str:
        """The pattern without its method; the text of a regular expression."""
        return self.pattern.pattern if isinstance(self.pattern, re.Pattern) else _METHOD.sub("", self.pattern)

    @cached_property
    def expressions(self) -> tuple[()] | tuple[re.Pattern[str], re.Pattern[str]]:
        """A regular expression as it stands, and one that takes any case, which excludes more; none for a template."""
        if isinstance(self.pattern, str):
            return ()
        return self.pattern, re.compile(self.pattern.pattern, self.pattern.flags | re.IGNORECASE | re.DOTALL)

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The template's segments; empty for a regular expression."""
        return tuple(self.path.split("/")[1:]) if isinstance(self.pattern, str) else ()

    @cached_property
    def places(self) -> tuple[tuple[int, str], ...]:
        """The template's named parts: which segment of a path, counted from 1, has which name."""
        found = ((position, PART.match(segment)) for position, segment in enumerate(self.segments, 1))
        return tuple((position, match[1]) for position, match in found if match)

    @cached_property
    def identity(self) -> str:
        """What the names of all its resources begin with."""
        # No template begins with a tilde, so that no expression has the name of one.
        text = self.path if isinstance(self.pattern, str) else f"~{self.path}"
        return f"{self.method} {text}" if self.method else text

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names that tell the rule's resources apart."""
        if isinstance(self.pattern, re.Pattern):
            return (*self.pattern.groupindex, *self.query)
        return (*(name for _, name in self.places), *self.query)

    def gates(self, method: str) -> bool:
        """Tell whether the rule covers a method token: GET rules cover all but exactly POST, PUT, PATCH and DELETE."""
        if self.method is None:
            return True
        return method.upper() == self.method if self.method in UNSAFE_METHODS else method not in UNSAFE_METHODS

    def page_of(self, resource: Resource, *, marked: bool = False) -> str:
        """Return path and query of the resource's page: the same for one resource, different for different ones.

        Wallets recognise what they bought by this URL alone, so it depends on nothing but the resource. A page of the
        site's own choosing may serve several resources: a marker in the query then tells them apart.

        Args:
            resource: one of this rule's.
            marked: whether to set the marker in any case.
        """
        template = self.page or self.path.removesuffix("/*") or "/"
        path = "".join(_fill(piece, resource.parts) for piece in _PIECES.split(template))
        query = [(key, resource.parts[key]) for key in self.query if key in resource.parts]
        if self.page or marked:
            query.append(("resource", resource.tag))
        return path + ("?" + "&".join(f"{key}={quote_segment(value)}" for key, value in query) if query else "")

    def summary_of(self, resource: Resource) -> str:
        """Return what the contract calls the resource."""
        if callable(self.summary):
            summary = self.summary(resource)
            if not isinstance(summary, str):
                raise CodecError(f"the summary of {resource.name!r} is no text")
            return summary
        if not self.summary:
            return f"Access to {self.page_of(resource)}"
        # A declared query key need not be there.
        return self.summary.format_map(defaultdict(str, resource.parts))

    def price_of(self, resource: Resource) -> Amount | None:
        """Return the price, or None if the resource is free or does not exist.

        Raises:
            CodecError: the site's own callable returned something that is not a positive amount.
        """
        if not callable(self.price):
            return self.fixed_price
        price = self.price(resource)
        if price is None:
            return None
        amount = price if isinstance(price, Amount) else Amount.parse(price)
        if amount.is_zero:
            raise CodecError(f"the price of {resource.name!r} is zero; return None for what is free")
        return amount


def _fill(piece: str, parts: Mapping[str, str]) -> str:
    match = PART.match(piece)
    return quote_segment(parts.get(match[1], "")) if match else quote_path(piece)


def resource_of(rule: Rule, parts: dict[str, str]) -> Resource:
    """Name a rule's resource: the pattern as it stands in the rule, then every part, so that no two share a name."""
    name = rule.identity
    if parts:
        name += "?" + "&".join([f"{key}={quote_segment(value)}" for key, value in sorted(parts.items())])
    return Resource(name, rule.path, MappingProxyType(parts), rule.method)
