"""The newspaper behind its paywall: what is for sale, at what price, and one line around the site."""

from __future__ import annotations

import logging
import os

from taler_paywall import Resource, Rule
from taler_paywall.asgi import PaywallMiddleware

from .content import ARCHIVE_PRICE, ARTICLES, HEADLINES_PRICE, PRICES
from .pages import site


def price_of_article(resource: Resource) -> str | None:
    """Look up the price; an article that does not exist is not for sale: the site answers with its own 404."""
    return PRICES.get(resource.parts["slug"])


def headline(resource: Resource) -> str:
    """Say what is bought: the wallet shows it to the reader."""
    return ARTICLES[resource.parts["slug"]].title


RULES = [
    Rule("/articles/{slug}/*", price=price_of_article, summary=headline),
    Rule("/archive/*", price=ARCHIVE_PRICE, summary="The archive of The Ledger"),
    Rule("/api/v1/headlines", price=HEADLINES_PRICE, summary="Today's headlines as data"),
]

# One line for every refusal: who was asked to pay for what, and why.
logging.basicConfig(format="%(message)s")
logging.getLogger("taler_paywall").setLevel(logging.INFO)

app = PaywallMiddleware(site, RULES, backend=os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:"))
