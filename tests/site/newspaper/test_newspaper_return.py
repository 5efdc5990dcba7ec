"""Readers who come back: without cookies, with some of them, with others' orders, with forged ones, in two tabs."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import pytest
from reader import Reader, order_of
from running import SECRET_KEY, Sandbox, Site, Wallet, eventually

from taler_paywall.operations import SessionId
from taler_paywall.session import Cookies, Keys, Order

from .test_newspaper_walk import ASKED, CONTENT, ONE, TWO, bought


def paid_orders(sandbox: Sandbox, wallet: Wallet) -> set[str]:
    """Return the orders that are paid at the sandbox and for which a wallet has the receipt."""
    return {order.order_id for order in sandbox.orders() if order.paid} & set(wallet.purchases())


def test_the_wallet_proves_after_cookies_are_deleted(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """A reader without cookies is asked, the wallet proves the first purchase, and nothing is paid again."""
    first = bought(reader, wallet)
    paid_before = sum(order.paid for order in sandbox.orders())
    reader.drop()
    asked = reader.visit(ONE)
    assert asked.status_code == 302
    assert order_of(asked.headers["location"]) != first
    said = wallet.pay(asked.headers["location"])
    assert said.startswith("proved:")
    opened = reader.come_back(said.split()[-1])
    assert opened.status_code == 200
    assert CONTENT in opened.text
    assert reader.visit(ONE).status_code == 200
    assert paid_orders(sandbox, wallet) == {first}
    assert sum(order.paid for order in sandbox.orders()) == paid_before


def test_after_a_proof_the_asked_page_opens(reader: Reader, wallet: Wallet, newspaper: Site) -> None:
    """Also after a proof the reader lands on the very page that was asked for, with its query (design, section 5)."""
    bought(reader, wallet)
    reader.drop()
    asked = reader.visit(ASKED)
    arrived = reader.come_back(wallet.pay(asked.headers["location"]).split()[-1])
    assert (arrived.status_code, arrived.headers.get("location")) == (303, newspaper.url + ASKED)
    assert reader.visit(ASKED).status_code == 200


def test_the_previous_browser_is_asked_after_a_proof(
    readers: Callable[..., Reader], wallet: Wallet, quick: Site
) -> None:
    """A purchase lives in one browser at a time; the wallet brings it back to the other without a second payment."""
    one, two = readers(quick), readers(quick)
    bought(one, wallet)
    assert wallet.pay(two.visit(ONE).headers["location"]).startswith("proved:")
    assert two.come_back(ONE).status_code == 200
    eventually(lambda: one.picture(f"{ONE}/picture.svg").status_code == 402, "the cached payment expires")
    told = one.visit(ONE)
    assert (told.status_code, "Open in another browser" in told.text) == (402, True)
    [to_pay] = re.findall(r'href="([^"]+/orders/[^"]+)"', told.text)
    assert wallet.pay(html.unescape(to_pay)).startswith("proved:")
    assert one.come_back(ONE).status_code == 200
    assert len(wallet.purchases()) == 1


def test_an_evicted_order_is_found_without_the_wallet(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """Without its order cookie, but with the session cookie, the article opens at once."""
    first = bought(reader, wallet)
    before = len(sandbox.orders())
    reader.drop("_order_")
    assert list(reader.cookies("_session")) == list(reader.cookies())
    opened = reader.visit(ASKED)
    assert opened.status_code == 200
    assert reader.cookies("_order_"), "the cookie is set again"
    assert len(sandbox.orders()) == before
    assert wallet.purchases() == [first]


def test_the_order_cookie_is_sufficient(reader: Reader, wallet: Wallet) -> None:
    """Without its session cookie the order cookie alone opens the article."""
    bought(reader, wallet)
    reader.drop("_session")
    assert reader.visit(ONE).status_code == 200


def test_an_order_claimed_by_another_wallet_is_replaced(
    reader: Reader, wallet: Wallet, wallets: Callable[[], Wallet]
) -> None:
    """After another wallet has claimed the order, the next attempt's order is shown and can be paid."""
    asked = reader.visit(ASKED)
    assert wallets().claim(asked.headers["location"]).startswith("claimed:")
    replaced = reader.visit(ASKED)
    assert replaced.status_code == 302
    assert order_of(replaced.headers["location"]) != order_of(asked.headers["location"])
    said = wallet.pay(replaced.headers["location"])
    assert said.startswith("paid:")
    arrived = reader.come_back(said.split()[-1])
    assert arrived.status_code == 303
    assert reader.visit(ASKED).status_code == 200


def test_a_slow_wallet_pays_the_order_that_was_replaced(reader: Reader, wallet: Wallet) -> None:
    """Claimed, replaced because the reader reloaded meanwhile, then paid: the article opens all the same."""
    asked = reader.visit(ASKED)
    wallet.claim(asked.headers["location"])
    replaced = reader.visit(ASKED)
    assert order_of(replaced.headers["location"]) != order_of(asked.headers["location"])
    assert wallet.pay(asked.headers["location"]).startswith("paid:")
    arrived = reader.come_back(ONE)
    assert (arrived.status_code, arrived.headers.get("location")) == (303, reader.base_url + ASKED)
    assert reader.visit(ASKED).status_code == 200
    assert wallet.purchases() == [order_of(asked.headers["location"])]


def both_claimed(reader: Reader, wallets: Callable[[], Wallet]) -> str:
    """Have the first order and its replacement claimed, go back to the first cookie; return the replacement's ID."""
    asked = reader.visit(ONE)
    wallets().claim(asked.headers["location"])
    first_cookies = reader.cookies()
    replaced = reader.visit(ONE)
    wallets().claim(replaced.headers["location"])
    reader.hold(first_cookies)
    return order_of(replaced.headers["location"])


def test_both_orders_claimed(reader: Reader, wallet: Wallet, wallets: Callable[[], Wallet], sandbox: Sandbox) -> None:
    """If the replacement is claimed as well, a page offers to try again, without redirect; the next visit works."""
    replacement = both_claimed(reader, wallets)
    before = len(sandbox.orders())
    page = reader.visit(ONE)
    assert page.status_code == 402
    assert "location" not in page.headers
    assert "ry again" in page.text
    assert f'href="{ONE}"' in page.text
    assert len(sandbox.orders()) == before
    asked = reader.visit(ONE)
    assert asked.status_code == 302
    assert order_of(asked.headers["location"]) != replacement
    assert wallet.pay(asked.headers["location"]).startswith("paid:")
    assert reader.come_back(ONE).status_code == 200


def test_a_cookie_under_another_name_opens_nothing(reader: Reader, wallet: Wallet) -> None:
    """The honest cookie for one article, sent under the name of another one's, opens nothing but the first."""
    bought(reader, wallet)
    (first,) = reader.cookies("_order_").items()
    reader.visit(TWO)
    (second,) = (cookie for cookie in reader.cookies("_order_").items() if cookie[0] != first[0])
    session = reader.cookies("_session")
    for stolen in ({second[0]: first[1]}, {second[0]: first[1], **session}, {first[0]: first[1], **session}):
        reader.hold(stolen)
        assert reader.picture(f"{TWO}/picture.svg").status_code == 402
        assert reader.visit(TWO).status_code == 302
    reader.hold({first[0]: first[1]})
    assert reader.picture(f"{ONE}/picture.svg").status_code == 200


def test_flipped_bits_open_nothing(reader: Reader, wallet: Wallet) -> None:
    """An order cookie with any character changed is no cookie."""
    bought(reader, wallet)
    ((name, value),) = reader.cookies("_order_").items()
    reader.hold({name: value})
    assert reader.picture(f"{ONE}/picture.svg").status_code == 200
    # The last character of the signature holds spare bits, which do not count.
    for position in range(0, len(value) - 1, 3):
        flipped = "A" if value[position] != "A" else "B"
        reader.hold({name: value[:position] + flipped + value[position + 1 :]})
        assert reader.picture(f"{ONE}/picture.svg").status_code == 402, position
    for broken in (
        "",
        value[:-2],
        value + "A",
        value.partition(".")[0],
        value.partition(".")[2],
        "." * 500,
        value * 20,
    ):
        reader.hold({name: broken})
        assert reader.picture(f"{ONE}/picture.svg").status_code == 402, broken


def test_an_order_transplanted_by_a_forger_opens_nothing(
    reader: Reader, wallet: Wallet, newspaper: Site, sandbox: Sandbox
) -> None:
    """Who knows all but the key cannot make a cookie; even a signed one with another article's order opens nothing."""
    bought(reader, wallet)
    reader.visit(TWO)
    orders = [contents(value) for value in reader.cookies("_order_").values()]
    one, two = sorted(orders, key=lambda order: order[1] not in wallet.purchases())
    (secret,) = (json.loads(decoded(value))[0] for value in reader.cookies("_session").values())
    forged = Order(SessionId(one[0]), one[1], two[2], 0, 0, "", "", 0, one[8])
    site = f"{newspaper.url} {sandbox.url}"
    for key, opens in ((b"another key of thirty-two bytes!", False), (SECRET_KEY.encode(), True)):
        cookies = Cookies(Keys([key], site), secure=False, max_age=1000)
        honest = Order(SessionId(one[0]), one[1], one[2], 0, 0, "", "", 0, one[8])
        for order, path, status in ((forged, TWO, 402), (honest, ONE, 200 if opens else 402)):
            made = [*cookies.order_cookies([], order), cookies.session_cookie(secret, one[8])]
            names = {name: morsel.value for text in made for name, morsel in SimpleCookie(text.decode()).items()}
            tag = Keys([SECRET_KEY.encode()], site).site_tag
            assert all(name.startswith(f"taler_{tag}_") for name in names)
            if not opens:
                # Without the session cookie: an honest one would find the honest order at the backend.
                names = {name: value for name, value in names.items() if "_order_" in name}
            reader.hold(names)
            assert reader.picture(f"{path}/picture.svg").status_code == status
            assert reader.visit(path).status_code == (200 if status == 200 else 302)


def decoded(value: str) -> bytes:
    payload = value.partition(".")[0]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


def contents(value: str) -> list[Any]:
    """Read what anybody can read in an order cookie."""
    order: list[Any] = json.loads(decoded(value))
    return order


def test_the_status_url_is_no_key(reader: Reader, readers: Callable[..., Reader], wallet: Wallet) -> None:
    """Who gets hold of an order status URL, with the session-ID in it, cannot read."""
    asked = reader.visit(ONE)
    status_url = asked.headers["location"]
    wallet.pay(status_url)
    assert reader.come_back(ONE).status_code == 200
    query = urlsplit(status_url).query
    session_id = dict(part.split("=") for part in query.split("&"))["session_id"]
    thief = readers()
    name = next(iter(reader.cookies("_session")))
    thief.hold({name: session_id})
    answer = thief.visit(f"{ONE}?{query}&order_id={order_of(status_url)}")
    assert answer.status_code == 302
    assert order_of(answer.headers["location"]) != order_of(status_url)


def test_many_requests_at_once_make_one_order(reader: Reader, newspaper: Site, sandbox: Sandbox) -> None:
    """A browser with a session that asks a dozen times at once gets one order, however the requests overtake."""
    reader.visit(TWO)
    cookies = reader.cookies("_session")
    before = len(sandbox.orders())

    def ask(_: int) -> str:
        with Reader(newspaper.url) as tab:
            tab.hold(cookies)
            answer = tab.visit(ONE)
            assert answer.status_code == 302
            return str(answer.headers["location"])

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(ask, range(12)))) == 1
    assert len(sandbox.orders()) == before + 1


@pytest.mark.parametrize("paid", [0, 1])
def test_two_tabs(paid: int, reader: Reader, readers: Callable[..., Reader], wallet: Wallet, sandbox: Sandbox) -> None:
    """Two tabs opened at once make at most two orders, and whichever is paid opens the article in both."""
    before = len(sandbox.orders())
    tab = readers()
    asked = [reader.visit(f"{ONE}?tab=0"), tab.visit(f"{ONE}?tab=1")]
    for name, value in tab.cookies().items():
        reader.http.cookies.set(name, value, domain="127.0.0.1", path="/")
    assert len(sandbox.orders()) - before <= 2
    assert wallet.pay(asked[paid].headers["location"]).startswith("paid:")
    arrived = reader.come_back(ONE)
    assert arrived.status_code == 303
    assert arrived.headers["location"].endswith(f"{ONE}?tab={paid}")
    for page in (ONE, f"{ONE}?tab=0", f"{ONE}?tab=1"):
        assert reader.visit(page).status_code == 200
    assert len(sandbox.orders()) - before <= 2


def test_both_tabs_given_to_the_wallet(
    readers: Callable[..., Reader], wallet: Wallet, quick: Site, sandbox: Sandbox
) -> None:
    """A reader who opens the wallet from both tabs pays once, and goes on reading, without a third order."""
    first, second = readers(quick), readers(quick)
    asked = [tab.visit(ONE).headers["location"] for tab in (first, second)]
    for name, value in second.cookies().items():
        first.http.cookies.set(name, value, domain="127.0.0.1", path="/")
    assert wallet.pay(asked[0]).startswith("paid:")
    assert first.come_back(ONE).status_code == 200
    assert wallet.pay(asked[1]).startswith("proved:")
    # The proof has moved the purchase to the second tab's session, and the browser has the cookies of both.
    before = len(sandbox.orders())

    def is_asked_again() -> bool:
        picture = first.picture(f"{ONE}/picture.svg")
        assert picture.status_code == 200
        return "set-cookie" in picture.headers

    eventually(is_asked_again, "the cached payment expires")
    assert first.come_back(ONE).status_code == 200
    assert len(sandbox.orders()) == before
    assert len(wallet.purchases()) == 1


def test_many_articles_in_one_browser(reader: Reader, wallet: Wallet, newspaper: Site) -> None:
    """A browser that has asked for everything holds few and small cookies, and what it bought stays open."""
    bought(reader, wallet)
    front = reader.visit("/")
    paths = {part.split('"')[0] for part in front.text.split('href="')[1:]}
    for path in sorted(path for path in paths if path.startswith(("/articles/", "/archive", "/api/"))):
        assert reader.visit(path).status_code in {200, 302}
    orders = reader.cookies("_order_")
    assert len(orders) <= 12
    assert sum(len(name) + len(value) for name, value in orders.items()) <= 4096
    assert reader.visit(ONE).status_code == 200
