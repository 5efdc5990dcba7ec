"""What the paywall does around the flow: exemptions, preflights, forms, price policies, and failing closed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from taler_paywall import Request, Rule
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.cache import MemoryCache
from taler_paywall.config import resolve
from taler_paywall.decision import Grant, PaymentRequired, Unavailable
from taler_paywall.events import Events
from taler_paywall.http import Response
from taler_paywall.operations import MayOrder, Payment, SessionId
from taler_paywall.paywall import Case, Granted, SitePaywall
from taler_paywall.session import Order
from taler_paywall.settings import Options, Settings

SITE = "https://news.example"
BACKEND = "https://backend.example/"
REORDER = "/.well-known/taler-paywall/reorder"
PRICES = {"one": "KUDOS:0.5"}
KEYS = (b"0123456789abcdef0123456789abcdef",)


def settings_of(rules: list[Rule], **options: Any) -> Settings:
    """Return the settings of a site."""
    given: Options = {"backend": BACKEND, "token": "secret-token:x", "secret_key": KEYS[0], "public_url": SITE}
    return resolve(rules, {**given, **options})  # type: ignore[typeddict-item] # options of many types


def settings(**options: Any) -> Settings:
    """Return the settings of a site with one rule."""
    rule = Rule("/articles/{slug}/*", lambda resource: PRICES.get(resource.parts["slug"]), summary="Article {slug}")
    return settings_of([rule], **options)


def paywall(**options: Any) -> SitePaywall:
    """Return the paywall of a site with one rule."""
    return SitePaywall(settings(**options), KEYS, SITE, Events())


def ask(method: str = "GET", path: str = "/articles/one", **headers: str) -> Request:
    """Return a request; underscores in names of headers are dashes."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(method, path, path.encode(), "", b"", pairs)


def header(answer: Response, name: str) -> str | None:
    """Return a header of an answer."""
    return dict(answer.headers).get(name.encode(), b"").decode() or None


def test_free_and_unknown_paths_pass() -> None:
    """What no rule sells, and what the site's price table does not know, is none of the paywall's business."""
    assert paywall().begin(ask(path="/about")) is None
    assert paywall().begin(ask(path="/articles/unknown")) is None
    assert isinstance(paywall().begin(ask()), Case)


@pytest.mark.parametrize(
    ("exempt", "passes"),
    [(lambda _: True, True), (lambda _: False, False), (lambda _: None, False), (lambda _: "no", False)],
)
def test_exempt(exempt: Callable[[Request], Any], passes: bool) -> None:  # noqa: FBT001 - a table
    """Only True lets a request pass without paying; a coroutine, which is true, is refused at construction."""
    answer = paywall(exempt=exempt).begin(ask())
    assert isinstance(answer, Granted) is passes
    if isinstance(answer, Granted):
        assert answer.payment is None
        assert answer.headers([(b"cache-control", b"public, s-maxage=60")]) == [
            (b"cache-control", b"private"),
            (b"vary", b"Cookie"),
        ]

    async def staff(_: Request) -> bool:
        return False

    with pytest.raises(ValueError, match="exempt is a plain callable"):
        settings(exempt=staff)


def test_preflights_are_answered_for_allowed_origins_only() -> None:
    """A preflight never reaches the application; another origin's OPTIONS is an unpaid request like any other."""
    site = paywall(cors_origins=["https://App.example:443"])
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "x-a"}
    answer = site.begin(ask("OPTIONS", origin="https://app.example", **asked))
    assert isinstance(answer, Response)
    assert (answer.status, header(answer, "access-control-allow-origin")) == (204, "https://app.example")
    assert header(answer, "access-control-allow-methods") == "POST"
    assert isinstance(site.begin(ask("OPTIONS", origin="https://evil.example", **asked)), Case)


@pytest.mark.parametrize(
    ("rule", "path", "method", "answer"),
    [
        (Rule("POST /articles/{slug}", "KUDOS:1", page="/"), "/articles/one", "POST", Response),
        (Rule("POST /articles/{slug}", "KUDOS:1", page="/"), "/articles/one", "DELETE", None),
        (Rule("GET /articles/{slug}", "KUDOS:1"), "/articles/one", "GET", Response),
        (Rule("GET /articles/{slug}", "KUDOS:1"), "/articles/one", "DELETE", Case),
        (Rule("/*", lambda _: None), "/account", "DELETE", None),
    ],
)
def test_preflights_are_answered_for_what_is_sold_only(rule: Rule, path: str, method: str, answer: Any) -> None:
    """For everything else the application decides, or the preflight is refused like any unpaid request."""
    app = "https://app.news.example"
    site = SitePaywall(settings_of([rule], cors_origins=[app]), KEYS, SITE, Events())
    found = site.begin(ask("OPTIONS", path, origin=app, access_control_request_method=method))
    assert found is None if answer is None else isinstance(found, answer)


def test_allowed_origins_may_read_the_answers() -> None:
    """Scripts of an allowed origin can read the price; others get no such header."""
    site = paywall(cors_origins=["https://app.example"])
    for origin, allowed in (("https://app.example", "https://app.example"), ("https://evil.example", None)):
        case = site.begin(ask(origin=origin, accept="application/json", sec_purpose="prefetch"))
        assert isinstance(case, Case)
        answer = site.finish(case, PaymentRequired(case.offer.amount))
        assert isinstance(answer, Response)
        assert header(answer, "access-control-allow-origin") == allowed
        assert "Origin" in (header(answer, "vary") or "")


SCRIPT = {"sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}
APP = "https://app.news.example"


@pytest.mark.parametrize(
    ("headers", "orders"),
    [
        ({**SCRIPT, "sec_fetch_site": "same-origin"}, True),
        ({**SCRIPT, "sec_fetch_site": "same-site", "origin": APP}, True),
        ({**SCRIPT, "sec_fetch_site": "same-site", "origin": "https://other.news.example"}, False),
        ({**SCRIPT, "sec_fetch_site": "same-site"}, False),
        ({**SCRIPT, "sec_fetch_site": "cross-site", "origin": APP}, False),
        ({"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image", "sec_fetch_site": "same-site", "origin": APP}, False),
    ],
)
def test_whose_scripts_make_orders(headers: dict[str, str], orders: bool) -> None:  # noqa: FBT001 - a table
    """The site's own, and those of allowed origins of the same site: the cookies of others would be lost."""
    case = paywall(cors_origins=[APP]).begin(ask(**headers))
    assert isinstance(case, Case)
    assert isinstance(next(case.flow, None), MayOrder) is orders


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/articles/one", "/articles/one"),
        ("/articles/one/", "/articles/one/"),
        ("/articles/one/picture.PNG", "/articles/one/picture.PNG"),
        ("/ARTICLES/one", ""),
        ("/Articles/one/picture.png", ""),
    ],
)
def test_where_readers_return_to(path: str, page: str) -> None:
    """To the very page that was asked for, but for a spelling that the site may not know: then to the rule's own."""
    case = paywall().begin(ask(path=path, sec_fetch_mode="navigate", sec_fetch_dest="document"))
    assert isinstance(case, Case)
    assert case.visit.page == page


@pytest.mark.parametrize("path", ["/articles/one", "/articles/one/"])
def test_a_rule_with_a_slash_at_the_end(path: str) -> None:
    """Whether the rule or the reader writes the slash, the reader returns to what was asked for."""
    site = SitePaywall(settings_of([Rule("/articles/{slug}/", "KUDOS:1")]), KEYS, SITE, Events())
    case = site.begin(ask(path=path, sec_fetch_mode="navigate", sec_fetch_dest="document"))
    assert isinstance(case, Case)
    assert case.visit.page == path


def test_current_prices_are_part_of_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    """With price_policy="current" another price is another resource, with another page for wallets to know it by."""
    seen = set()
    for price in ("KUDOS:0.5", "KUDOS:0.6"):
        monkeypatch.setitem(PRICES, "one", price)
        for policy in ("honour", "current"):
            case = paywall(price_policy=policy).begin(ask())
            assert isinstance(case, Case)
            seen.add((policy, case.offer.resource.name, case.offer.fulfillment_url))
    assert len([each for each in seen if each[0] == "honour"]) == 1
    current = [each for each in seen if each[0] == "current"]
    assert len({name for _, name, _ in current}) == len({url for _, _, url in current}) == 2


FORM = {"content_type": "application/x-www-form-urlencoded", "sec_fetch_site": "same-origin"}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({**FORM, "sec_fetch_site": "cross-site"}, b"page=/articles/one", 403),
        ({"origin": "https://evil.example"}, b"page=/articles/one", 403),
        ({"origin": "null"}, b"page=/articles/one", 403),
        ({}, b"page=/articles/one", 403),
        (FORM, None, 413),
        (FORM, b"", 400),
        (FORM, b"\xff\xfe", 400),
        (FORM, b"page=//evil.example/articles/one", 400),
        (FORM, b"page=https://evil.example/articles/one", 400),
        (FORM, b"page=/about", 404),
        (FORM, b"page=/articles/unknown", 404),
        (FORM, b"page=/articles//one", 400),
        ({**FORM, "content_type": "application/json"}, b"[]", 400),
        ({**FORM, "content_type": "application/json"}, b'{"page": 5}', 400),
    ],
)
def test_forms_that_are_refused(headers: dict[str, str], body: bytes | None, status: int) -> None:
    """A form of another site, a broken one, and one for what is not sold make no order."""
    answer = paywall().begin(ask("POST", REORDER, **headers), body)
    assert isinstance(answer, Response)
    assert answer.status == status
    assert header(answer, "set-cookie") is None


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (FORM, b"page=%2Farticles%2Fone%3Fref%3Dx&method=GET"),
        ({"origin": SITE}, b"page=/articles/one?ref=x"),
        ({**FORM, "content_type": "application/json"}, json.dumps({"page": "/articles/one?ref=x"}).encode()),
    ],
)
def test_forms_that_buy(headers: dict[str, str], body: bytes) -> None:
    """A form of the site's own opens the case of the page that it names, and leads there once that is paid."""
    site = paywall()
    case = site.begin(ask("POST", REORDER, **headers), body)
    assert isinstance(case, Case)
    assert case.visit.buy_again
    order = case.visit.request
    assert (order.path, order.query) == ("/articles/one", b"ref=x")


def test_reserved_paths() -> None:
    """The paywall's own paths answer, and nothing below their prefix reaches the application."""
    site = paywall()
    style = site.begin(ask(path="/.well-known/taler-paywall/static/style.css"))
    assert isinstance(style, Response)
    assert (style.status, header(style, "content-type")) == (200, "text/css; charset=utf-8")
    assert header(style, "x-content-type-options") == "nosniff"
    for path, status in ((REORDER, 405), ("/.well-known/taler-paywall/else", 404)):
        answer = site.begin(ask(path=path))
        assert isinstance(answer, Response)
        assert answer.status == status
    assert site.begin(ask(path="/.well-known/security.txt")) is None


@pytest.mark.parametrize("price", [lambda _: 1 / 0, lambda _: "half a KUDOS", lambda _: "KUDOS:0", lambda _: True])
def test_a_broken_price_closes_the_gate(price: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A price callable that raises or returns no amount gives nothing away: 503, and a traceback in the log."""
    sent: list[Any] = []

    async def application(*_: Any) -> None:
        pytest.fail("the application was reached")

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        pytest.fail("the body was read")

    options: Options = {"backend": BACKEND, "token": "secret-token:x", "secret_key": KEYS[0], "public_url": SITE}
    site = PaywallMiddleware(application, [Rule("/articles/{slug}", price)], **options)
    scope = {"type": "http", "method": "GET", "path": "/articles/one", "query_string": b"", "headers": []}
    with caplog.at_level(logging.ERROR, "taler_paywall"):
        asyncio.run(site(scope, receive, send))
    assert sent[0]["status"] == 503
    assert caplog.records[0].exc_info


def test_unsafe_methods_hear_that_their_body_is_gone() -> None:
    """On every form of answer, and never as a redirect."""
    site = paywall()
    for accept in ("text/html", "application/json", "*/*"):
        case = site.begin(ask("POST", accept=accept, sec_purpose="prefetch"))
        assert isinstance(case, Case)
        answer = site.finish(case, PaymentRequired(case.offer.amount))
        assert isinstance(answer, Response)
        assert answer.status == 402
        assert answer.body.count(b"What you sent was not kept") == 1


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_unknown_is_never_an_invitation_to_pay(accept: str) -> None:
    """503 with Retry-After, without a price, a form or a reason that tells of the backend."""
    site = paywall()
    case = site.begin(ask(accept=accept))
    assert isinstance(case, Case)
    answer = site.finish(case, Unavailable("backend-rejected", "the backend answered 401"))
    assert isinstance(answer, Response)
    assert (answer.status, header(answer, "retry-after")) == (503, "5")
    for secret in (b"KUDOS", b"<form", b"401", b"backend.example/"):
        assert secret not in answer.body


def test_granted_answers_are_private() -> None:
    """The application's headers stay, in order, but for what would let a shared cache keep the answer."""
    site = paywall()
    case = site.begin(ask())
    assert isinstance(case, Case)
    granted = Granted(Payment("ID", case.offer.resource.name, "KUDOS:0.5"), (b"a=b",), ())
    headers = [
        (b"Set-Cookie", b"x=1"),
        (b"cache-control", b"public, max-age=60, s-maxage=600"),
        (b"Set-Cookie", b"y=2"),
        (b"vary", b"Accept"),
        (b"cdn-cache-control", b"max-age=600"),
    ]
    assert granted.headers(headers) == [
        (b"Set-Cookie", b"x=1"),
        (b"Set-Cookie", b"y=2"),
        (b"cache-control", b"private, max-age=60"),
        (b"vary", b"Accept, Cookie"),
        (b"set-cookie", b"a=b"),
    ]


def test_cookies_that_come_in_several_headers() -> None:
    """HTTP/2 may send a header for each cookie: whoever asks for them all gets one list of pairs."""
    headers = [(b"cookie", b"a=1"), (b"accept", b"x"), (b"cookie", b"b=2"), (b"accept", b"y")]
    request = Request("GET", "/", None, "", b"", headers)
    assert (request.header(b"cookie"), request.header(b"accept")) == (b"a=1; b=2", b"x, y")


def order_of(case: Case, **changes: Any) -> Order:
    """Return an order for what a case is about."""
    resource = case.offer.resource
    fields: dict[str, Any] = {
        "session_id": SessionId("SESSION"),
        "order_id": "ORDER",
        "resource": resource.tag,
        "attempt": 0,
        "again": 0,
        "price": "KUDOS:0.5",
        "page": "",
        "pay_deadline": 0,
        "issued": case.visit.now,
    }
    return Order(**fields | changes)


def opened(site: SitePaywall, cookie: str = "", **headers: str) -> Case:
    """Return the case of a navigation, or of what other headers say."""
    given = headers or {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    case = site.begin(ask(**given, **({"cookie": cookie} if cookie else {})))
    assert isinstance(case, Case)
    return case


def cookies_of(answer: Granted | Response) -> list[str]:
    """Return the cookies that an answer sets, name and value."""
    if isinstance(answer, Granted):
        return [cookie.decode().partition(";")[0] for cookie in answer.cookies]
    return [value.decode().partition(";")[0] for name, value in answer.headers if name == b"set-cookie"]


def granted(case: Case, order: Order, page: str = "") -> Grant:
    """Return the decision that the order opens what the case is about."""
    return Grant(Payment(order.order_id, case.offer.resource.name, "KUDOS:0.5"), order, page)


def cookie_for(site: SitePaywall, **changes: Any) -> str:
    """Return the cookie of an order, as the answer that makes it sets it."""
    case = opened(site)
    decision = PaymentRequired(case.offer.amount, order_of(case, **changes), f"{BACKEND}orders/ORDER")
    [_, cookie] = cookies_of(site.finish(case, decision))
    return cookie


def test_what_was_read_is_marked_once() -> None:
    """The first page that is read marks its order in the cookie; later ones, and a picture, set none."""
    site = paywall()
    case = opened(site, cookie_for(site))
    [marked] = cookies_of(site.finish(case, granted(case, case.visit.orders[0])))
    again = opened(site, marked)
    assert again.visit.orders[0].state == "paid"
    assert cookies_of(site.finish(again, granted(again, again.visit.orders[0]))) == []
    picture = opened(site, cookie_for(site), sec_fetch_mode="no-cors", sec_fetch_dest="image")
    assert cookies_of(site.finish(picture, granted(picture, picture.visit.orders[0]))) == []


def test_a_payment_at_hand_needs_no_flow() -> None:
    """What this process holds of the browser's own orders is delivered at once; another session's order is not."""
    cookie, cache = cookie_for(paywall()), MemoryCache()
    site = SitePaywall(settings(), KEYS, SITE, Events(), at_hand=cache.get)
    case = opened(site, cookie)
    [key] = case.visit.keys(case.offer.resource)
    cache.put(replace(key, session_id=SessionId("ANOTHER")), Payment(key.order_id, key.resource, "KUDOS:0.5"), 60)
    assert isinstance(site.begin(ask(cookie=cookie)), Case)

    cache.put(key, Payment(key.order_id, key.resource, "KUDOS:0.5"), 60)
    answer = site.begin(ask(cookie=cookie, sec_fetch_mode="navigate", sec_fetch_dest="document"))
    assert isinstance(answer, Granted)
    assert answer.payment == Payment(key.order_id, key.resource, "KUDOS:0.5")
    assert len(cookies_of(answer)) == 1
    bought = site.begin(ask("POST", REORDER, **FORM, cookie=cookie), b"page=/articles/one")
    assert isinstance(bought, Response)
    assert (bought.status, header(bought, "location")) == (303, f"{SITE}/articles/one")


def test_the_page_is_used_up_where_the_reader_is_brought_to_it() -> None:
    """The redirect to it sets the cookie without it, so that it happens once."""
    site = paywall()
    case = opened(site, cookie_for(site, page="/articles/one?a=b"))
    answer = site.finish(case, granted(case, case.visit.orders[0], "/articles/one?a=b"))
    assert isinstance(answer, Response)
    assert (answer.status, header(answer, "location")) == (303, f"{SITE}/articles/one?a=b")
    [cookie] = cookies_of(answer)
    assert opened(site, cookie).visit.orders[0] == order_of(case, state="paid", issued=case.visit.now)


def test_a_found_order_is_stored() -> None:
    """What a wallet proved is another order than the cookie's: its own cookie is set, and marked as read."""
    site = paywall()
    case = opened(site, cookie_for(site))
    [cookie] = cookies_of(site.finish(case, granted(case, order_of(case, order_id="EARLIER", price=""))))
    [order] = opened(site, cookie).visit.orders
    assert (order.order_id, order.state) == ("EARLIER", "paid")


def test_who_has_moved_is_told_on_a_page_of_ours() -> None:
    """Not by a redirect, whatever the rule says: the backend's page could not say it."""
    site = paywall()
    for state, status in (("", 302), ("paid", 302), ("moved", 402)):
        case = opened(site)
        decision = PaymentRequired(case.offer.amount, order_of(case, state=state), f"{BACKEND}orders/ORDER")
        answer = site.finish(case, decision)
        assert isinstance(answer, Response)
        assert answer.status == status


@pytest.mark.parametrize(("unpaid", "method"), [("page", "GET"), ("page", "POST"), ("redirect", "GET")])
def test_where_buying_leads(unpaid: str, method: str) -> None:
    """To our own page, which waits; to the backend's where that is shown, and for what must be sent again."""
    site = paywall(unpaid=unpaid)
    case = site.begin(ask("POST", REORDER, **FORM), f"page=/articles/one&method={method}".encode())
    assert isinstance(case, Case)
    decision = PaymentRequired(case.offer.amount, order_of(case), f"{BACKEND}orders/ORDER")
    answer = site.finish(case, decision)
    assert isinstance(answer, Response)
    own = (unpaid, method) == ("page", "GET")
    assert (answer.status, header(answer, "location")) == (
        *(303, f"{SITE}/articles/one" if own else f"{BACKEND}orders/ORDER"),
    )
    assert len(cookies_of(answer)) == 2


def test_buying_what_is_paid_leads_to_it() -> None:
    """Who presses "buy" for what is paid already is brought to the page."""
    site = paywall()
    case = site.begin(ask("POST", REORDER, **FORM), b"page=/articles/one?a=b")
    assert isinstance(case, Case)
    answer = site.finish(case, granted(case, order_of(case)))
    assert isinstance(answer, Response)
    assert (answer.status, header(answer, "location")) == (303, f"{SITE}/articles/one?a=b")


def test_a_half_of_its_life_renews_a_cookie() -> None:
    """A navigation that is granted then renews session and order; what only loads a picture leaves the session."""
    site = paywall(cookie_max_age=1000)
    case = opened(site)
    old = order_of(case, issued=case.visit.now - 501, state="paid")
    session, stale = cookies_of(site.finish(case, PaymentRequired(case.offer.amount, old, f"{BACKEND}orders/ORDER")))
    # The cookie that was just made is new; only the order in it is old.
    visited = opened(site, f"{session}; {stale}")
    assert len(cookies_of(site.finish(visited, granted(visited, old)))) == 2
    picture = opened(site, f"{session}; {stale}", sec_fetch_mode="no-cors", sec_fetch_dest="image")
    assert len(cookies_of(site.finish(picture, granted(picture, old)))) == 1
