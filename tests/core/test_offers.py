"""From a request to the offer that it asks for, with the price of today."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from taler_paywall.amount import Amount
from taler_paywall.decision import Refused
from taler_paywall.errors import CodecError
from taler_paywall.http import Request
from taler_paywall.offer import Offer
from taler_paywall.offers import Offers
from taler_paywall.resource import Resource, Rule

SITE = "https://news.example"
PRICES: dict[str, str | Amount] = {"one": "KUDOS:0.5", "two": Amount.parse("KUDOS:2")}


def price_of(resource: Resource) -> str | Amount | None:
    return PRICES.get(resource.parts["slug"])


def offers(policy: Literal["honour", "current"] = "honour", price: Any = None) -> Offers:
    """Return what a site sells."""
    dear = Rule("/articles/{slug}/*", price or price_of)
    return Offers((Rule("/articles/free", None), dear, Rule("POST /x", "EUR:1", page="/")), SITE, policy)


def ask(path: str, method: str = "GET") -> Request:
    """Return a request."""
    return Request(method, path, path.encode(), "", b"", ())


@pytest.mark.parametrize(("slug", "amount"), [("one", "KUDOS:0.5"), ("two", "KUDOS:2")])
def test_what_is_sold(slug: str, amount: str) -> None:
    """The rule, the resource and the price that the site names, as a text or as an amount."""
    found = offers().find(ask(f"/articles/{slug}/picture.png"))
    assert isinstance(found, Offer)
    assert (str(found.amount), found.resource.parts["slug"], found.marked) == (amount, slug, False)
    assert found.fulfillment_url == f"{SITE}/articles/{slug}"


@pytest.mark.parametrize("path", ["/articles/free", "/articles/three", "/about", "/x"])
def test_what_is_not_sold(path: str) -> None:
    """What is free, what the site does not know, what no rule names, and what is sold to another method."""
    assert offers().find(ask(path)) is None
    assert (offers().asked(ask(path)) is None) is (path != "/articles/three")


def test_what_can_be_read_in_several_ways() -> None:
    """It is refused, whatever its price would be; the price is not asked for."""
    shop = offers(price=lambda _: pytest.fail("the price was asked for"))
    assert shop.find(ask("/articles//one")) == shop.asked(ask("/articles//one")) == Refused(400, "ambiguous-path")


def test_what_may_be_sold() -> None:
    """Told without asking for a price: rather too much than too little."""
    shop = offers(price=lambda _: pytest.fail("the price was asked for"))
    assert [shop.concerns(path, path.encode(), "") for path in ("/articles/one", "/about")] == [True, False]


def test_prices_of_today() -> None:
    """They belong to what is sold, so that another price is another thing with an address of its own."""
    honoured, current = (offers(policy).find(ask("/articles/one")) for policy in ("honour", "current"))
    assert isinstance(honoured, Offer)
    assert isinstance(current, Offer)
    assert current.resource.name == f"{honoured.resource.name} for KUDOS:0.5"
    assert current.resource.parts == honoured.resource.parts
    assert current.marked
    assert current.fulfillment_url == f"{honoured.fulfillment_url}?resource={current.resource.tag}"


@pytest.mark.parametrize("price", [lambda _: "KUDOS:0", lambda _: "half", lambda _: True])
def test_what_is_no_price(price: Any) -> None:
    """The site's own mistake gives nothing away."""
    with pytest.raises(CodecError):
        offers(price=price).find(ask("/articles/one"))
