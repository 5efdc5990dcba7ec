"""GET sessions/ID: what a session has bought (merchant API, section 5.11)."""

from __future__ import annotations

import secrets
import threading
from typing import Any

import httpx

from .shop import Shop, coin, fresh_url
from .traffic import answered, refused


def ask(shop: Shop, session_id: str, **query: Any) -> httpx.Response:
    return shop.http.get(f"sessions/{session_id}", params=query)


def test_paid_order_of_a_session(shop: Shop) -> None:
    """A page that was paid for in the session, whoever the order was made for."""
    url, session_id = fresh_url(), secrets.token_hex(8)
    bought = shop.bought(session_id, fulfillment_url=url)
    answered(ask(shop, session_id, fulfillment_url=url), 200, order_id=bought["order_id"])
    refused(ask(shop, session_id, fulfillment_url=fresh_url()), 404, 2099)
    refused(ask(shop, "another", fulfillment_url=url), 404, 2099)


def test_order_made_for_a_session_is_there_but_not_paid(shop: Shop) -> None:
    """The latest order that the merchant made for the session is named with 202 until it is paid."""
    url, session_id = fresh_url(), secrets.token_hex(8)
    asked = {"fulfillment_url": url}
    refused(ask(shop, session_id, **asked), 404, 2099)
    shop.order(body={"session_id": session_id}, **asked)
    made = shop.order(body={"session_id": session_id}, **asked)
    answered(ask(shop, session_id, **asked), 202, order_id=made["order_id"])
    shop.claim(made)
    answered(ask(shop, session_id, **asked), 202, order_id=made["order_id"])
    shop.post(made["order_id"], "pay", {"coins": [coin()], "session_id": session_id})
    shop.order(body={"session_id": session_id}, **asked)
    answered(ask(shop, session_id, **asked), 200, order_id=made["order_id"])


def test_purchase_that_moved_to_another_session(shop: Shop) -> None:
    """One session at a time: where the proof of payment was given last."""
    url, first, second = fresh_url(), secrets.token_hex(8), secrets.token_hex(8)
    bought = shop.bought(first, body={"session_id": first}, fulfillment_url=url)
    proof = {"sig": bought["sig"], "h_contract": bought["h_contract"], "session_id": second}
    answered(shop.post(bought["order_id"], "paid", proof), 200, refunded=False)
    answered(ask(shop, second, fulfillment_url=url), 200, order_id=bought["order_id"])
    answered(ask(shop, first, fulfillment_url=url), 202, order_id=bought["order_id"])


def test_poll_of_a_session_ends_with_the_payment(shop: Shop) -> None:
    """A client may wait before there is any order at all."""
    url, session_id = fresh_url(), secrets.token_hex(8)
    seen: list[httpx.Response] = []
    asked = {"fulfillment_url": url, "timeout_ms": 60_000}
    thread = threading.Thread(target=lambda: seen.append(ask(shop, session_id, **asked)))
    thread.start()
    bought = shop.bought(session_id, fulfillment_url=url)
    thread.join(timeout=15)
    answered(seen[0], 200, order_id=bought["order_id"])


def test_malformed_questions(shop: Shop) -> None:
    """The fulfillment URL is needed, and must be one; the time-out is a number."""
    refused(ask(shop, "s"), 400, 25)
    refused(ask(shop, "s", fulfillment_url="javascript:x"), 400, 26)
    refused(ask(shop, "s", fulfillment_url=fresh_url(), timeout_ms="soon"), 400, 26)
    refused(shop.http.get("instances/nobody/sessions/s", params={"fulfillment_url": fresh_url()}), 404, 2000)
