"""The pages of the sandbox, and the wallet behind their buttons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from running import TLS

from .shop import HTML, REFUNDABLE, Shop, coin, fresh_nonce, fresh_url, pay_uri
from .traffic import refused


class Page(HTMLParser):
    """The parts of a page that the tests look at."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def form(self) -> dict[str, str]:
        return {str(one["name"]): str(one["value"]) for one in self.all("input")}

    @property
    def action(self) -> str:
        return str(self.all("form")[0]["action"])


@pytest.fixture
def browser(shop: Shop) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url, trust_env=False, verify=TLS, headers=HTML) as client:
        yield client


def open_order(shop: Shop, browser: httpx.Client, made: dict[str, Any], session_id: str = "one") -> Page:
    return Page(browser.get(shop.status(made["order_id"], session_id=session_id)["order_status_url"]))


def press(browser: httpx.Client, page: Page) -> httpx.Response:
    return browser.post(page.action, data=page.form)


def test_order_page(shop: Shop, browser: httpx.Client) -> None:
    """The page asks for money in every way there is, and loads nothing from elsewhere."""
    made = shop.order(summary="<b>Bold</b> & more", amount="KUDOS:0.5")
    page = open_order(shop, browser, made)
    uri = pay_uri(shop, made, "one")
    assert page.answer.status_code == 402
    assert page.answer.headers["taler"] == uri
    assert "default-src 'none'" in page.answer.headers["content-security-policy"]
    assert [one["href"] for one in page.all("a")] == [uri]
    assert len(page.all("svg")) == 1
    assert len(page.all("button")) == 1
    assert "play money" in page.answer.text
    assert "KUDOS:0.5" in page.answer.text
    assert "&lt;b&gt;Bold&lt;/b&gt; &amp; more" in page.answer.text
    assert [one["content"] for one in page.all("meta") if one.get("http-equiv") == "refresh"] == ["4"]
    assert any(one.get("name") == "viewport" for one in page.all("meta"))
    assert not re.search(r"https?://", page.answer.text.replace(uri, ""))
    for one in [*page.all("script"), *page.all("link")]:
        source = one.get("src") or one.get("href") or ""
        if not source.startswith("data:"):
            assert browser.get(source).status_code == 200


def test_the_button_pays_and_leads_to_the_article(shop: Shop, browser: httpx.Client) -> None:
    """One click pays with the browser's own wallet and goes to the fulfillment URL."""
    url = fresh_url()
    made = shop.order(fulfillment_url=url)
    page = open_order(shop, browser, made)
    answer = press(browser, page)
    assert (answer.status_code, answer.headers["location"]) == (303, url)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert shop.status(made["order_id"], session_id="one")["order_status"] == "paid"
    paid = open_order(shop, browser, made)
    assert paid.answer.status_code == 200
    assert [one["href"] for one in paid.all("a")] == [url]
    assert [one["content"] for one in paid.all("meta") if one.get("http-equiv")] == [f"2; url={url}"]
    # The page under the address from before the payment, as the refresh without JavaScript sees it.
    assert browser.get(str(page.answer.url)).status_code == 200


def test_the_button_proves_what_the_browser_has_bought(shop: Shop, browser: httpx.Client) -> None:
    """The wallet of the cookie remembers, also when the shop's session is a new one."""
    url = fresh_url()
    first, second = shop.order(fulfillment_url=url), shop.order(fulfillment_url=url)
    press(browser, open_order(shop, browser, first, "one"))
    answer = press(browser, open_order(shop, browser, second, "two"))
    assert (answer.status_code, answer.headers["location"]) == (303, url)
    assert shop.status(first["order_id"], session_id="two")["order_status"] == "paid"
    # Where a page shows the second order meanwhile, it leads on.
    page = browser.get(f"orders/{second['order_id']}", params={"token": second["token"], "session_id": "two"})
    assert (page.status_code, page.headers["location"]) == (302, url)


def test_the_button_on_an_order_of_another_wallet(shop: Shop, browser: httpx.Client) -> None:
    """What the wallet cannot do is said on a page."""
    made = shop.order()
    page = open_order(shop, browser, made)
    shop.claim(made, fresh_nonce())
    answer = press(browser, page)
    assert answer.status_code == 409
    assert "another wallet has claimed this order" in answer.text
    assert "play money" in answer.text


def test_the_button_without_a_fulfillment_url(shop: Shop, browser: httpx.Client) -> None:
    """An order with a message leads back to its own page, which shows the message."""
    made = shop.order(fulfillment_url=None, fulfillment_message="Thank you")
    answer = press(browser, open_order(shop, browser, made))
    assert answer.status_code == 303
    page = browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert "Thank you" in page.text


def test_the_button_behind_a_proxy_with_a_prefix(shop: Shop, browser: httpx.Client) -> None:
    """The form, the assets and the wallet follow the forwarded prefix."""
    forwarded = {"X-Forwarded-Host": "pay.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/money"}
    order = {"order": {"summary": "s", "amount": "KUDOS:1", "fulfillment_url": fresh_url()}}
    made = shop.http.post("private/orders", json=order, headers={**shop.owner, **forwarded}).json()
    page = Page(browser.get(f"orders/{made['order_id']}?token={made['token']}", headers=forwarded))
    assert page.action == "/money/sandbox/pay"
    answer = browser.post("sandbox/pay", data=page.form, headers=forwarded)
    assert (answer.status_code, answer.headers["location"]) == (303, order["order"]["fulfillment_url"])


def test_the_buttons_refuse_what_is_not_theirs(shop: Shop, browser: httpx.Client) -> None:
    """Forms of other sites, without credentials or for unknown orders get a page that says so."""
    made = shop.order()
    page = open_order(shop, browser, made)
    other_site = {"Sec-Fetch-Site": "cross-site"}
    assert browser.post("sandbox/pay", data=page.form, headers=other_site).status_code == 403
    assert browser.post("sandbox/pay", data={"order_id": made["order_id"]}).status_code == 403
    assert browser.post("sandbox/pay", data={"order_id": "none"}).status_code == 404
    assert browser.post("sandbox/pay", data={"instance": "none"}).status_code == 404
    assert browser.post("sandbox/pay", content=b"\xff%zz=&&;").status_code == 400
    refused(browser.get("sandbox/pay"), 405, 20)
    assert shop.status(made["order_id"])["order_status"] == "unpaid"


def test_refund_page(shop: Shop, browser: httpx.Client) -> None:
    """A pending refund can be collected by the wallet that paid, and the page says when it is done."""
    made = shop.order(body=REFUNDABLE, public_reorder_url="http://shop.example/again")
    press(browser, open_order(shop, browser, made))
    refund_uri = shop.refund(made["order_id"], "KUDOS:5").json()["taler_refund_uri"]
    page = open_order(shop, browser, made)
    assert page.answer.status_code == 200
    assert "KUDOS:5 of KUDOS:5 refunded" in page.answer.text
    assert [one["href"] for one in page.all("a")] == [refund_uri, "http://shop.example/again"]
    answer = press(browser, page)
    assert answer.status_code == 303
    done = Page(browser.get(answer.headers["location"]))
    assert done.answer.status_code == 200
    assert "has been collected" in done.answer.text
    assert not done.all("form")
    assert shop.status(made["order_id"])["refund_pending"] is False


def test_refund_button_of_another_wallet(shop: Shop, browser: httpx.Client) -> None:
    """A browser that did not pay cannot collect."""
    bought = shop.bought(body=REFUNDABLE)
    shop.refund(bought["order_id"], "KUDOS:5")
    page = Page(browser.get(f"orders/{bought['order_id']}", params={"h_contract": bought["h_contract"]}))
    answer = press(browser, page)
    assert answer.status_code == 409
    assert "did not pay" in answer.text


def test_no_link_runs_a_script(shop: Shop, browser: httpx.Client) -> None:
    """A fulfillment URL that is no web address is not linked."""
    made = shop.order(fulfillment_url="javascript:alert(1)", public_reorder_url="javascript:alert(2)", body=REFUNDABLE)
    shop.claim(made)
    shop.post(made["order_id"], "pay", {"coins": [coin()]})
    assert "javascript:" not in browser.get(f"orders/{made['order_id']}", params={"token": made["token"]}).text
    shop.refund(made["order_id"], "KUDOS:1")
    assert "javascript:" not in browser.get(f"orders/{made['order_id']}", params={"token": made["token"]}).text


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/*", True),
        ("text/html;q=0.5, application/json", False),
        ("application/json;q=0.5, text/html;q=0.6", True),
        ("text/html;q=x, */*", False),
        ("text/html;q=0", False),
    ],
)
def test_who_gets_a_page(shop: Shop, *, accept: str | None, html: bool) -> None:
    """A page is for those who prefer it to JSON."""
    made = shop.order(body={"create_token": False})
    headers = {"Accept": accept} if accept else {}
    answer = shop.public(made["order_id"], headers=headers)
    assert answer.status_code == 402
    assert answer.headers["content-type"].startswith("text/html" if html else "application/json")
