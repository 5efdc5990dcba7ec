"""What the configuration files of these tests name: prices, people, and what is told to whom."""

from __future__ import annotations

from taler_paywall import ConfigError, Request, Resource
from taler_paywall.events import Event

PRICES = {"bees": "KUDOS:0.3"}
told: list[Event] = []


class Desk:
    """Names may have several parts."""

    @staticmethod
    def price_of(resource: Resource) -> str | None:
        return PRICES.get(resource.parts["slug"])


def title_of(resource: Resource) -> str:
    return f"All about {resource.parts['slug']}"


def teaser_of(_: Resource) -> str:
    return "Bees are …"


def broken_price(_: Resource) -> str | None:
    raise LookupError("the price list is lost")


def is_staff(request: Request) -> bool:
    return request.header(b"x-staff") == b"yes"


def everybody(_: Request) -> bool:
    return True


def teller() -> object:
    return told.append


def misconfigured() -> None:
    raise ConfigError(["name the shop"])
