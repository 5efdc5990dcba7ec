"""Using the page: without a mouse, on a phone, in German, copying the code, while time runs out."""

from __future__ import annotations

import gzip

from running import Wallet

from .conftest import OpenTab
from .counter import PAY_DELAY, Counter, Shop
from .reading import Reading
from .test_page_paying import NOTICED

#: Bytes that the page, its style sheet and its script may take together, compressed.
WEIGHT = 15 * 1024
#: Seconds that are left of an offer that ends while its page waits; the page looks at the clock every ten seconds.
LEFT, LOOKED = 8, 3 * 10
#: Tells what has the keyboard's focus, and whether that can be seen.
FOCUS = """() => { const on = document.activeElement, style = getComputedStyle(on);
return [on.tagName, on.getAttribute('href') || on.id || on.textContent.trim(),
on.matches(':focus-visible') && style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2]; }"""


def test_with_the_keyboard(tab: Reading, shop: Shop, counter: Counter, slug: str) -> None:
    """Tab comes by the ways to pay, the code, its button and the explanations; Enter uses them, and focus is seen."""
    tab.open(f"{shop.url}/articles/{slug}")
    uri, status_url = tab.pay_uri, f"{counter.url}orders/{tab.order_id}"
    seen: dict[str, bool] = {}
    for _ in range(9):
        tab.page.keyboard.press("Tab")
        kind, what, visible = tab.page.evaluate(FOCUS)
        name = f"{kind} {what}".partition("?")[0]
        if kind == "BODY" or name in seen:
            break
        seen[name] = visible
        if kind == "SUMMARY":
            tab.page.keyboard.press("Enter")
            tab.picture_of("page-focus")
    assert list(seen)[:4] == [f"A {status_url}", f"A {uri.partition('?')[0]}", "INPUT pay-uri", "BUTTON Copy"]
    assert [name for name, visible in seen.items() if not visible] == []
    assert sum(name.startswith("SUMMARY") for name in seen) == tab.page.locator("details[open]").count() > 0
    tab.page.get_by_role("link", name="Pay with play money").focus()
    tab.page.keyboard.press("Enter")
    tab.wait_for(f"{status_url}*")


def test_the_code_is_copied(tab: Reading, shop: Shop, slug: str) -> None:
    """The button copies the URI for wallets to the letter, says so, and the keyboard goes on from there."""
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.open(f"{shop.url}/articles/{slug}")
    tab.button("Copy").press("Enter")
    tab.page.get_by_text("Copied.", exact=True).wait_for()
    assert tab.page.evaluate("navigator.clipboard.readText()") == tab.pay_uri
    tab.picture_of("page-copied")
    tab.page.keyboard.press("Tab")
    assert tab.page.get_by_role("link", name="Paid? Go on").evaluate("link => link === document.activeElement")


def test_a_german_phone_at_night(open_tab: OpenTab, shop: Shop, slug: str, wallet: Wallet) -> None:
    """German texts, the price as Germans write it, dark colours, nothing wider than the phone."""
    tab = open_tab(
        locale="de-DE",
        color_scheme="dark",
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
    )
    url = f"{shop.url}/articles/{slug}?page=2"
    assert tab.open(url) == 402
    assert (tab.page.locator("html").get_attribute("lang") or "").startswith("de")
    assert "0,50\N{NO-BREAK SPACE}KUDOS" in tab.text
    assert "23 Stunden" in tab.text
    assert {"Payment required", "Copy"}.isdisjoint(tab.text.splitlines())
    red, green, blue = tab.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(red, green, blue) < 0x40
    tab.picture_of("page-german-phone")
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.page.locator("summary").first.tap()
    tab.picture_of("page-german-phone-help")
    tab.look("german")
    wallet.pay(tab.pay_uri)
    tab.read(url, NOTICED)


def test_weight(tab: Reading, shop: Shop, slug: str) -> None:
    """Three requests make the page, and they are light."""
    tab.open(f"{shop.url}/articles/{slug}")
    with tab.page.expect_request("**/poll-payment*"):
        pass
    parts = [request for request in tab.loaded if request.resource_type != "fetch"]
    assert [part.resource_type for part in parts] == ["document", "stylesheet", "script"]
    answers = [part.response() for part in parts]
    sizes = [len(gzip.compress(answer.body())) for answer in answers if answer]
    print(f"document, style sheet and script, compressed: {sizes}, {sum(sizes)} bytes in all")
    assert 0 < sum(sizes) < WEIGHT


def test_the_offer_ends(tab: Reading, shop: Shop, counter: Counter, slug: str, wallet: Wallet) -> None:
    """A page that waits for an offer whose time runs out gets another one by itself, which can be paid."""
    url = f"{shop.url}/articles/{slug}?page=2"
    with counter.clock(LEFT - PAY_DELAY):
        assert tab.open(url) == 402
    first = tab.order_id
    assert "seconds" in tab.page.locator("time").inner_text()
    tab.picture_of("page-offer-ends")
    tab.page.locator(f'main[data-poll]:not([data-poll*="{first}"])').wait_for(timeout=LOOKED * 1000)
    assert (tab.page.url, tab.page.locator("time").inner_text()) == (url, "23 hours")
    assert [order.order_id for order in counter.orders_for(slug)] == [first, tab.order_id]
    wallet.pay(tab.pay_uri)
    tab.read(url, NOTICED)
