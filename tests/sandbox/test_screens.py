"""The pages of the sandbox in a real Chromium, on the smallest phones, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from .shop import REFUNDABLE, Shop, coin, fresh_nonce

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WIDTH = 320
LONG = "An article with Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverordnung in its title"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium; it ends with the module because no other event loop can run beside it."""
    with sync_playwright() as started, started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser:
        yield browser


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def phone(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    size = ViewportSize(width=WIDTH, height=568)
    with chromium.new_context(viewport=size, is_mobile=True, java_script_enabled=request.param) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        yield page


def check_legible(page: Page) -> None:
    """Nothing is cut off, no text is small, buttons are as large as a finger, and it says that it is play money."""
    # Playwright's own way to evaluate works without JavaScript in the page too.
    measured = page.evaluate(
        """() => ({
            width: document.documentElement.scrollWidth,
            fonts: [...document.body.querySelectorAll("*:not([type=hidden])")].map(
                one => parseFloat(getComputedStyle(one).fontSize)
            ),
        })"""
    )
    assert measured["width"] <= WIDTH
    assert min(measured["fonts"]) >= 16
    for button in page.locator("button, .button").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= WIDTH
    assert page.get_by_text("play money").first.is_visible()


def status_url(shop: Shop, order_id: str) -> str:
    return str(shop.status(order_id, session_id="one")["order_status_url"])


def test_the_whole_way(shop: Shop, phone: Page) -> None:
    """Order page, paid page, refund page, collected: by clicks, each legible."""
    message = {"fulfillment_url": None, "fulfillment_message": "Thank you. " * 20}
    made = shop.order(summary=LONG, amount="KUDOS:123456789.12345678", body=REFUNDABLE, **message)
    phone.goto(status_url(shop, made["order_id"]))
    check_legible(phone)
    assert phone.locator("figure svg").is_visible()
    phone.get_by_role("button", name="Pay with play money").click()
    phone.get_by_text("Thank you.").wait_for()
    check_legible(phone)
    assert shop.refund(made["order_id"], "KUDOS:23456789.12345678").status_code == 200
    phone.reload()
    check_legible(phone)
    phone.get_by_role("button", name="Collect refund").click()
    phone.get_by_text("The refund has been collected.").wait_for()
    check_legible(phone)
    assert shop.status(made["order_id"])["refund_pending"] is False


def test_paid_elsewhere(shop: Shop, phone: Page) -> None:
    """The order page goes on by itself when another wallet has paid, and the paid page leads to the article."""
    url = f"{shop.url}sandbox/static/style.css"
    made = shop.order(fulfillment_url=url, summary=LONG)
    phone.goto(status_url(shop, made["order_id"]))
    claimed = shop.claim(made)
    assert claimed["contract_terms"]["fulfillment_url"] == url
    pay(shop, made["order_id"])
    phone.wait_for_url(url)
    phone.goto(status_url(shop, made["order_id"]))
    check_legible(phone)
    phone.wait_for_load_state()


def pay(shop: Shop, order_id: str) -> None:
    assert shop.post(order_id, "pay", {"coins": [coin()], "session_id": "one"}).status_code == 200


@pytest.mark.parametrize("reorder_url", [None, "http://127.0.0.1:9/again"])
def test_what_the_wallet_could_not_do(shop: Shop, phone: Page, reorder_url: str | None) -> None:
    """The page says why, and leads back to the shop, or to the order."""
    made = shop.order(summary=LONG, public_reorder_url=reorder_url)
    phone.goto(status_url(shop, made["order_id"]))
    shop.claim(made, fresh_nonce())
    phone.get_by_role("button").click()
    phone.get_by_text("another wallet has claimed this order").wait_for()
    check_legible(phone)
    back = phone.get_by_role("link", name="Go back")
    if reorder_url:
        assert back.get_attribute("href") == reorder_url
    else:
        back.click()
        phone.get_by_role("heading", name=LONG).wait_for()


def test_errors(shop: Shop, phone: Page) -> None:
    """An address that is not right gets a page that says so."""
    phone.goto(f"{shop.url}orders/{'nothing' * 20}")
    phone.get_by_text("there is no such order").wait_for()
    check_legible(phone)
