"""Readers' browsers: what they send, and which of our cookies they hold."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import httpx
from reader import Reader, order_of

from .world import Goods


@dataclass(frozen=True)
class Held:
    """A cookie of ours in a browser; what is in it is known from the answer that set it.

    Args:
        slot: what its name says it is for, empty for the session.
        goods: what it was issued for, empty for the session.
        session_id: empty if the answer did not tell.
        order_id: empty if the answer did not tell.
        key: the number of the secret key that signed it.
    """

    slot: str
    goods: str
    session_id: str
    order_id: str
    issued: float
    key: int


@dataclass
class Browser:
    """A reader's browser, with what the model knows of its cookies."""

    reader: Reader
    held: dict[str, Held] = field(default_factory=dict)
    #: All sessions that it was ever told of.
    told: set[str] = field(default_factory=set)

    def drop(self, part: str) -> None:
        """Lose the cookies whose names contain something."""
        self.reader.drop(part)
        self.held = {name: held for name, held in self.held.items() if part not in name}

    def jar(self) -> tuple[dict[str, str], dict[str, Held]]:
        """Return the cookies, to put them back later."""
        return self.reader.cookies(), copy.copy(self.held)

    def hold(self, *jars: tuple[dict[str, str], dict[str, Held]]) -> None:
        """Have these cookies; of one name the last counts."""
        self.reader.hold({name: value for cookies, _ in jars for name, value in cookies.items()})
        self.held = {name: held for _, known in jars for name, held in known.items()}


def send(reader: Reader, goods: Goods, how: str, path: str, backend: str) -> httpx.Response:
    """Ask for something in one of the ways in which it is asked for."""
    match how:
        case "open":
            return reader.visit(path)
        case "come back":
            return reader.visit(path, site="cross-site", referer=backend)
        case "program":
            return reader.http.request(goods.method, path, headers={"Accept": "application/json"})
        case "head":
            return reader.http.head(path)
        case "picture":
            return reader.picture(path)
        case _:
            return reader.press("/.well-known/taler-paywall/reorder", {"page": path, "method": goods.method})


@dataclass(frozen=True)
class Shown:
    """An order that a browser was told to pay."""

    order_id: str
    url: str


def shown_by(response: httpx.Response, backend: str) -> Shown | None:
    """Return the order that an answer asks to pay, None if there is none."""
    url = response.headers.get("location", "")
    if url.startswith(backend):
        return Shown(order_of(url), url)
    if response.headers.get("content-type") == "application/problem+json" and "order_id" in response.json():
        return Shown(response.json()["order_id"], response.json()["taler_pay_uri"])
    return None
