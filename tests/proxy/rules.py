"""What the site behind nginx sells, and how long it believes a payment."""

from __future__ import annotations

from typing import Final

from taler_paywall import Rule

_KINDS = ("articles", "files", "events", "rooms", "uploads", "letters")

RULES: Final = [Rule(f"/{kind}/{{name}}/*", price="KUDOS:0.5") for kind in _KINDS]
BELOW_NEWS: Final = [Rule(f"/news/{kind}/{{name}}/*", price="KUDOS:0.5") for kind in _KINDS]
RECHECK_AFTER: Final = 0.2


def article(name: str, *, paid: bool) -> str:
    """Return the page of an article; its links lead to its neighbours wherever the site is."""
    return (
        f"<!doctype html><title>{name}</title><h1>All about {name}</h1><p>{'Bought' if paid else 'Given away'}.</p>"
        '<a href="wasps">All about wasps</a> <a href="../">Front page</a>'
    )


FRONT_PAGE: Final = '<!doctype html><title>News</title><a href="articles/bees">All about bees</a>'
