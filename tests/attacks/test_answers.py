"""What the paywall itself sends, whatever it was sent; where it leads readers; and what it leaves of paid answers."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from itertools import product
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest
from conformance.wsgi_calls import asked, call
from hypothesis import given, settings
from hypothesis import strategies as st
from reader import Reader
from running import SECRET_KEY, TOKEN

from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.http import Header
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywallMiddleware

from .asking import AHEAD, DEAD, NAVIGATION, ORIGIN, OWN, PREFLIGHT, Answer, Site, assert_sound, name, site

__all__ = ["name", "site"]

UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}


@pytest.fixture(scope="module")
def answers(site: Site) -> list[Answer]:
    """Have the site say everything that it can say."""
    begin = len(site.said)
    accepts = ({"Accept": kind} for kind in ("text/html", "application/json", "text/plain"))
    targets = ("/paid/x", "/dead/x", "/paid//x", f"{OWN}/none", f"{OWN}/static/style.css", f"{OWN}/reorder")
    for method, target, accept in product(("GET", "HEAD", "POST", "OPTIONS"), targets, list(accepts)):
        site.ask(method, target, accept)
    for target in ("/paid/x", "/dead/x", f"/paid//{'x' * 3000}"):
        site.ask("GET", target, NAVIGATION)
    site.ask("GET", "/paid/x", NAVIGATION | {"Referer": site.till.url})
    for page in ("/paid/x", "/free", "//x", "x" * 5000):
        site.reorder(page=page)
    site.ask("OPTIONS", "/paid/x", PREFLIGHT | {"Access-Control-Request-Headers": "x-own"})
    if site.protocol == "asgi":
        site.ask("GET", "/paid/x", UPGRADE)
    with Reader(site.url) as reader:
        site.purse.pay(reader.visit("/paid/given-back").headers["location"])
        reader.visit("/paid/given-back")
        site.till.give_back(site.till.orders_for("given-back")[0].order_id)
        cookies = "; ".join(f"{cookie}={value}" for cookie, value in reader.cookies().items())
        for kind in ("text/html", "application/json", "text/plain"):
            site.ask("GET", "/paid/given-back", {"Accept": kind, "Cookie": cookies})
    return site.said[begin:]


def test_everything_was_said(answers: list[Answer], site: Site) -> None:
    """The answers that are looked at are all that there are, in every representation."""
    statuses = {200, 204, 302, 303, 400, 402, 403, 404, 405, 413, 503}
    assert statuses <= {answer.status for answer in answers}
    kinds = ("text/html", "application/problem+json", "text/plain")
    assert {*product((400, 402, 404, 405, 503), kinds)} <= {(answer.status, answer.kind) for answer in answers}
    assert {b"refunded" in answer.body.lower() for answer in answers[-3:]} == {True}
    assert any(b"keeps what you buy in a cookie" in answer.body.replace(b"&#39;", b"'") for answer in answers)


def test_own_answers_are_for_one_reader_alone(answers: list[Answer]) -> None:
    """Everything that we say is kept from caches and sniffers, names all that it depends on, and leaves no referrer."""
    for answer in answers:
        is_file = answer.status == 200
        assert answer.values("cache-control") == ["no-cache" if is_file else "no-store"], answer
        (varies,) = answer.values("vary")
        assert set(varies.lower().split(", ")) == ({"origin"} if is_file else VARIES), answer
        assert answer.values("x-content-type-options") == ["nosniff"], answer
        assert answer.values("referrer-policy") == ["same-origin"], answer
        if answer.kind == "text/html":
            (policy,) = answer.values("content-security-policy")
            assert policy.startswith(POLICY)
            assert "unsafe" not in policy


def test_own_headers_are_sound(answers: list[Answer]) -> None:
    """Names are tokens, values are visible, nothing but cookies comes twice, and a body has its type and length."""
    for answer in answers:
        assert_sound(answer)
        others = [key.lower() for key, _ in answer.headers if key.lower() != b"set-cookie"]
        assert len(others) == len(set(others)), answer
        assert bool(answer.kind) == (answer.status != 204)
        length = ["0"] if answer.asked.startswith("HEAD") else [str(len(answer.body))]
        assert answer.asked.startswith("HEAD") or answer.values("content-length") in ([], length), answer


#: What the answers of our own depend on.
VARIES: Final = {
    *("accept", "accept-language", "cookie", "origin", "sec-fetch-dest", "sec-fetch-mode"),
    *("hx-request", "x-requested-with"),
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self' http://127.0.0.1:"
)
MARKUP: Final = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></main><svg onload=alert(1)>",
    "{{7*7}}{% raw %}${7*7}",
    "javascript:alert(1)",
    "&lt;script&gt;&#60;b&#62;",
    "%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0a<script>",
    "%E5%98%8A%E5%98%8DSet-Cookie:evil=1",
    "\\r\\nSet-Cookie: evil=1",
    "%00<b>%1b[31m",
    "a%e2%80%a8b%e2%80%a9<b>",
    "%e2%80%aegnp.exe%e2%80%8f",
    "%ff%fe<b>%c0%af",
    "]]></p><!--",
)
TAGS: Final = set("html head meta title link body header main footer div h1 p data a form input button".split())  # noqa: SIM905
ATTRIBUTES: Final = set("lang dir charset name content rel href class method action type value".split())  # noqa: SIM905
#: What no page of ours shows, however it was asked for.
HIDDEN: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]").search


class _Page(HTMLParser):
    """Refuses what a page of ours never holds."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for key, value in attrs:
            assert not key.startswith("on"), key
            assert key in ATTRIBUTES, key
            assert key not in {"href", "action"} or (value or "").startswith(
                ("/", "http://127.0.0.1:", "taler+http://", "https://taler.net/")
            )

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def assert_harmless(answer: Answer, payload: str) -> None:
    """Nothing of a request stands in an answer but as a text."""
    assert_sound(answer)
    if not answer.values("referrer-policy"):
        # The server's own, or the application's, which says the same to everybody.
        assert (answer.status, answer.body) == (200, b"content") or answer.status == 400, answer
        return
    text = answer.body.decode()
    assert not HIDDEN(text), answer
    if answer.kind == "text/html":
        _Page().feed(text)
        assert payload not in text or not set(payload) & set("<>\"'"), answer
    elif answer.kind == "application/problem+json":
        json.loads(text)
    else:
        assert answer.kind in {"text/plain", "text/css", ""}, answer


@pytest.mark.parametrize("payload", MARKUP)
def test_addresses_are_shown_as_texts(site: Site, payload: str) -> None:
    """What stands in a path or a query is no markup, no header and no template on any page, in any representation."""
    in_path = quote(payload, safe="%:;&=+!'()*{}")
    queries = (f"q={in_path}", payload.replace(" ", "+").replace("\\", ""))
    targets = [f"{path}/{in_path}" for path in ("/named", "/dead", f"{OWN}/static")]
    targets += [f"/named/x?{query}" for query in queries]
    for accept, target in product(("text/html", "application/json", "text/plain"), targets):
        assert_harmless(site.ask("GET", target, AHEAD | {"Accept": accept}), payload)
    assert_harmless(site.ask("GET", f"/named/{in_path}", NAVIGATION), payload)


#: Headers that others believe.
SENT: Final = (
    *("Referer", "User-Agent", "Accept-Language", "Cookie", "Origin", "Host", "Forwarded", "Via", "Accept"),
    *("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Original-URL", "X-HTTP-Method-Override"),
    *("Access-Control-Request-Headers", "Access-Control-Request-Method"),
)


@pytest.mark.parametrize("header", SENT)
def test_headers_are_not_repeated(site: Site, header: str) -> None:
    """What stands in a header of a request is on no page and in no header of an answer, but for a CORS preflight's."""
    for payload in (*MARKUP, "evil.example", "x\xff\xfe\x85\xa0", "a\r\n b: c"):
        for target, accept in (("/named/x", "text/html"), ("/paid//x", "text/plain")):
            answer = site.ask("GET", target, AHEAD | {"Accept": accept} | {header: payload})
            assert_harmless(answer, payload)
            whole = answer.body + b"\n".join(value for _, value in answer.headers)
            assert payload.encode("latin-1") not in whole or answer.status == 400, answer


def test_preflights_repeat_names_alone(site: Site) -> None:
    """Of a preflight's own headers nothing comes back that is no list of names, whatever the server lets through."""
    for payload in (*MARKUP, "x\xff", "x-a,\r\n x-b", "x-a\tx-b", "", ",", "a" * 5000):
        for header in ("Access-Control-Request-Headers", "Access-Control-Request-Method"):
            assert_harmless(site.ask("OPTIONS", "/paid/x", PREFLIGHT | {header: payload}), payload)


ELSEWHERE: Final = (
    *("//evil.example", "///evil.example", "////evil.example/%2e%2e", "/\\evil.example", "\\\\evil.example"),
    *("/%09/evil.example", "/\t/evil.example", "/%0a/evil.example", "/%2f/evil.example", "/%5cevil.example"),
    *("javascript:alert(1)", "data:text/html,x", "http:evil.example", "https:/evil.example", "evil.example/paid/x"),
    *("http://evil.example/paid/x", "https://127.0.0.1/paid/x", "http://127.0.0.1:1/paid/x", "//127.0.0.1:1/paid/x"),
    *("/paid/x@evil.example", "@evil.example/paid/x", ".evil.example/paid/x", ":80/paid/x", "/.//evil.example/paid/x"),
    *("/paid/..//evil.example", "/paid/x/../..//evil.example", "/;/evil.example", "/?//evil.example", "", "/"),
    *("/paid/x?next=//evil.example", "/paid/x?@evil.example/", "/paid/x#@evil.example", "/#//evil.example"),
    *("/paid/x%0d%0aLocation:%20//evil.example", "/paid/x?%0d%0aLocation:%20//evil.example", "/paid/x\r\nLocation: /"),
    *("/paid/\u2025/evil.example", "/paid/x\u2028//evil.example", "/paid//evil.example", "/paid/\\\\evil.example"),
)


def assert_own(site: Site, location: str) -> None:
    """A redirect leads to the merchant or to this site, however a browser reads it."""
    assert location.isascii(), location
    assert location.isprintable(), location
    assert not set(location.partition("?")[0]) & set(' \\<>"'), location
    assert location.startswith((f"{site.till.url}orders/", f"{site.url}/paid/")), location
    assert urlsplit(location).netloc in {urlsplit(site.till.url).netloc, urlsplit(site.url).netloc}


def test_forms_lead_nowhere_else(site: Site) -> None:
    """Whatever page a form names, it leads to this site's own merchant for one of this site's own pages, or nowhere."""
    for page in (*ELSEWHERE, *(quote(page, safe="/") for page in ELSEWHERE)):
        answer = site.reorder(page=page)
        assert answer.status in {303, 400, 404}, answer
        for location in answer.values("location"):
            assert_own(site, location)
    assert {answer.status for answer in site.said[-len(ELSEWHERE) :]} == {303, 400, 404}
    assert all(order.fulfillment_url.startswith(f"{site.url}/") for order in site.till.orders())


@pytest.mark.parametrize("where", ["?next=//evil.example", "?//evil.example/%2e%2e", "?a=\\\\evil.example&b=%0d%0aX:y"])
def test_readers_return_to_this_site(site: Site, where: str, name: str) -> None:
    """Who has paid lands on the page that was asked for, of this very site, with the query as a mere query."""
    with Reader(site.url) as reader:
        asked_for = reader.http.get("/", headers=NAVIGATION, extensions={"target": f"/paid/{name}{where}".encode()})
        assert_own(site, asked_for.headers["location"])
        site.purse.pay(asked_for.headers["location"])
        landed = reader.visit(f"/paid/{name}", referer="https://evil.example/")
        assert landed.status_code == 303
        assert_own(site, landed.headers["location"])
        assert landed.headers["location"] == f"{site.url}/paid/{name}{where}"


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Origin", "Referer"])
def test_headers_lead_nowhere_else(site: Site, header: str, name: str) -> None:
    """No header of a request has a part in where a reader is sent, or in what the order says."""
    for value in ("evil.example", "//evil.example", "https://evil.example/", "host=evil.example;proto=javascript"):
        answer = site.ask("GET", f"/paid/{name}", NAVIGATION | {header: value})
        for location in answer.values("location"):
            assert_own(site, location)
        assert answer.status == 302 or (header == "Host" and answer.status == 400)
    sold = {order.fulfillment_url for order in site.till.orders_for(name)}
    assert sold == {f"{site.url}/paid/{name}"}


def through(protocol: str, headers: list[Header]) -> list[Header]:
    """Return what is left of an application's headers behind a paywall that lets it answer."""
    options: Any = {"backend": DEAD, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": "http://127.0.0.1:8000"}
    options |= {"exempt": lambda request: True}
    rules = {"/paid/{name}": "KUDOS:0.5"}
    if protocol == "wsgi":
        text = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in headers]

        def wsgi_app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", text)
            return []

        started = call(WsgiPaywallMiddleware(wsgi_app, rules, **options), asked("/paid/x")).started
        return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in started[0][1]]
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/paid/x", "raw_path": b"/paid/x", "headers": []}
    asyncio.run(PaywallMiddleware(app, rules, **options)(scope, None, send))
    left: list[Header] = sent[0]["headers"]
    return left


def directives(value: bytes) -> list[bytes]:
    """Split a list at its commas, but for those within quotes."""
    text, found, start, at = value + b",", [], 0, 0
    while at < len(text):
        quoted = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL).match(text, at)
        if text[at : at + 1] == b",":
            found.append(text[start:at].strip())
            start = at + 1
        at = quoted.end() if quoted else at + 1
    return [part for part in found if part]


SHARED: Final = {b"public", b"private", b"s-maxage", b"proxy-revalidate"}
CDN: Final = (b"CDN-Cache-Control", b"Surrogate-Control", b"x-accel-expires", b"Edge-Control", b"X-CDN-Cache-Control")
lines = st.binary(max_size=12).map(lambda raw: raw.translate(None, b"\r\n\0"))
spoken = [*SHARED, b"PUBLIC", b"max-age=60", b"S-MaxAge=9", b'no-cache="a, public"', b'"', b"=", b" ", b"\\"]
pieces = st.sampled_from(spoken)
caching = st.lists(pieces | lines, max_size=5).map(b", ".join) | st.lists(pieces | lines, max_size=5).map(b"".join)
names = st.sampled_from([b"Set-Cookie", b"ETag", b"X-Own", b"x-own", b"Content-Range", b"Vary-By", *CDN])
application_headers = st.lists(
    st.tuples(names, lines)
    | st.tuples(st.sampled_from([b"Cache-Control", b"cache-control", b"CACHE-CONTROL"]), caching)
    | st.tuples(st.sampled_from([b"Vary", b"vary"]), st.sampled_from([b"", b"*", b"Accept, , Origin", b"cookie"])),
    max_size=8,
)


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
@settings(max_examples=150)
@given(headers=application_headers)
def test_paid_answers_are_private_and_otherwise_untouched(protocol: str, headers: list[Header]) -> None:
    """Whatever an application says, no shared cache keeps it, and every other header stays, in order, byte by byte."""
    *kept, (control, told), (vary, varies) = through(protocol, headers)
    cdn = {key.lower() for key in CDN}
    mine = [(key, value) for key, value in headers if key.lower() not in {b"cache-control", b"vary", *cdn}]
    assert kept == mine
    assert (control.lower(), vary.lower()) == (b"cache-control", b"vary")
    own = [part for key, value in headers if key.lower() == b"cache-control" for part in directives(value)]
    left = [part for part in own if part.partition(b"=")[0].strip().lower() not in SHARED]
    assert told == b", ".join([b"private", *left])
    said = [part.strip() for key, value in headers if key.lower() == b"vary" for part in value.split(b",")]
    assert {part.strip().lower() for part in varies.split(b",")} & {b"cookie", b"*"}
    assert [part for part in said if part] == varies.split(b", ")[: len([part for part in said if part])]


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_a_thousand_headers(protocol: str) -> None:
    """A thousand headers, many of one name, empty ones and ones in Latin-1, stay as they were."""
    many = [(b"X-%d" % (n % 7), bytes([0xC0 + n % 64, 0x20 + n % 95]) * (n % 3)) for n in range(1000)]
    assert through(protocol, many) == [*many, (b"cache-control", b"private"), (b"vary", b"Cookie")]


@pytest.mark.parametrize("spoilt", [b"x\r\nSet-Cookie: evil=1", b"x\nevil: 1", b"x\0", b"x\x7f\x1b[0m"])
@pytest.mark.parametrize("header", [b"access-control-request-headers", b"access-control-request-method", b"origin"])
def test_servers_that_let_line_ends_through(header: bytes, spoilt: bytes) -> None:
    """Even where a server hands over a header with line ends in it, none stands in an answer of ours."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def never(*_: Any) -> None:
        raise AssertionError("the application was called")

    fixed = {key.lower().encode(): value.encode() for key, value in PREFLIGHT.items()} | {header: spoilt}
    scope = {
        "type": "http",
        "method": "OPTIONS",
        "path": "/paid/x",
        "raw_path": b"/paid/x",
        "headers": [*fixed.items()],
    }
    options: Any = {"backend": DEAD, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": "http://127.0.0.1:8000"}
    paywall = PaywallMiddleware(never, {"/paid/{name}": "KUDOS:0.5"}, cors_origins=[ORIGIN], **options)
    asyncio.run(paywall(scope, None, send))
    assert_sound(Answer("OPTIONS", sent[0]["status"], sent[0]["headers"], b""))
