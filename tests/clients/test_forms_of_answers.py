"""One decision, in the form that the client asks for (design, section 8)."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import httpx
import pytest

from .conftest import Shop
from .facts_of import FORMS, Page, Said
from .site import SUMMARIES
from .test_who_orders import cookies_of

VARY = "Accept, Accept-Language, Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest, HX-Request, X-Requested-With, Origin"
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
every_form = pytest.mark.parametrize("form", FORMS)


def first(shop: Shop, path: str) -> dict[str, str]:
    """Return the cookies of a client that has an order already."""
    return {"Cookie": cookies_of(shop.get(path, {"Accept": "application/json"}))}


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "text"),
        ("", "text"),
        ("*/*", "text"),
        ("*", "text"),
        ("text/*", "text"),
        ("text/html", "html"),
        ("application/xhtml+xml", "html"),
        ("text/html;q=0.1, application/json", "json"),
        ("text/html;q=0.1, text/plain;q=0.2", "text"),
        ("text/html, */*;q=0.1", "html"),
        ("text/html;level=1;q=0.3, application/json;q=0.2", "html"),
        ("text/html;q=0, application/json;q=0.001", "json"),
        ("TEXT/HTML", "html"),
        ("application/problem+json", "json"),
        ("application/json;q=0.5, text/plain;q=0.5", "text"),
        ("application/rss+xml", "rss"),
        ("application/rss+xml, application/atom+xml;q=0.9", "rss"),
        ("application/atom+xml", "atom"),
        ("application/atom+xml, application/rss+xml;q=0.9, */*;q=0.1", "atom"),
        ("application/xml", "rss"),
        ("application/*", "json"),
        ("image/png", "text"),
        (";;;,,q=1", "text"),
        ("text/html;q=banana", "text"),
        ("text/html;q=nan, application/json;q=0.1", "json"),
        ("text/html;q=inf, application/json", "html"),
        ("text/html;q", "text"),
        ("a/" * 3000, "text"),
        ("text/html\t;\tq=0.5,application/json;q=0.4", "html"),
        ("text/html;q=0.5;q=0.1, application/json;q=0.4", "html"),
    ],
)
def test_what_is_accepted_decides(shop: Shop, accept: str | None, form: str, name: str) -> None:
    """The best quality counts, malformed lists do no harm, and who prefers nothing gets a few lines of text."""
    answer = shop.get(f"/page/{name}", {} if accept is None else {"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (402, FORMS[form].media_type)


@pytest.mark.parametrize("kind", ["plain", "markup", "emoji"])
@pytest.mark.parametrize(("language", "price"), [("en", "0.50 KUDOS"), ("de", "0,50 KUDOS"), ("fr", "0,50 KUDOS")])
def test_every_form_says_the_same(shop: Shop, kind: str, language: str, price: str, name: str) -> None:
    """The same order, price and texts in HTML, JSON, text, RSS and Atom, in the reader's language."""
    path = f"/summary/{kind}-{name}"
    cookie = first(shop, path)
    said: dict[str, Said] = {}
    for form, how in FORMS.items():
        answer = shop.get(path, cookie | {"Accept": how.accept, "Accept-Language": language})
        assert (answer.status_code, answer.headers["content-language"]) == (402, language)
        said[form] = how.read(answer)
        assert answer.headers["taler"] == said[form].taler_pay_uri
    assert len(set(said.values())) == 1, said
    one = said["json"]
    [order] = shop.orders(name)
    assert (one.order_id, one.amount, one.summary) == (order.order_id, "KUDOS:0.5", SUMMARIES[kind])
    assert one.price.replace("\xa0", " ") == price
    assert one.taler_pay_uri.startswith(f"taler+http://pay/127.0.0.1:{shop.sandbox.port}/{order.order_id}/")
    assert one.order_status_url.startswith(f"{shop.sandbox.url}orders/{order.order_id}?")


@every_form
@pytest.mark.parametrize("language", ["de", "fr"])
def test_every_form_is_translated(shop: Shop, form: str, language: str, name: str) -> None:
    """Title and explanation are not the English ones, and the form says itself which language it speaks."""
    cookie, accept = first(shop, f"/page/{name}"), FORMS[form].accept
    english, other = (
        shop.get(f"/page/{name}", cookie | {"Accept": accept, "Accept-Language": wanted})
        for wanted in ("en", f"{language}-CH, en;q=0.1")
    )
    read = FORMS[form].read
    assert not {read(english).title, read(english).detail} & {read(other).title, read(other).detail}
    assert other.headers["content-language"] == language
    inside = {"html": f'<html lang="{language}"', "rss": f"<language>{language}<", "atom": f'xml:lang="{language}"'}
    assert inside.get(form, "") in other.text


@every_form
@pytest.mark.parametrize("ordered", [True, False])
def test_what_every_answer_carries(shop: Shop, form: str, ordered: bool, name: str) -> None:  # noqa: FBT001
    """No cache keeps it, it tells what it depends on, and all headers together stay below 8 KiB (T43, T44)."""
    asked = {"Accept": FORMS[form].accept} | ({} if ordered else {"Sec-Purpose": "prefetch"})
    answer = shop.get(f"/summary/long-{name}", asked)
    assert answer.status_code == 402
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", VARY)
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "same-origin")
    assert sum(len(name) + len(value) + 4 for name, value in answer.headers.raw) < 8192
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert ("set-cookie" in answer.headers, "taler" in answer.headers) == (ordered, ordered)


@every_form
def test_a_head_has_the_headers_of_its_form(shop: Shop, form: str, name: str) -> None:
    """HEAD is answered with the form's media type and length, and without its body."""
    answer = shop.get(f"/page/{name}", {"Accept": FORMS[form].accept}, "HEAD")
    assert (answer.status_code, answer.headers["content-type"]) == (402, FORMS[form].media_type)
    assert (int(answer.headers["content-length"]) > 0, answer.content) == (True, b"")


def test_problem_details_are_stable(shop: Shop, name: str) -> None:
    """Exactly the documented members, without an order those of what is sold alone (RFC 9457)."""
    whole = shop.get(f"/page/{name}", {"Accept": "application/json"}).json()
    bare = shop.get(f"/page/{name}", {"Accept": "application/json", "Sec-Purpose": "prefetch"}).json()
    sold = ["type", "title", "status", "detail", "summary", "amount", "price"]
    order = ["order_id", "taler_pay_uri", "order_status_url", "poll_url", "pay_deadline"]
    assert (list(whole), list(bare)) == ([*sold, *order], sold)
    assert (whole["type"], whole["status"]) == (bare["type"], bare["status"]) == ("urn:taler-paywall:unpaid", 402)
    asked = f"order_id={whole['order_id']}&page=%2Fpage%2F{name}"
    assert whole["poll_url"] == f"{shop.url}/.well-known/taler-paywall/poll-payment?{asked}"
    assert list(whole["pay_deadline"]) == ["t_s"]


@pytest.mark.parametrize("way", ["redirect", "page"])
@pytest.mark.parametrize("accept", ["text/html", "*/*", "text/html, */*;q=0.1"])
def test_scripts_get_json_for_pages(shop: Shop, way: str, accept: str, name: str) -> None:
    """A fetch and htmx get JSON whatever they accept; htmx is told where to take its user (T46)."""
    plain = shop.get(f"/{way}/{name}/a?b=1", SCRIPT | {"Accept": accept})
    htmx = shop.get(f"/{way}/{name}/a?b=1", SCRIPT | {"Accept": accept, "HX-Request": "true"})
    boosted = shop.get(f"/{way}/{name}/a?b=1", {"Accept": accept, "HX-Request": "true", "HX-Boosted": "true"})
    for answer in (plain, htmx, boosted):
        assert (answer.status_code, answer.headers["content-type"]) == (402, "application/problem+json")
    goes = [answer.headers.get("hx-redirect") for answer in (plain, htmx, boosted)]
    assert goes == [None, f"{shop.url}/{way}/{name}", f"/{way}/{name}/a?b=1"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@every_form
def test_what_was_sent_is_not_kept(shop: Shop, method: str, form: str, name: str) -> None:
    """Every form says so, once; it is 402 and leads nowhere by itself, htmx included (T47)."""
    asked = {"Accept": FORMS[form].accept, "HX-Request": "false"}
    answer = shop.get(f"/page/{name}", asked, method, b"x=1")
    assert (answer.status_code, answer.text.count("What you sent was not kept")) == (402, 1)
    assert not {"location", "refresh", "hx-redirect"} & set(answer.headers)
    hx = shop.get(f"/page/{name}", {"Accept": "*/*", "HX-Request": "true"}, method)
    assert (hx.status_code, "hx-redirect" in hx.headers) == (402, False)


@pytest.mark.parametrize("path", ["/translate/{}", "/page/{}/comments/new"])
def test_nothing_gets_the_address_of_a_post(shop: Shop, path: str, name: str) -> None:
    """After paying, pages go on where the rule says, and never to the address of a POST: for that is no GET's (T47)."""
    asked = path.format(name)
    answer = shop.get(asked, {"Accept": "text/html"}, "POST", b"x=1")
    page = Page(answer.text)
    assert page.find("main")[0]["data-page"].startswith("/pricing?" if "translate" in path else f"/page/{name}")
    [order] = [order for order in shop.sandbox.orders() if order.order_id in answer.headers["taler"]]
    assert asked not in {*page.addresses, order.fulfillment_url.removeprefix(shop.url)}
    for address in page.addresses:
        if "/continue?" in address:
            led = shop.get(address, {"Accept": "text/html", "Cookie": cookies_of(answer)})
            assert (led.status_code, led.headers.get("location")) == (303, order.fulfillment_url)


@every_form
@pytest.mark.parametrize("kind", ["bidi", "markup"])
def test_no_summary_breaks_out(shop: Shop, form: str, kind: str, name: str) -> None:
    """What a site calls its things is text in every form: it opens no element, and feeds and JSON stay well-formed."""
    answer = shop.get(f"/summary/{kind}-{name}", {"Accept": FORMS[form].accept})
    if form in {"rss", "atom"}:
        assert SUMMARIES[kind] in "".join(ET.fromstring(answer.content).itertext())
    elif form == "json":
        assert json.loads(answer.content)["summary"] == SUMMARIES[kind]
    elif form == "html":
        assert (Page(answer.text).find("b"), Page(answer.text).text("h1")) == ([], [SUMMARIES[kind]])
    else:
        assert SUMMARIES[kind] in answer.text


@every_form
def test_no_link_writes_lines_of_its_own(shop: Shop, form: str, name: str) -> None:
    """Whoever makes a link cannot put a line, such as a pay URI, into what its reader sees."""
    path = f"/search?q={name}%0D%0Ataler://pay/evil.example/x/%0A%E2%80%A8"
    answer = shop.get(path, {"Accept": FORMS[form].accept})
    said = FORMS[form].read(answer)
    assert said.summary == f"Search for {name} taler://pay/evil.example/x/"
    assert said.taler_pay_uri == answer.headers["taler"]


def test_a_form_is_asked_for_anew(shop: Shop, name: str) -> None:
    """One browser may ask in every form in turn: it is the same order every time."""
    cookie = first(shop, f"/page/{name}")
    answers: list[httpx.Response] = [
        shop.get(f"/page/{name}", cookie | {"Accept": form.accept}) for form in FORMS.values()
    ]
    assert len({answer.headers["taler"] for answer in answers}) == 1
    assert len(shop.orders(name)) == 1
