"""The archive: a preview for everybody, the paywall's own page below it, and a way to give it back."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from reader import PAGE, Reader
from running import ROOT, TLS, Sandbox, Site, Wallet
from tab import Tab

from .conftest import OpenTab

YEAR = "/archive/2024"
PREVIEW = "A bridge was closed"
STORY = "The clock goes right"
GIVE_BACK = "/.well-known/taler-paywall/refund?page=/archive"
#: Those of docs/payment-page.md, for scripts of the site's own.
SCRIPTS = re.findall(r"^```js\n(.*?)^```", (ROOT / "docs" / "payment-page.md").read_text(), re.M | re.S)


def test_everybody_may_look_inside(newspaper: Site, reader: Reader, sandbox: Sandbox) -> None:
    """Readers and crawlers are shown the preview and the price, and no story; only readers are made an order."""
    before = len(sandbox.orders())
    crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    seen = httpx.get(newspaper.url + YEAR, headers={"Accept": PAGE, "User-Agent": crawler}, trust_env=False, verify=TLS)
    assert len(sandbox.orders()) == before
    shown = reader.visit(YEAR)
    assert len(sandbox.orders()) == before + 1
    for answer in (seen, shown):
        assert answer.status_code == 200
        assert PREVIEW in answer.text
        assert STORY not in answer.text
        assert "2.00\N{NO-BREAK SPACE}KUDOS" in answer.text
        assert "noindex" not in answer.text
        [structured] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', answer.text)
        assert json.loads(structured)["isAccessibleForFree"] is False
    assert ("taler" in seen.headers, "taler" in shown.headers) == (False, True)


def test_programs_are_asked_as_ever(newspaper: Site) -> None:
    """A program gets no preview, but a problem with the price."""
    answer = httpx.get(newspaper.url + YEAR, headers={"Accept": "application/json"}, trust_env=False, verify=TLS)
    assert (answer.status_code, answer.json()["amount"]) == (402, "KUDOS:2")
    assert PREVIEW not in answer.text


def test_the_archive_opens_by_itself(open_tab: OpenTab, newspaper: Site, wallet: Wallet) -> None:
    """The page has the newspaper's name, logo and colours; paid from elsewhere, it goes on."""
    tab = open_tab(color_scheme="dark")
    tab.open(f"{newspaper.url}{YEAR}?ref=x")
    assert tab.page.get_by_text("The Ledger", exact=True).is_visible()
    assert tab.page.locator("header img").evaluate("picture => picture.naturalWidth > 0")
    button = tab.link("Open in your wallet")
    assert button.evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(229, 143, 115)"
    tab.picture_of("archive-preview")

    wallet.pay(button.get_attribute("href") or "")
    tab.page.get_by_text(STORY).wait_for()
    assert tab.last == (200, f"{newspaper.url}{YEAR}?ref=x")


def test_the_archive_is_given_back_and_bought_again(tab: Tab, newspaper: Site, wallet: Wallet) -> None:
    """Who has paid finds the way to give it back; afterwards the archive is closed, and can be bought again."""
    tab.open(f"{newspaper.url}/archive")
    assert tab.link("give it back").count() == 0
    wallet.pay(tab.link("Open in your wallet").get_attribute("href") or "")
    tab.link("give it back").click()
    assert tab.last == (200, newspaper.url + GIVE_BACK)
    tab.link("Keep it").click()
    tab.link("give it back").click()
    tab.button("Yes, give it back").click()
    tab.link("Collect the refund").wait_for()
    assert tab.last == (402, f"{newspaper.url}/archive")
    tab.picture_of("archive-given-back")
    tab.button("Buy again").click()
    wallet.pay(tab.link("Open in your wallet").get_attribute("href") or "")
    tab.link("give it back").wait_for()
    assert len(wallet.purchases()) == 2


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_of_the_site_buys(script: str, tab: Tab, newspaper: Site, wallet: Wallet) -> None:
    """What the documentation shows for scripts of the site tells its user how to pay, waits, and has the data."""
    tab.open(f"{newspaper.url}/")
    buy = "bought('/api/v1/headlines', (...offer) => { window.offer = offer; }).then(data => data.json())"
    tab.page.evaluate(f"() => {{ {script}; {buy}.then(headlines => {{ window.headlines = headlines; }}); }}")
    price, pay_uri = tab.page.wait_for_function("window.offer").json_value()
    assert price == "0.10\N{NO-BREAK SPACE}KUDOS"
    wallet.pay(pay_uri)
    assert len(tab.page.wait_for_function("window.headlines").json_value()) == 6
