"""What sites make of the page: previews, pages for robots, and a look of their own."""

from __future__ import annotations

import json
from typing import Final, Literal

import pytest
from running import Wallet

from .conftest import FOOTER, OpenTab
from .counter import Counter, Shop
from .reading import PAY, Reading
from .site import ACCENTS, LOGO, PREVIEW
from .test_page_paying import NOTICED

SCHEMES: Final[list[tuple[Literal["light", "dark"], str]]] = [("light", "accent"), ("dark", "dark_accent")]
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def test_a_preview(tab: Reading, shop: Shop, slug: str, wallet: Wallet) -> None:
    """Readers see the beginning and the way to pay, search engines that it is one, and paying opens the rest."""
    url = f"{shop.url}/teased/{slug}"
    assert tab.open(url) == 200
    assert PREVIEW in tab.text
    assert tab.page.locator('meta[name="robots"]').count() == 0
    structured = json.loads(tab.page.locator('script[type="application/ld+json"]').inner_text())
    assert structured["isAccessibleForFree"] is False
    assert tab.page.locator(structured["hasPart"]["cssSelector"]).count() == 1
    tab.look("teased")
    wallet.pay(tab.pay_uri)
    tab.read(url, NOTICED)


@pytest.mark.parametrize(("place", "status"), [("teased", 200), ("articles", 402)])
def test_mistaken_for_a_robot(place: str, status: int, open_tab: OpenTab, counter: Counter, slug: str) -> None:
    """Robots get no order and no cookie; a reader who is mistaken for one presses a button, and pays."""
    tab = open_tab(user_agent=ROBOT)
    url = f"{tab.site}/{place}/{slug}"
    assert tab.open(url) == status
    assert counter.orders_for(slug) == []
    assert tab.context.cookies() == []
    tab.look(f"robot-{place}")
    tab.button("Pay").click()
    tab.link(PAY).click()
    tab.button(PAY).click()
    tab.read(url)


@pytest.mark.parametrize("shop", ["dressed"], indirect=True)
def test_a_look_of_its_own(tab: Reading, shop: Shop, slug: str, wallet: Wallet) -> None:
    """Name, logo, colours and a block of the template are the site's."""
    url = f"{shop.url}/articles/{slug}"
    tab.open(url)
    assert "The Sample" in tab.page.locator("header").inner_text()
    assert "The Sample" in tab.page.title()
    assert tab.page.locator("footer").inner_text() == FOOTER
    logo = tab.page.locator(f'img[src="{LOGO}"]')
    assert logo.evaluate("(picture) => picture.complete && picture.naturalWidth > 0")
    for scheme, accent in SCHEMES:
        tab.page.emulate_media(color_scheme=scheme)
        colour = tab.link(PAY).evaluate("(link) => getComputedStyle(link).backgroundColor")
        assert colour == f"rgb{tuple(bytes.fromhex(ACCENTS[accent][1:]))}"
    tab.look("dressed")
    wallet.pay(tab.pay_uri)
    tab.read(url, NOTICED)
