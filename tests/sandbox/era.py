"""A sandbox of each generation of merchant backends, and what its answers look like where they differ."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from running import TLS

from taler_paywall.sandbox.wallet.purse import Purse
from taler_paywall.sandbox.wallet.wallet import Outcome, Wallet

from .shop import Shop
from .traffic import answered, empty

#: The second merchant of every sandbox here, and its token.
OTHER: Final = ("other", "secret-token:other")


@dataclass(frozen=True)
class Form:
    """How a generation answers (merchant API, section 11).

    Args:
        config: members of GET config; None for more than these.
        unauthorized: the code of a wrong token.
        is_old: as in 2022 or 2021.
        has_milliseconds: writes times in milliseconds too.
    """

    config: set[str] | None
    unauthorized: int
    is_old: bool
    has_milliseconds: bool


_OLD_CONFIG: Final = {"version", "name", "currency"}
FORMS: Final = {
    "current": Form(None, 40, is_old=False, has_milliseconds=False),
    "2022": Form(_OLD_CONFIG, 2015, is_old=True, has_milliseconds=False),
    "2021": Form(_OLD_CONFIG, 2015, is_old=True, has_milliseconds=True),
}


class Reader:
    """A play wallet, and a note of all that it has asked merchants."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._purse = Purse(self._connection, "reader")
        self.asked: list[str] = []

    def do(self, action: str, url: str) -> Outcome:
        """Let the wallet claim, pay or collect."""
        return asyncio.run(self._do(action, url))

    def posted(self) -> list[str]:
        """Return the last parts of the paths that were posted to since the last question."""
        posts = [path.rpartition("/")[2] for method, path in map(str.split, self.asked) if method == "POST"]
        self.asked.clear()
        return posts

    def close(self) -> None:
        self._connection.close()

    async def _do(self, action: str, url: str) -> Outcome:
        async def note(request: httpx.Request) -> None:
            self.asked.append(f"{request.method} {request.url.path}")

        async with httpx.AsyncClient(
            trust_env=False, verify=TLS, timeout=30, event_hooks={"request": [note]}
        ) as client:
            outcome: Outcome = await getattr(Wallet(self._purse, client), action)(url)
            return outcome


@dataclass(frozen=True)
class Era:
    """A running sandbox of one generation.

    Args:
        control: the address of its control endpoint.
    """

    generation: str
    shop: Shop
    control: str
    form: Form = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "form", FORMS[self.generation])

    def paid_again(self, order_id: str, bought: Mapping[str, Any], session_id: str) -> None:
        """Prove a purchase in another session; the success looks different in each generation."""
        proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": session_id}
        answer = self.shop.post(order_id, "paid", proof)
        if self.form.is_old:
            empty(answer, 204)
        else:
            answered(answer, 200, refunded=bool)

    def switch(self, path: str) -> None:
        """Change something over the control endpoint, such as `fault/hang`."""
        answer = httpx.put(self.control + path, trust_env=False, verify=TLS)
        assert answer.status_code == 200, answer.text
