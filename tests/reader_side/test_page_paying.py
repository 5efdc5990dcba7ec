"""Paying on the paywall's own page: by click, with a phone, in two tabs, without scripts, without cookies."""

from __future__ import annotations

import time
from urllib.parse import quote

from running import Wallet
from tab import SITE_COOKIES

from .conftest import OpenTab
from .counter import Counter, Shop, both
from .reading import PAY, Reading
from .site import BOUGHT, FRONT

#: Three times what the page may take to notice a payment, in seconds: with its script, and without.
NOTICED, REFRESHED = 3 * 3.0, 3 * 10.0


@both
def test_first_visit(tab: Reading, shop: Shop, counter: Counter, slug: str) -> None:
    """A link, the page with the price, two clicks to pay, and the reader is where the link led to."""
    place = f"/articles/{slug}?page=2&b=%C3%BC"
    tab.open(f"{shop.url}/?to={quote(place)}")
    tab.link("Read").click()
    tab.wait_for(shop.url + place)
    assert tab.last == (402, shop.url + place)
    assert tab.page.get_by_role("heading", level=1).inner_text() == f"Article {slug}"
    assert "0.50\N{NO-BREAK SPACE}KUDOS" in tab.text
    assert tab.page.locator("time").inner_text() == "23 hours"
    tab.look(f"open-{shop.kind}")
    tab.link(PAY).click()
    tab.wait_for(f"{counter.url}orders/*")
    tab.button(PAY).click()
    tab.read(shop.url + place)
    assert tab.reload() == 200
    tab.page.go_back()
    assert tab.open(shop.url + place) == 200
    assert [order.paid for order in counter.orders_for(slug)] == [True]


@both
def test_paid_with_a_phone(tab: Reading, shop: Shop, slug: str, wallet: Wallet) -> None:
    """The page goes on by itself to path and query, in place of itself: back leads to the page before."""
    url = f"{shop.url}/articles/{slug}?page=2"
    tab.open(f"{shop.url}/?to={quote(url.removeprefix(shop.url))}")
    tab.link("Read").click()
    tab.wait_for(url)
    entries = tab.page.evaluate("history.length")
    assert wallet.pay(tab.pay_uri).startswith("paid:")
    tab.read(url, NOTICED)
    assert tab.page.evaluate("history.length") == entries
    tab.picture_of(f"page-read-{shop.kind}")
    assert tab.reload() == 200
    tab.page.go_back()
    tab.page.get_by_role("heading", name=FRONT).wait_for()
    tab.page.go_forward()
    tab.read(url)


@both
def test_two_tabs_wait(open_tab: OpenTab, shop: Shop, counter: Counter, slug: str, wallet: Wallet) -> None:
    """Two tabs show the same order, and both go on when it is paid."""
    one = open_tab()
    other = open_tab(one)
    one.open(f"{shop.url}/articles/{slug}")
    other.open(f"{shop.url}/articles/{slug}/picture?size=2")
    assert one.pay_uri == other.pay_uri
    wallet.pay(one.pay_uri)
    one.read(f"{shop.url}/articles/{slug}", NOTICED)
    other.read(f"{shop.url}/articles/{slug}/picture?size=2", NOTICED)
    other.picture_of(f"page-second-tab-{shop.kind}")
    assert len(counter.orders_for(slug)) == 1


@both
def test_without_scripts(open_tab: OpenTab, shop: Shop, slug: str, wallet: Wallet) -> None:
    """The page loads itself again until it is paid, and shows no button that does nothing."""
    tab = open_tab(java_script_enabled=False)
    url = f"{shop.url}/articles/{slug}?page=2"
    assert tab.open(url) == 402
    tab.picture_of(f"page-without-scripts-{shop.kind}")
    assert tab.page.get_by_role("button").count() == 0
    wallet.pay(tab.pay_uri)
    since = time.monotonic()
    tab.read(url, REFRESHED)
    print(f"{shop.kind}: goes on {time.monotonic() - since:.1f} s after the payment, without scripts")


@both
def test_cookies_deleted(tab: Reading, shop: Shop, counter: Counter, slug: str, wallet: Wallet) -> None:
    """The wallet proves the earlier purchase, the waiting page goes on by itself, and nothing is paid twice."""
    url = f"{shop.url}/articles/{slug}?page=2"
    tab.open(url)
    first = tab.order_id
    assert wallet.pay(tab.pay_uri).startswith("paid:")
    tab.read(url, NOTICED)
    tab.context.clear_cookies(name=SITE_COOKIES)
    assert tab.reload() == 402
    assert tab.order_id != first
    tab.picture_of(f"page-cookies-deleted-{shop.kind}")
    assert wallet.pay(tab.pay_uri).startswith("proved:")
    tab.read(url, NOTICED)
    assert tab.reload() == 200
    assert [order.order_id for order in counter.orders_for(slug) if order.paid] == [first]
    assert wallet.purchases() == [first]


def test_a_deep_link(tab: Reading, shop: Shop, wallet: Wallet) -> None:
    """What the query selects is what is bought; the rest of the address is kept."""
    url = f"{shop.url}/book?from=mail&chapter=7"
    assert tab.open(url) == 402
    assert "Chapter 7" in tab.text
    tab.picture_of("page-deep-link")
    wallet.pay(tab.pay_uri)
    tab.read(url, NOTICED)
    assert tab.open(f"{shop.url}/book?chapter=7") == 200
    assert tab.open(f"{shop.url}/book?chapter=8") == 402


def test_the_place_in_a_page(tab: Reading, shop: Shop, slug: str, wallet: Wallet) -> None:
    """Where a link leads to a place within a page, the reader gets there."""
    url = f"{shop.url}/articles/{slug}?page=2"
    tab.open(f"{url}#notes")
    wallet.pay(tab.pay_uri)
    tab.page.get_by_role("heading", name=BOUGHT).wait_for()
    assert tab.page.url == f"{url}#notes"
