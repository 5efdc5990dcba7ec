"""Refunded, bought again, read again; the site asks the backend again after a moment here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from reader import PAGE, Reader, order_of
from running import TLS, Sandbox, Site, Wallet, eventually

from .test_newspaper_walk import CONTENT, ONE, bought

REORDER = "/.well-known/taler-paywall/reorder"


@pytest.fixture
def reader(quick: Site) -> Iterator[Reader]:
    """Open a browser at the site that asks again after a moment."""
    with Reader(quick.url) as opened:
        yield opened


def refused(reader: Reader, page: str = ONE) -> httpx.Response:
    """Wait until the cached payment has expired."""
    eventually(lambda: reader.picture(f"{ONE}/picture.svg").status_code == 402, "the refund takes effect", 20)
    answer = reader.visit(page)
    assert answer.status_code == 402
    assert "location" not in answer.headers
    assert "efunded" in answer.text
    assert CONTENT in answer.text
    assert 'src="/articles' not in answer.text
    return answer


def test_refunded_bought_again_read_again(reader: Reader, wallet: Wallet, sandbox: Sandbox, quick: Site) -> None:
    """A refund closes the article; the page leads to the refund and to a new order, which is paid and not proved."""
    first = bought(reader, wallet)
    assert sandbox.refund(first, "KUDOS:0.2").startswith("taler+http://refund/")
    page = refused(reader, f"{ONE}?ref=x")
    assert "Collect the refund" in page.text
    assert f'href="{sandbox.url}orders/{first}' in page.text
    before = len(sandbox.orders())
    assert refused(reader).status_code == 402
    assert len(sandbox.orders()) == before

    again = reader.buy_again(f"{ONE}?ref=x")
    assert again.status_code == 303, again.text
    status_url = again.headers["location"]
    second = order_of(status_url)
    assert second != first
    assert len(sandbox.orders()) == before + 1
    said = wallet.pay(status_url)
    assert said.startswith("paid:"), "the wallet knows the refunded purchase by its fulfillment URL"
    arrived = reader.come_back(said.split()[-1])
    assert (arrived.status_code, arrived.headers["location"]) == (303, f"{quick.url}{ONE}?ref=x")
    assert reader.visit(f"{ONE}?ref=x").status_code == 200
    assert reader.visit(ONE).status_code == 200
    assert wallet.purchases() == [first, second]


def test_a_program_is_told_of_the_refund(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """Who prefers JSON gets a problem of type refunded, and where to collect."""
    first = bought(reader, wallet)
    sandbox.refund(first, "KUDOS:0.5")
    refused(reader)
    answer = reader.http.get(ONE, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (402, "application/problem+json")
    assert answer.json()["type"].endswith("refunded")
    assert answer.json()["order_status_url"].startswith(sandbox.url)
    text = reader.http.get(ONE, headers={"Accept": "*/*"})
    assert text.status_code == 402
    assert "efunded" in text.text


def test_after_the_refund_was_collected(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """Once the wallet has collected the refund the page no longer offers that, but still to buy again."""
    first = bought(reader, wallet)
    sandbox.refund(first, "KUDOS:0.5")
    refused(reader)
    collect(sandbox, first)
    page = refused(reader)
    assert "Collect the refund" not in page.text
    assert "Buy again" in page.text


def collect(sandbox: Sandbox, order_id: str) -> None:
    """Collect as a wallet does."""
    status = httpx.get(
        f"{sandbox.url}private/orders/{order_id}",
        headers={"Authorization": "Bearer secret-token:sandbox"},
        trust_env=False,
        verify=TLS,
    ).json()
    h_contract = status["order_status_url"].partition("h_contract=")[2].partition("&")[0]
    answer = httpx.post(
        f"{sandbox.url}orders/{order_id}/refund", json={"h_contract": h_contract}, trust_env=False, verify=TLS
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "", "Sec-Fetch-Site": ""},
        {"Origin": "", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": ""},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_foreign_forms_are_refused(changed: dict[str, str], reader: Reader, sandbox: Sandbox) -> None:
    """Only the site's own forms buy: neither same-origin header, or a foreign one, gets 403 and makes no order."""
    before = len(sandbox.orders())
    answer = reader.press(REORDER, {"page": ONE}, **changed)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert len(sandbox.orders()) == before


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"page": "//evil.example/"}, 400),
        ({"page": "https://evil.example/"}, 400),
        ({"page": "/\\evil.example"}, 404),
        ({"page": "/"}, 404),
        ({"page": "/articles/no-such-article"}, 404),
        ({"page": "/articles/night-train%2f..%2fprice-of-bread"}, 400),
        ({"page": "/" + "x" * 5000}, 413),
    ],
)
def test_forms_buy_only_what_is_for_sale(fields: dict[str, str], status: int, reader: Reader, sandbox: Sandbox) -> None:
    """A form that names nothing for sale is refused and leads nowhere."""
    before = len(sandbox.orders())
    answer = reader.press(REORDER, fields)
    assert answer.status_code == status
    assert "location" not in answer.headers
    assert len(sandbox.orders()) == before


@pytest.mark.parametrize(
    "changed",
    [
        {"Sec-Fetch-Site": ""},
        {"Origin": ""},
        {"Origin": "null"},
    ],
    ids=["an old browser", "no origin", "an origin hidden by the referrer policy"],
)
def test_own_forms_are_taken(changed: dict[str, str], reader: Reader) -> None:
    """The site's own origin is enough, and so is Sec-Fetch-Site: same-origin (design, section 7)."""
    assert reader.press(REORDER, {"page": ONE}, **changed).status_code == 303


def test_the_form_buys_for_a_stranger_too(reader: Reader, wallet: Wallet, quick: Site) -> None:
    """Without JavaScript and without an order the form makes one, with its cookies."""
    answer = reader.buy_again(ONE)
    assert answer.status_code == 303
    assert reader.cookies("_order_")
    wallet.pay(answer.headers["location"])
    assert reader.come_back(ONE).status_code == 200


def test_the_form_leads_the_buyer_to_what_is_paid(reader: Reader, wallet: Wallet, quick: Site) -> None:
    """Who presses the button although the article is paid is led to the article."""
    bought(reader, wallet)
    answer = reader.buy_again(f"{ONE}?ref=x")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{quick.url}{ONE}?ref=x")
    assert reader.visit(ONE).status_code == 200


def test_two_refunds_in_a_row(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """Refunded twice, bought three times: every time the wallet pays, every time the article opens."""
    order = bought(reader, wallet)
    orders = [order]
    for _ in range(2):
        sandbox.refund(order, "KUDOS:0.5")
        refused(reader)
        again = reader.buy_again(ONE)
        assert again.status_code == 303
        order = order_of(again.headers["location"])
        orders.append(order)
        said = wallet.pay(again.headers["location"])
        assert said.startswith("paid:")
        arrived = reader.come_back(said.split()[-1])
        if arrived.status_code == 303:
            arrived = reader.visit(arrived.headers["location"])
        assert arrived.status_code == 200
    assert wallet.purchases() == orders


def test_pressed_twice(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """The button pressed twice leads to the same new order; the refunded page is gone once it is paid."""
    first = bought(reader, wallet)
    sandbox.refund(first, "KUDOS:0.5")
    refused(reader)
    once, twice = reader.buy_again(ONE), reader.buy_again(ONE)
    assert order_of(once.headers["location"]) == order_of(twice.headers["location"])
    assert reader.visit(ONE).status_code == 302
    said = wallet.pay(once.headers["location"])
    assert said.startswith("paid:")
    reader.come_back(said.split()[-1])
    assert reader.visit(ONE).status_code == 200


def test_refunded_in_one_of_two_tabs(
    reader: Reader, quick: Site, readers: Callable[..., Reader], wallet: Wallet, sandbox: Sandbox
) -> None:
    """Opened in two tabs, paid in one, refunded: it can be bought again, and whoever pays reads."""
    other = readers(quick)
    asked = [tab.visit(ONE) for tab in (reader, other)]
    for name, value in other.cookies().items():
        reader.http.cookies.set(name, value, domain="127.0.0.1", path="/")
    assert wallet.pay(asked[0].headers["location"]).startswith("paid:")
    assert reader.come_back(ONE).status_code == 200
    sandbox.refund(order_of(asked[0].headers["location"]), "KUDOS:0.5")
    eventually(lambda: reader.picture(f"{ONE}/picture.svg").status_code == 402, "the refund takes effect", 20)
    for _ in range(4):
        # A reader who does what the pages say: pays where the site leads to, else presses the button.
        answer = reader.visit(ONE)
        if answer.status_code == 402:
            answer = reader.buy_again(ONE)
        if answer.status_code == 200:
            break
        said = wallet.pay(answer.headers["location"])
        arrived = reader.come_back(said.split()[-1])
        if arrived.status_code == 303:
            reader.visit(arrived.headers["location"])
    assert reader.visit(ONE).status_code == 200
    assert len(wallet.purchases()) == 2


def until_it_opens(reader: Reader, wallet: Wallet) -> list[str]:
    """Do what a reader does who wants the article: pay where asked, buy again where told; return the wallet's words."""
    said: list[str] = []
    for _ in range(4):
        answer = reader.visit(ONE)
        if answer.status_code == 402:
            assert "location" not in answer.headers
            answer = reader.buy_again(ONE)
        if answer.status_code == 200:
            break
        assert answer.status_code in {302, 303}
        said.append(wallet.pay(answer.headers["location"]))
        arrived = reader.come_back(said[-1].split()[-1])
        if arrived.status_code == 303:
            reader.visit(arrived.headers["location"])
    assert reader.visit(ONE, site="same-origin").status_code == 200
    return said


def test_refunded_and_cookies_deleted(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """A reader without cookies whose wallet proves a refunded purchase can buy again."""
    first = bought(reader, wallet)
    sandbox.refund(first, "KUDOS:0.5")
    reader.drop()
    until_it_opens(reader, wallet)
    assert len(wallet.purchases()) == 2


def test_bought_again_and_cookies_deleted(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """What was bought after a refund is proved in another browser, and not paid a third time."""
    first = bought(reader, wallet)
    sandbox.refund(first, "KUDOS:0.5")
    refused(reader)
    assert wallet.pay(reader.buy_again(ONE).headers["location"]).startswith("paid:")
    assert reader.visit(ONE).status_code == 200
    reader.drop()
    assert not any(words.startswith("paid:") for words in until_it_opens(reader, wallet))
    assert len(wallet.purchases()) == 2


def test_the_refunded_page_is_private(reader: Reader, wallet: Wallet, sandbox: Sandbox) -> None:
    """The page is not stored anywhere and runs no script of anybody."""
    first = bought(reader, wallet)
    sandbox.refund(first, "KUDOS:0.5")
    page = refused(reader)
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "set-cookie" not in page.headers
    assert reader.http.head(ONE, headers={"Accept": PAGE}).content == b""
