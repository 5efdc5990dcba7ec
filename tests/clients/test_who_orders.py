"""Who makes an order, counted in the merchant's books (design, section 8)."""

from __future__ import annotations

import re

import httpx
import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from .conftest import Shop
from .headers import BUYERS, EVERYBODY, ONLOOKERS, PEOPLE, PROGRAMS, ROBOTS, SCRIPTS, Client
from .site import SECRET

REORDER = "/.well-known/taler-paywall/reorder"


def clients(*several: list[Client]) -> pytest.MarkDecorator:
    """Run a test for each client of some lists."""
    return pytest.mark.parametrize("client", [client for some in several for client in some], ids=str)


def cookies_of(answer: httpx.Response) -> str:
    """Return the cookies that an answer sets, as a browser sends them back."""
    return "; ".join(value.partition(";")[0] for value in answer.headers.get_list("set-cookie"))


@clients(PEOPLE)
def test_people_are_led_to_an_order(shop: Shop, client: Client, name: str) -> None:
    """A person is sent to the order that was made, or shown it, in a browser that keeps its cookies."""
    sent = shop.ask(client, f"/redirect/{name}")
    assert (sent.status_code, sent.headers["location"].startswith(f"{shop.sandbox.url}orders/")) == (302, True)
    shown = shop.ask(client, f"/page/{name}")
    assert (shown.status_code, shown.headers["content-type"]) == (402, "text/html; charset=utf-8")
    assert shown.headers["taler"] in shown.text
    for answer in (sent, shown):
        assert len(answer.headers.get_list("set-cookie")) == 2
    assert len(shop.orders(name)) == 2
    assert shop.ask(client, f"/page/{name}", cookie=cookies_of(shown)).headers["taler"] == shown.headers["taler"]
    assert len(shop.orders(name)) == 2


@clients(PROGRAMS, SCRIPTS)
def test_programs_are_told_how_to_pay(shop: Shop, client: Client, name: str) -> None:
    """A program, and a script of the site, is told of its order with 402 and never sent elsewhere."""
    answer = shop.ask(client, f"/redirect/{name}")
    assert (answer.status_code, "location" in answer.headers) == (402, False)
    assert answer.headers["taler"].startswith("taler+http://pay/127.0.0.1:")
    assert len(answer.headers.get_list("set-cookie")) == 2
    assert len(shop.orders(name)) == 1


@clients(ONLOOKERS, ROBOTS)
def test_who_only_looks_makes_no_order(shop: Shop, client: Client, name: str) -> None:
    """Whoever cannot or need not pay gets 402 without an order and without a cookie, in every way of selling."""
    for path in (f"/redirect/{name}", f"/page/{name}"):
        answer = shop.ask(client, path)
        # Before a websocket is opened, a server may know only this way to refuse it.
        assert answer.status_code == 402 or ("WebSocket" in client.name and answer.status_code == 403)
        told = {"set-cookie", "taler", "location", "hx-redirect"} & set(answer.headers)
        assert (told, SECRET in answer.content) == (set(), False)
    assert shop.orders(name) == []


@clients([client for client in [*ONLOOKERS, *ROBOTS] if "text/html" in client.headers.get("accept", "")])
def test_a_person_behind_it_can_pay(shop: Shop, client: Client, name: str, reader: Reader) -> None:
    """Where the answer is a page, a person who sees it nevertheless makes the order with its form, without scripts."""
    for way in ("redirect", "page"):
        answer = shop.ask(client, f"/{way}/{name}")
        if not answer.headers["content-type"].startswith("text/html"):
            # A prefetch by a script-like request is never shown: browsers navigate anew.
            assert client.headers["sec-fetch-dest"] == "empty"
            return
        assert f'action="{REORDER}"' in answer.text
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', answer.text))
        assert fields == {"page": f"/{way}/{name}", "method": "GET"}
        bought = reader.press(REORDER, fields, **{"User-Agent": client.headers.get("user-agent", "")})
        assert bought.status_code == 303
        to = f"{shop.url}/page/{name}" if way == "page" else f"{shop.sandbox.url}orders/"
        assert bought.headers["location"].startswith(to)
        assert len(bought.headers.get_list("set-cookie")) >= 1
    assert len(shop.orders(name)) == 2


def test_grants_never_depend_on_who_asks(shop: Shop, reader: Reader, purse: TalerWallet, name: str) -> None:
    """With the cookies of a paid order everybody gets the content, whatever else is sent."""
    purse.pay(reader.visit(f"/redirect/{name}").headers["location"])
    assert reader.visit(f"/redirect/{name}").content == SECRET
    cookie = "; ".join(f"{key}={value}" for key, value in reader.cookies().items())
    for client in EVERYBODY:
        # An upgrade is another protocol, and a preflight brings no cookies.
        if "WebSocket" in client.name or "preflight" in client.name:
            continue
        answer = shop.ask(client, f"/redirect/{name}", cookie=cookie)
        assert (client.name, answer.status_code) == (client.name, 200)
        assert answer.content == (b"" if client.method == "HEAD" else SECRET)
    assert len(shop.orders(name)) == 1


def test_nobody_is_counted_twice() -> None:
    """Every client stands in one list, under one name, and the lists are not short."""
    names = [client.name for client in EVERYBODY]
    assert len(set(names)) == len(names)
    assert (len(BUYERS) > 50, len(ROBOTS) > 60, len(ONLOOKERS) > 25) == (True, True, True)
