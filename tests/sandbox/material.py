"""What stands behind the placeholders of generated requests, and how these are sent."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote, urlencode

from .garbage import LOGIN, TEMPLATE, WEBHOOK, Wrong
from .shop import REFUNDABLE, TOKEN, Shop, fresh_nonce, fresh_url


class Material:
    """Orders in every state, and one of everything else, behind the placeholders."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.real: dict[str, str] = {}
        self._sent = 0

    def renew(self) -> None:
        """Make everything anew, because requests may have used it up or deleted it."""
        shop, nonce = self.shop, fresh_nonce()
        states = {"unpaid": shop.order(), "open": shop.order(body={"create_token": False}), "claimed": shop.order()}
        states["claimed"] |= shop.claim(states["claimed"], nonce)
        states["paid"] = shop.bought("one", body=REFUNDABLE)
        states["refunded"] = shop.bought("one", body=REFUNDABLE)
        assert shop.refund(states["refunded"]["order_id"], "KUDOS:1").status_code == 200
        for state, known in states.items():
            self.real |= {f"@{state}.{name}": value for name, value in known.items() if isinstance(value, str)}
            self.real[f"@{state}.url"] = known.get("contract_terms", {}).get("fulfillment_url", fresh_url())
        coin_pub = states["paid"]["coins"][0]["coin_pub"]
        self.real |= {"@claimed.nonce": nonce, "@paid.coin_pub": coin_pub, "@nonce": fresh_nonce(), "@session": "one"}
        self.real |= {"@template": "template", "@webhook": "hook"}
        shop.http.post("private/templates", json=TEMPLATE, headers=shop.owner)
        shop.http.post("private/webhooks", json=WEBHOOK, headers=shop.owner)
        login = ("default", TOKEN.removeprefix("secret-token:"))
        made = shop.http.post("private/token", json=LOGIN, auth=login)
        self.real["@login"] = made.json()["access_token"]

    def send(self, wrong: Wrong) -> Any:
        """Send a request with real values in the place of placeholders."""
        if self._sent % 200 == 0:
            self.renew()
        self._sent += 1
        path = "/".join(quote(_utf8(self._real(part)), safe="") for part in wrong.path.split("/"))
        query = {name: _utf8(self._real(value)) for name, value in wrong.query.items()}
        content, headers = self._encoded(wrong)
        headers = {"Authorization": self.shop.owner["Authorization"].encode(), **headers, **wrong.headers}
        return self.shop.http.request(
            *(wrong.method, path.lstrip("/")),
            params=query,
            headers=[(name.encode(), value) for name, value in headers.items()],
            content=content,
        )

    def _encoded(self, wrong: Wrong) -> tuple[bytes | None, dict[str, bytes]]:
        """Return the bytes of a body, and the headers that tell how it was made."""
        if wrong.body is None:
            return None, {}
        body = self._real(wrong.body)
        if wrong.coding == "form" and isinstance(body, dict):
            form = {_utf8(name): _utf8(str(value)) for name, value in body.items()}
            return urlencode(form).encode(), {"Content-Type": b"application/x-www-form-urlencoded"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if wrong.coding in ("gzip", "cut"):
            content = gzip.compress(content)
        if wrong.coding == "cut":
            content = content[: len(content) // 2]
        return content, {"Content-Encoding": b"gzip"} if wrong.coding in ("gzip", "cut", "fake") else {}

    def _real(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.real.get(value, value)
        if isinstance(value, list):
            return [self._real(item) for item in value]
        if isinstance(value, dict):
            return {name: self._real(item) for name, item in value.items()}
        return value


def _utf8(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
