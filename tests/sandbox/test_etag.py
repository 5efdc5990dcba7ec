"""Answers that the client has already are not sent again (merchant API, lp_not_etag and 304)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .shop import HTML, REFUNDABLE, Process, Shop, coin, until_waiting
from .traffic import answered, empty, showed


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    started = Process("--port", "0", "--control", state_home=tmp_path_factory.mktemp("state"))
    yield started
    assert started.stop() == 0


@pytest.fixture
def shop(controlled: Process) -> Iterator[Shop]:
    opened = Shop(controlled.url)
    yield opened
    opened.http.close()


def private(shop: Shop, made: dict[str, Any], headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    path = f"private/orders/{made['order_id']}"
    return shop.http.get(path, params=query, headers={**shop.owner, **(headers or {})})


def public(shop: Shop, made: dict[str, Any], headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    return shop.public(made["order_id"], headers=headers, token=made["token"], **query)


Ask = Callable[..., httpx.Response]
both = pytest.mark.parametrize("ask", [private, public])


@both
def test_a_known_answer_is_not_sent_again(shop: Shop, ask: Ask) -> None:
    """If-None-Match with the tag of the answer is 304, until something happens to the order."""
    made = shop.order()
    first = ask(shop, made)
    answered(first, 200 if ask is private else 402, taler_pay_uri=str)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = ask(shop, made, {"If-None-Match": known})
        empty(again, 304)
        assert again.headers["etag"] == tag
    assert ask(shop, made, {"If-None-Match": '"other"'}).headers["etag"] == tag
    claimed = shop.claim(made)
    assert shop.post(made["order_id"], "pay", {"coins": [coin(claimed["contract_terms"]["amount"])]}).status_code == 200
    changed = ask(shop, made, {"If-None-Match": tag})
    answered(changed, 200, refunded=False)
    assert changed.headers["etag"] != tag


def test_polls_for_another_answer_end_with_it(controlled: Process, shop: Shop) -> None:
    """With lp_not_etag a poll ends with any change: the merchant's with the claim, the buyer's with a refund."""
    made = shop.order(body=REFUNDABLE)
    order_id = made["order_id"]
    answers: list[httpx.Response] = []

    def poll(ask: Ask, tag: str) -> None:
        own = Shop(shop.url)
        answers.append(ask(own, made, timeout_ms=60_000, lp_not_etag=tag))
        own.http.close()

    def change(ask: Ask, act: Callable[[], Any]) -> httpx.Response:
        thread = threading.Thread(target=poll, args=(ask, ask(shop, made).headers["etag"]))
        thread.start()
        until_waiting(controlled.control, 1)
        act()
        thread.join(timeout=30)
        return answers.pop()

    answered(change(private, lambda: shop.claim(made)), 200, order_status="claimed")
    assert shop.post(order_id, "pay", {"coins": [coin()]}).status_code == 200
    answered(change(public, lambda: shop.refund(order_id, "KUDOS:1")), 200, refund_amount="KUDOS:1")


@both
def test_polls_for_another_answer_end_with_the_time(shop: Shop, ask: Ask) -> None:
    """When nothing happened the answer is as before; the tag may be given with its quotes or without."""
    made = shop.order()
    status = 200 if ask is private else 402
    tag = ask(shop, made).headers["etag"]
    for known in (tag, tag.strip('"')):
        started = time.monotonic()
        answered(ask(shop, made, timeout_ms=300, lp_not_etag=known), status, taler_pay_uri=str)
        assert 0.3 <= time.monotonic() - started < 20
    empty(ask(shop, made, headers={"If-None-Match": tag}, timeout_ms=300, lp_not_etag=tag), 304)
    started = time.monotonic()
    answered(ask(shop, made, timeout_ms=60_000, lp_not_etag="other"), status, taler_pay_uri=str)
    assert time.monotonic() - started < 20


def test_pages_have_no_tags(shop: Shop) -> None:
    """A page is shown at once, whatever the client knows."""
    made = shop.order()
    tag = public(shop, made).headers["etag"]
    page = public(shop, made, {**HTML, "If-None-Match": tag}, timeout_ms=60_000, lp_not_etag=tag)
    showed(page, 402, "KUDOS:5")
    assert "etag" not in page.headers
