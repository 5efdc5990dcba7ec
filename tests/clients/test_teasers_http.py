"""Previews for who has not paid, as each kind of client gets them."""

from __future__ import annotations

import json

import pytest
from reader import Reader
from running import eventually

from taler_paywall.testing.wallet import TalerWallet

from .conftest import Shop
from .facts_of import FORMS, Page
from .headers import CRAWLERS, PEOPLE, PREVIEWS, SCRIPTS, Client
from .site import SECRET

SHOWN = {
    "markup": "<p>Eleven <em>hives</em> hum.</p>",
    "text": "&lt;script&gt;alert(1)&lt;/script&gt; hum",
    "empty": "",
}


@pytest.mark.parametrize("client", [*CRAWLERS, *PREVIEWS], ids=str)
def test_robots_get_the_preview(shop: Shop, client: Client, name: str) -> None:
    """A crawler, and who previews a link, gets it as a page to be indexed: no order, cookie or pay URI."""
    for path in (f"/teased/markup-{name}", f"/preview/{name}"):
        answer = shop.ask(client, path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert not {"set-cookie", "taler", "location"} & set(answer.headers)
        page = Page(answer.text)
        assert page.find("meta", name="robots") == []
        [structured] = page.text("script", type="application/ld+json")
        said = json.loads(structured)
        assert (said["isAccessibleForFree"], said["hasPart"]["cssSelector"]) == (False, ".taler-paywall")
        assert (said["url"], said["offers"]["price"]) == (f"{shop.url}{path}", "0.5")
        assert page.find("div", **{"class": "taler-paywall"})
        assert "hives" in answer.text
        assert SECRET not in answer.content
    assert shop.orders(name) == []


@pytest.mark.parametrize("client", PEOPLE, ids=str)
def test_people_get_the_preview_with_the_way_to_pay(shop: Shop, client: Client, name: str) -> None:
    """A person gets the preview, with an order of theirs to pay."""
    answer = shop.ask(client, f"/teased/markup-{name}")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (SHOWN["markup"] in answer.text, SECRET in answer.content) == (True, False)
    assert [attrs["href"] for attrs in Page(answer.text).find("a")].count(answer.headers["taler"]) == 1
    assert len(shop.orders(name)) == 1


@pytest.mark.parametrize("kind", SHOWN)
def test_what_is_no_markup_is_text(shop: Shop, reader: Reader, kind: str, name: str) -> None:
    """Text is escaped, whatever is in it; only what says that it is HTML is HTML."""
    answer = reader.visit(f"/teased/{kind}-{name}")
    assert (answer.status_code, SHOWN[kind] in answer.text) == (200, True)
    scripts = [attrs.get("src", attrs.get("type", "")) for attrs in Page(answer.text).find("script")]
    assert len(scripts) == 2
    assert "/.well-known/taler-paywall/static/page.js?v=" in scripts[0] + scripts[1]


def test_nothing_to_show(shop: Shop, reader: Reader, name: str) -> None:
    """Where the callable has none, it is the ordinary page: 402, not to be indexed."""
    answer = reader.visit(f"/teased/none-{name}")
    assert (answer.status_code, bool(answer.headers["taler"])) == (402, True)
    page = Page(answer.text)
    assert [attrs["content"] for attrs in page.find("meta", name="robots")] == ["noindex"]
    assert page.find("script", type="application/ld+json") == []
    assert len(shop.orders(name)) == 1


def test_a_broken_preview_is_none(shop: Shop, reader: Reader, name: str) -> None:
    """With a callable that raises there is the way to pay, and nothing is given away; the log has its traceback."""
    answer = reader.visit(f"/teased/raises-{name}")
    assert (answer.status_code, "noindex" in answer.text, SECRET in answer.content) == (402, True, False)
    assert "KUDOS" in answer.text
    eventually(lambda: "RuntimeError: raises" in shop.process.output, "the traceback is logged")


@pytest.mark.parametrize("client", SCRIPTS, ids=str)
def test_scripts_get_none(shop: Shop, client: Client, name: str) -> None:
    """A script is told in JSON that it has to be paid."""
    answer = shop.ask(client, f"/teased/markup-{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (402, "application/problem+json")
    assert "hives" not in answer.text


@pytest.mark.parametrize("form", [form for form in FORMS if form != "html"])
def test_other_forms_have_none(shop: Shop, form: str, name: str) -> None:
    """Who prefers another form than a page gets that form, with 402."""
    answer = shop.get(f"/teased/markup-{name}", {"Accept": FORMS[form].accept})
    assert (answer.status_code, answer.headers["content-type"]) == (402, FORMS[form].media_type)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_changes_things_gets_none(shop: Shop, method: str, name: str) -> None:
    """POST, PUT, PATCH and DELETE are answered 402, and told that their body was not kept."""
    answer = shop.get(f"/teased/markup-{name}", {"Accept": "text/html"}, method)
    assert (answer.status_code, "was not kept" in answer.text, "hives" in answer.text) == (402, True, False)


def test_who_has_paid_gets_the_page(shop: Shop, reader: Reader, purse: TalerWallet, name: str) -> None:
    """Once it is paid the preview gives way to the page itself."""
    purse.pay(reader.visit(f"/teased/markup-{name}").headers["taler"])
    assert reader.visit(f"/teased/markup-{name}").content == SECRET
