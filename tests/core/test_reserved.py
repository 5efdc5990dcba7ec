"""The paywall's own addresses: which there are, who may use them, and what they answer without the backend."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from core.test_paywall import BACKEND, FORM, KEYS, SITE, ask, cookie_for, cookies_of, header, opened, settings_of
from taler_paywall import Rule
from taler_paywall.decision import PaymentRequired
from taler_paywall.drive import run
from taler_paywall.errors import BackendBusy, BackendUnreachable
from taler_paywall.events import Events
from taler_paywall.http import Request, Response
from taler_paywall.operations import BackendResponse, MayOrder, SessionId
from taler_paywall.paywall import Case, Granted, SitePaywall
from taler_paywall.reserved import MAX_ASKING, MAX_FORMS, MAX_WAITING, Errand

OWN = "/.well-known/taler-paywall"


def site(**options: Any) -> SitePaywall:
    """Return a site that sells articles, refundable ones among them."""
    rules = [
        Rule("/articles/{slug}/*", "KUDOS:0.5", summary="Article {slug}"),
        Rule("/returnable/{slug}", "KUDOS:0.5", refundable=True),
    ]
    return SitePaywall(settings_of(rules, **options), KEYS, SITE, Events())


def get(path: str, query: str = "", **headers: str) -> Request:
    """Return a GET of one of our addresses."""
    asked = ask("GET", f"{OWN}/{path}", **headers)
    return Request(asked.method, asked.path, asked.raw_path, "", query.encode(), asked.headers)


def answered(found: Any) -> Response:
    assert isinstance(found, Response)
    return found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("GET", "static/", 404),
        ("GET", "static/page.html", 404),
        ("GET", "static/../static/style.css", 400),
        ("GET", "orders//paid", 404),
        ("POST", "orders/a/b/paid", 404),
        ("POST", "orders/a/paid/", 404),
        ("GET", "orders/a/paid", 405),
        ("POST", "poll-payment", 405),
        ("HEAD", "poll-payment", 405),
        ("HEAD", "continue", 405),
        ("GET", "reorder", 405),
        ("PUT", "refund", 405),
        ("DELETE", "static/page.js", 405),
        ("OPTIONS", "reorder", 405),
    ],
)
def test_addresses_and_methods(method: str, path: str, status: int) -> None:
    """Only those that exist, only by the methods that they take; the rest never reaches the application."""
    found = site().begin(ask(method, f"{OWN}/{path}", sec_fetch_site="same-origin"), b"")
    assert answered(found).status in {status, 404 if status == 400 else status}


@pytest.mark.parametrize(("name", "media_type"), [("style.css", "text/css"), ("page.js", "text/javascript")])
def test_files(name: str, media_type: str) -> None:
    """Kept by every cache at the address that changes with them, and at no other; HEAD has the headers alone."""
    current = sha256(answered(site().begin(get(f"static/{name}"))).body).hexdigest()[:12]
    for version, kept in (
        (f"v={current}", "public, max-age=31536000, immutable"),
        ("v=0", "no-cache"),
        ("", "no-cache"),
    ):
        asked = get(f"static/{name}", version)
        file, head = (answered(site().begin(replace(asked, method=method))) for method in ("GET", "HEAD"))
        assert (file.status, header(file, "cache-control"), header(file, "vary")) == (200, kept, None)
        assert (header(file, "content-type") or "").startswith(media_type)
        assert (head.headers, head.body) == (file.headers, b"")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", 25),
        ("order=ORDER", 25),
        ("order_id=", 26),
        ("order_id=ORDER&order_id=ORDER", 26),
        ("order_id=a/b", 26),
        ("order_id=ORDER&timeout=-1", 26),
        ("order_id=ORDER&timeout=1.5", 26),
        ("order_id=ORDER&timeout=" + "9" * 10, 26),
    ],
)
def test_polls_that_are_malformed(query: str, code: int) -> None:
    """400 with the merchant's error codes."""
    found = answered(site().begin(get("poll-payment", query)))
    assert (found.status, header(found, "content-type")) == (400, "application/json")
    assert b'"code":%d' % code in found.body


def test_polls_for_orders_of_others() -> None:
    """An order of no cookie of this browser is unknown, whether it exists or not."""
    paywall = site()
    cookie = cookie_for(paywall)
    assert isinstance(paywall.begin(get("poll-payment", "order_id=ORDER", cookie=cookie)), Errand)
    for query, jar in (("order_id=OTHER", cookie), ("order_id=ORDER", "x=y")):
        found = answered(paywall.begin(get("poll-payment", query, cookie=jar)))
        assert (found.status, b'"code":2005' in found.body) == (404, True)


@pytest.mark.parametrize("long_polls", [True, False])
def test_who_may_wait(long_polls: bool) -> None:  # noqa: FBT001 - a parameter
    """Where nothing may wait, the timeout is accepted and ignored."""
    paywall = SitePaywall(
        settings_of([Rule("/articles/{slug}/*", "KUDOS:0.5")]), KEYS, SITE, Events(), long_polls=long_polls
    )
    query = "order_id=ORDER&timeout=20&session_id=ignored&h_contract=too"
    errand = paywall.begin(get("poll-payment", query, cookie=cookie_for(paywall)))
    assert isinstance(errand, Errand)
    asked: list[Any] = []

    def perform(op: Any) -> Any:
        asked.append(op)
        if len(asked) == 2:
            raise BackendBusy("enough")
        status = {
            "order_status": "unpaid",
            "taler_pay_uri": "taler://pay/backend.example/ORDER/SESSION?c=T",
            "order_status_url": f"{BACKEND}orders/ORDER",
        }
        return op.parse(BackendResponse(200, "application/json", json.dumps(status).encode()))

    found = answered(paywall.finish(errand, run(errand.flow, perform)))
    assert (found.status, [op.request.wait for op in asked]) == ((429, [0.0, 20.0]) if long_polls else (200, [0.0]))
    assert header(found, "retry-after") == ("5" if long_polls else None)


def test_an_order_whose_cookie_made_room_for_others() -> None:
    """It is this browser's all the same: its session and its page tell, and nobody else's do."""
    paywall = site()
    case = paywall.begin(ask())
    assert isinstance(case, Case)
    session = case.visit.new_session
    assert session
    jar = next(cookie for cookie in cookies_of(paywall.finish(case, made_for(case))) if "session=" in cookie)
    order_id = paywall._storefront.keys.order_id(session, case.offer.resource.name, 2)
    asked = f"order_id={order_id}&page=/articles/one"
    assert isinstance(paywall.begin(get("poll-payment", asked, cookie=jar)), Errand)
    for query, cookie in ((asked, "x=y"), (asked.replace("one", "two"), jar), (asked.partition("&")[0], jar)):
        assert answered(paywall.begin(get("poll-payment", query, cookie=cookie))).status == 404


def poll(paywall: SitePaywall, cookie: str) -> Errand:
    errand = paywall.begin(get("poll-payment", "order_id=ORDER&timeout=20", cookie=cookie))
    assert isinstance(errand, Errand)
    return errand


def test_one_session_waits_in_few_polls() -> None:
    """Further ones are answered at once, and may wait again when others have ended."""
    paywall = site()
    cookie = cookie_for(paywall)
    flows = [poll(paywall, cookie).flow for _ in range(MAX_WAITING)]
    for flow in flows:
        next(flow)
    assert poll(paywall, cookie).wait == 0
    flows[0].close()
    assert poll(paywall, cookie).wait == 20
    for flow in flows[1:]:
        flow.close()
    assert not paywall._reserved._waiting


def test_few_polls_hold_threads() -> None:
    """One of a session, and two of all: the others hear 429, and to come again, while the backend is slow."""
    rules = [Rule("/articles/{slug}/*", "KUDOS:0.5", summary="Article {slug}")]
    paywall = SitePaywall(settings_of(rules), KEYS, SITE, Events(), long_polls=False)
    cookie = cookie_for(paywall)
    slow, other = poll(paywall, cookie), poll(paywall, cookie)
    next(slow.flow)
    told = answered(paywall.finish(other, run(other.flow, lambda op: op)))
    assert (told.status, header(told, "retry-after")) == (429, "5")
    sessions = [SessionId(f"S{number}") for number in range(MAX_ASKING)]
    others = [poll(paywall, cookie_for(paywall, session_id=session)).flow for session in sessions]
    for flow in others[:-1]:
        next(flow)
    with pytest.raises(StopIteration) as stopped:
        next(others[-1])
    assert stopped.value.value.status == 429
    slow.flow.close()
    next(poll(paywall, cookie).flow)


@pytest.mark.parametrize(("page", "accept"), [("/articles/one", "text/html"), ("/returnable/a", "application/json")])
def test_a_backend_that_is_gone(page: str, accept: str) -> None:
    """A poll and a refund are answered 503: nothing is said of whether it is paid."""
    paywall = site()

    def perform(_: Any) -> Any:
        raise BackendUnreachable("gone")

    cookie = cookie_for(paywall)
    errands = [paywall.begin(get("poll-payment", "order_id=ORDER", cookie=cookie))]
    if "returnable" in page:
        case = paywall.begin(ask(path=page))
        assert isinstance(case, Case)
        cookie = cookie_of(paywall, case)
        form = ask("POST", f"{OWN}/refund", **FORM, cookie=cookie, accept=accept)
        errands.append(paywall.begin(form, f"page={page}".encode()))
    for errand in errands:
        assert isinstance(errand, Errand)
        found = answered(paywall.finish(errand, run(errand.flow, perform)))
        assert (found.status, header(found, "retry-after")) == (503, "5")


def cookie_of(paywall: SitePaywall, case: Case) -> str:
    """Return the cookie of an order for what a case is about."""
    return cookies_of(paywall.finish(case, made_for(case)))[1]


def made_for(case: Case) -> PaymentRequired:
    """Return the decision that an order is to be paid."""
    from core.test_paywall import order_of

    return PaymentRequired(case.offer.amount, order_of(case), f"{BACKEND}orders/ORDER")


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, b"{}", 403, 44),
        ({"origin": "https://evil.example"}, b"{}", 403, 44),
        ({"origin": SITE}, None, 413, 32),
        ({"origin": SITE}, b"[]", 400, 22),
        ({"origin": SITE}, b"{}", 400, 25),
    ],
)
def test_proofs_that_are_refused(headers: dict[str, str], body: bytes | None, status: int, code: int) -> None:
    """Without asking the backend: of other sites, too long, unreadable, incomplete."""
    found = answered(site().begin(ask("POST", f"{OWN}/orders/ORDER/paid", **headers), body))
    assert (found.status, b'"code":%d' % code in found.body) == (status, True)


def test_the_way_on() -> None:
    """Who keeps a cookie of ours is led on, whatever became of the order's; who keeps none is told, once."""
    paywall = site()
    cookie = cookie_for(paywall)
    led = answered(paywall.begin(get("continue", "order_id=ORDER&page=/articles/one%3Fa%3Db", cookie=cookie)))
    assert (led.status, header(led, "location")) == (303, f"{SITE}/articles/one?a=b")
    for query in ("order_id=OTHER&page=/articles/one", "page=/articles/one"):
        assert answered(paywall.begin(get("continue", query, cookie=cookie))).status == 303
        told = answered(paywall.begin(get("continue", query)))
        assert (told.status, header(told, "location"), cookies_of(told)) == (402, None, [])
        assert b"Cookies are needed" in told.body


def test_the_question_about_a_refund() -> None:
    """It asks where there is something to give back, and changes nothing: what gives the money back is the form."""
    found = answered(site().begin(get("refund", "page=/returnable/a", accept="text/html")))
    assert found.status == 200
    assert f'action="{OWN}/refund"'.encode() in found.body
    assert answered(site().begin(get("refund", "page=/articles/one"))).status == 403


@pytest.mark.parametrize(
    ("page", "status"), [("/articles/one", 403), ("/returnable/a", 404), ("/about", 404), ("/articles//one", 400)]
)
def test_refunds_that_are_refused(page: str, status: int) -> None:
    """What is not refundable, not paid, or not sold costs no call to the backend."""
    paywall = site()
    found = paywall.begin(ask("POST", f"{OWN}/refund", **FORM), f"page={page}".encode())
    if isinstance(found, Errand):
        found = paywall.finish(found, run(found.flow, lambda _: pytest.fail("the backend was asked")))
    assert answered(found).status == status


def test_a_session_sends_few_forms() -> None:
    """After thirty in a minute it has to wait; other browsers, and those without a session, go on."""
    paywall = site()
    mine, other = cookie_for(paywall), cookie_for(paywall, session_id="OTHER")

    def press(cookie: str) -> int:
        found = paywall.begin(ask("POST", f"{OWN}/reorder", **FORM, cookie=cookie), b"page=/about")
        return answered(found).status

    assert {press(mine) for _ in range(MAX_FORMS)} == {404}
    assert (press(mine), press(other), press("x=y")) == (429, 404, 404)


def test_whose_body_is_read() -> None:
    """Only a POST of ours has a body that belongs to the paywall."""
    paywall = site()
    assert [paywall.is_form(ask(method, f"{OWN}/reorder")) for method in ("POST", "GET")] == [True, False]
    assert not paywall.is_form(ask("POST", "/articles/one"))


def test_a_case_is_no_errand() -> None:
    """What is bought goes through the flow of the page itself."""
    paywall = site()
    case = paywall.begin(ask("POST", f"{OWN}/reorder", **FORM), b"page=/articles/one")
    assert isinstance(case, Case)
    assert isinstance(next(case.flow, None), MayOrder)
    assert not isinstance(opened(paywall), Granted)
