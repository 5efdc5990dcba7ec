"""The newspaper behind its paywall: what is for sale, at what price, and how the paywall's own page looks."""

from __future__ import annotations

import logging
import os

from markupsafe import Markup

from taler_paywall import Resource, Rule
from taler_paywall.asgi import PaywallMiddleware

from .content import ARCHIVE, ARCHIVE_PRICE, ARTICLES, HEADLINES_PRICE, PRICES
from .pages import site


def price_of_article(resource: Resource) -> str | None:
    """Look up the price; an article that does not exist is not for sale: the site answers with its own 404."""
    return PRICES.get(resource.parts["slug"])


def headline(resource: Resource) -> str:
    """Say what is bought: the wallet shows it to the reader."""
    return ARTICLES[resource.parts["slug"]].title


def look_inside(_: Resource) -> Markup:
    """Show what the archive holds, without its stories, to whoever has not paid, and to search engines."""
    year_of_archive = Markup("<h2>{}: {}</h2><p>{}</p>")
    return Markup("\n").join(
        year_of_archive.format(year, volume["title"], volume["introduction"]) for year, volume in ARCHIVE.items()
    )


RULES = [
    # Readers of articles pay on the backend's page.
    Rule("/articles/{slug}/*", price=price_of_article, summary=headline),
    # The archive has a preview, so its readers pay below that; within the hour they may give it back.
    Rule("/archive/*", price=ARCHIVE_PRICE, summary="The archive of The Ledger", teaser=look_inside, refundable=True),
    Rule("/api/v1/headlines", price=HEADLINES_PRICE, summary="Today's headlines as data"),
]

# One line for every refusal: who was asked to pay for what, and why.
logging.basicConfig(format="%(message)s")
logging.getLogger("taler_paywall").setLevel(logging.INFO)

app = PaywallMiddleware(
    site,
    RULES,
    backend=os.environ.get("TALER_PAYWALL_BACKEND", "sandbox:"),
    site_name="The Ledger",
    logo="/static/icon.svg",
    colours={"accent": "#8c2f1d", "dark_accent": "#e58f73"},
)
