"""Where a page may lead to: to this very site, whatever a link or a form says (T51)."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import httpx
import pytest
from reader import Reader

from .conftest import Shop

OWN = "/.well-known/taler-paywall"
EVIL = [
    "//evil.example",
    "///evil.example",
    "////evil.example/page/x",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example",
    " //evil.example",
    "/ /evil.example",
    "/%09/evil.example",
    "/%2F/evil.example",
    "/%5Cevil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/page//evil.example",
    "/@evil.example",
    "@evil.example",
    ":80/",
    ".evil.example",
    "https://evil.example/page/x",
    "https:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//",
    "data:text/html,x",
    "vbscript:x",
    "page/x",
    "?page=/page/x",
    "#",
    "",
    "/nothing/x\x00",
    "/nothing/\u202eelpmaxe",
    "/\u2044evil.example",
    "x" * 5000,
]


@pytest.fixture
def order_id(reader: Reader, name: str) -> str:
    """Let the browser have an order, without which nothing leads anywhere."""
    shown = reader.http.get(f"/page/{name}", headers={"Accept": "application/json"})
    found: str = shown.json()["order_id"]
    return found


def leads_nowhere_else(answer: httpx.Response, shop: Shop) -> None:
    """Check that neither a header nor the page leads to another site."""
    assert answer.status_code in {303, 400, 402, 403, 404, 413, 414}
    location = answer.headers.get("location", shop.url)
    assert location.startswith((f"{shop.url}/", shop.url)), location
    assert urlsplit(location).netloc == urlsplit(shop.url).netloc
    assert not {"refresh", "set-cookie"} & set(answer.headers)
    for attribute in ('href="', 'action="', "url="):
        for part in answer.text.split(attribute)[1:]:
            assert part.startswith(("/", "https://taler.net/", "https://wallet.taler.net/"))
            assert not part.startswith(("//", "/\\", "/\t"))


@pytest.mark.parametrize("page", EVIL)
def test_no_link_leads_elsewhere(shop: Shop, reader: Reader, order_id: str, page: str) -> None:
    """Neither the way on nor the question about a refund leads to another site, whoever has made the link."""
    for path in (f"{OWN}/continue?order_id={order_id}&page=", f"{OWN}/refund?page="):
        leads_nowhere_else(reader.visit(path + quote(page, safe="")), shop)
        raw = page.encode("ascii", "ignore").translate(None, b"\x00\t\r\n #")
        target = path.encode() + raw.replace(b'"', b"")
        leads_nowhere_else(reader.http.get("/", extensions={"target": target}), shop)


@pytest.mark.parametrize("page", EVIL)
def test_no_form_leads_elsewhere(shop: Shop, reader: Reader, order_id: str, page: str) -> None:
    """Neither "buy" nor "give it back" leads to another site, and neither makes an order for what is not sold."""
    before = len(shop.sandbox.orders())
    for action in ("reorder", "refund"):
        leads_nowhere_else(reader.press(f"{OWN}/{action}", {"page": page, "method": "GET"}), shop)
        leads_nowhere_else(reader.http.post(f"{OWN}/{action}", json={"page": page}, headers={"Origin": shop.url}), shop)
    assert len(shop.sandbox.orders()) == before


@pytest.mark.parametrize(
    "query", ["page=/page/{0}&page=//evil.example", "page=//evil.example&page=/page/{0}", "", "PAGE=/"]
)
def test_one_page_is_named_once(shop: Shop, reader: Reader, order_id: str, query: str, name: str) -> None:
    """A page that is named twice, or not at all, is none."""
    answer = reader.visit(f"{OWN}/continue?order_id={order_id}&{query.format(name)}")
    assert (answer.status_code, "location" in answer.headers) == (400, False)


@pytest.mark.parametrize("target", ["", "/a%20b", "?x=//evil.example", "/a?b=c&page=//evil.example#//evil.example"])
def test_the_way_on(shop: Shop, reader: Reader, order_id: str, target: str, name: str) -> None:
    """Who has the order's cookie is led to the very page; who has not is told once that cookies are needed."""
    page = f"/page/{name}{target}"
    path = f"{OWN}/continue?order_id={order_id}&page={quote(page, safe='')}"
    led = reader.visit(path)
    assert (led.status_code, led.headers["location"]) == (303, shop.url + page.partition("#")[0])
    orders = len(shop.orders(name))
    reader.drop()
    told = reader.visit(path)
    assert (told.status_code, "Cookies are needed" in told.text) == (402, True)
    assert not {"location", "set-cookie", "taler"} & set(told.headers)
    assert "http-equiv" not in told.text
    assert len(shop.orders(name)) == orders
