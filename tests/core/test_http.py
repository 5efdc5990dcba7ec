"""What a request tells, and what an application's headers become on a paid page."""

from __future__ import annotations

from typing import Any

import pytest

from taler_paywall.http import (
    MAX_URL,
    Header,
    Request,
    Response,
    belongs,
    granted_headers,
    quote_path,
    quote_segment,
)
from taler_paywall.path import without_root

OWN = (b"X-Own", b"kept")


@pytest.mark.parametrize(
    ("given", "directives"),
    [
        ([], b"private"),
        ([b""], b"private"),
        ([b"PUBLIC, Max-Age=60"], b"private, Max-Age=60"),
        ([b"Private"], b"private"),
        ([b"no-transform", b"max-age=1"], b"private, no-transform, max-age=1"),
        ([b"public", b"no-transform , S-MaxAge=5,, proxy-revalidate"], b"private, no-transform"),
        ([b'no-cache="set-cookie, x-a", max-age=1'], b'private, no-cache="set-cookie, x-a", max-age=1'),
        ([b'private="set-cookie, x-a", max-age=1'], b"private, max-age=1"),
        ([b'max-age=60", public, s-maxage=9'], b'private, max-age=60"'),
        ([b'private="a, max-age=3'], b"private, max-age=3"),
    ],
)
def test_what_caches_are_told(given: list[bytes], directives: bytes) -> None:
    """What would share the page goes, in any case and quoted or not; all else is kept, behind `private`."""
    headers = granted_headers([(b"Cache-Control", value) for value in given], ())
    assert headers == [(b"cache-control", directives), (b"vary", b"Cookie")]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([], b"Cookie"),
        ([b""], b"Cookie"),
        ([b" , "], b"Cookie"),
        ([b"*"], b"*"),
        ([b"Accept", b"*"], b"Accept, *"),
        ([b"Accept,Origin"], b"Accept, Origin, Cookie"),
        ([b"COOKIE"], b"COOKIE"),
    ],
)
def test_what_an_answer_varies_with(given: list[bytes], names: bytes) -> None:
    """Every answer varies with the cookie, said once, and with whatever the application says."""
    headers = granted_headers([(b"Vary", value) for value in given], ())
    assert headers == [(b"cache-control", b"private"), (b"vary", names)]


@pytest.mark.parametrize(
    "name",
    [
        b"CDN-Cache-Control",
        b"Netlify-CDN-Cache-Control",
        b"Vercel-CDN-Cache-Control",
        b"cloudflare-cdn-cache-control",
        b"Edge-Control",
        b"Surrogate-Control",
        b"X-LiteSpeed-Cache-Control",
        b"X-Accel-Expires",
    ],
)
@pytest.mark.parametrize("spelled", [bytes, bytes.lower, bytes.upper])
def test_what_other_caches_believe_goes(name: bytes, spelled: type[bytes]) -> None:
    """Headers that caches in front of a site believe rather than Cache-Control are not on a paid page."""
    headers = granted_headers([(spelled(name), b"max-age=600"), OWN], ())
    assert headers == [OWN, (b"cache-control", b"private"), (b"vary", b"Cookie")]


def request(*headers: Header, method: str = "GET", **others: Any) -> Request:
    """Return a request for an article."""
    fields: dict[str, Any] = {"path": "/a", "raw_path": b"/a", "root_path": "", "query": b""}
    return Request(method, **fields | others, headers=headers)


NAVIGATION = ((b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document"))
SCRIPT = ((b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty"))
OTHERS = frozenset({"https://app.news.example"})


def test_a_header_that_comes_several_times() -> None:
    """Several values are one list, several cookies one line, and other names are not mixed in."""
    several = request((b"accept", b"a"), (b"x", b"b"), (b"accept", b"c"), (b"cookie", b"d=1"), (b"cookie", b"e=2"))
    assert several.header(b"accept") == b"a, c"
    assert several.header(b"cookie") == b"d=1; e=2"
    assert several.header(b"origin") == b""


@pytest.mark.parametrize(
    ("path", "root", "own"),
    [
        ("/shop/a", "/shop", "/a"),
        ("/shop", "/shop", "/"),
        ("/shop/", "/shop", "/"),
        ("/shopping", "/shop", "/shopping"),
        ("/a/shop/b", "/shop", "/a/shop/b"),
        ("/a", "", "/a"),
    ],
)
def test_where_the_application_is_mounted(path: str, root: str, own: str) -> None:
    """The mount point is cut off between two segments only."""
    assert without_root(path, root) == own
    assert request(path=path, root_path=root).app_path == own


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/a b/½", b"", "/a%20b/%C2%BD"),
        ("/shop/a", b"id=1&x=%20", "/a?id=1&x=%20"),
        ("//evil.example/a", b"", "/evil.example/a"),
        ("/a", b"x= \r\n\x00\xff~!", "/a?x=~!"),
        ("/a", b" \xff", "/a"),
        ("/a?b#c%", b"", "/a%3Fb%23c%25"),
    ],
)
def test_links_of_our_own(path: str, query: bytes, target: str) -> None:
    """A link to the page that was asked for is safe in a header, and never leads to another host."""
    assert request(path=path, root_path="/shop", query=query).target == target


def test_quoting() -> None:
    """Paths keep what paths may hold; segments keep unreserved characters only."""
    every = "/:@!$&'()*+,;=~-._"
    assert quote_path(f"/{every}"[1:]) == every
    assert quote_path("a//b") == "a//b"
    assert quote_path("///a") == "/a"
    assert quote_segment(f"{every} %") == "%2F%3A%40%21%24%26%27%28%29%2A%2B%2C%3B%3D~-._%20%25"


@pytest.mark.parametrize(
    ("headers", "navigation"),
    [
        (NAVIGATION, True),
        ((NAVIGATION[0], (b"sec-fetch-dest", b"iframe")), False),
        # What Chromium's service workers make of a navigation that they hand on.
        ((NAVIGATION[0], (b"sec-fetch-dest", b"empty")), True),
        ((NAVIGATION[0],), False),
        (((b"sec-fetch-mode", b"cors"), NAVIGATION[1], (b"accept", b"text/html")), False),
        (((b"accept", b"text/html"),), True),
        (((b"accept", b"application/json"),), False),
        ((), False),
    ],
)
def test_what_a_navigation_is(headers: tuple[Header, ...], navigation: bool) -> None:  # noqa: FBT001
    """A browser says it; of those that do not say, who prefers a page is one."""
    assert request(*headers).is_navigation is navigation


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (b"", "text"),
        (b"*/*", "text"),
        (b"text/*", "text"),
        (b"image/png", "text"),
        (b"text/html", "html"),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        (b"application/xhtml+xml", "html"),
        (b"text/plain, text/html", "html"),
        (b"text/plain;q=1, text/html", "html"),
        (b"text/html, text/plain, text/css, */*;q=0.01", "html"),
        (b"text/plain, text/html;q=0.9", "text"),
        (b"text/plain, text/*", "text"),
        (b"text/html, */*", "html"),
        (b"text/*, application/json", "json"),
        (b"text/plain;q=0.5, text/html;q=0.6", "html"),
        (b"application/json", "json"),
        (b"application/*", "json"),
        (b"application/xhtml+xml;q=0, application/*", "json"),
        (b"application/problem+json, text/html;q=0.9", "json"),
        (b"TEXT/HTML ; Q=0.9 , application/json ; level=1 ; q=0.8", "html"),
        (b"text/plain;q=0, text/html;q=0.1", "html"),
        (b"text/html;q=0, */*;q=0.1", "text"),
        (b"text/*;q=0, application/xhtml+xml;q=0, */*", "json"),
        (b"text/html;q=0", "text"),
        (b"text/html;q=high, application/json;q=0.1", "json"),
        (b"text/html;q=9, application/json;q=1", "html"),
        (b"text/html;q=1, application/json;q=9", "html"),
        (b"text/html;q=-1, application/json;q=0.1", "json"),
        (b"text/html;quality=0, application/json;q=0.9", "html"),
        (b"text/html;q=0.1=2, application/json;q=0.1", "json"),
        (b"text/html;q=0.2;q=0.9, application/json;q=0.5", "json"),
        (b"a/b," * 20_000 + b"text/html", "text"),
    ],
)
def test_which_representation_is_preferred(accept: bytes, preferred: str) -> None:
    """The best quality counts, of one type the most specific range, and at equal weight the first of ours."""
    assert request((b"accept", accept)).preferred_representation == preferred


@pytest.mark.parametrize(
    ("headers", "others", "may"),
    [
        ((), {}, True),
        ((), {"method": "POST"}, True),
        ((), {"method": "PUT"}, True),
        ((), {"method": "PATCH"}, True),
        ((), {"method": "DELETE"}, True),
        ((), {"method": "HEAD"}, False),
        ((), {"method": "OPTIONS"}, False),
        ((), {"method": "get"}, False),
        ((), {"websocket": True}, False),
        (((b"upgrade", b"WebSocket"),), {}, False),
        (((b"upgrade", b"h2c"),), {}, True),
        (NAVIGATION, {}, True),
        (NAVIGATION, {"websocket": True}, False),
        (((b"sec-purpose", b"prefetch"), *NAVIGATION), {}, False),
        (((b"purpose", b"prefetch"), *NAVIGATION), {}, False),
        (((b"x-moz", b"prefetch"), *NAVIGATION), {}, False),
        (((b"x-purpose", b"preview"), *NAVIGATION), {}, False),
        (((b"user-agent", b"Googlebot/2.1"),), {}, False),
        (((b"user-agent", b"Mozilla/5.0 (compatible; SomeBOT)"),), {}, False),
        (((b"user-agent", b"WhatsApp/2"),), {}, False),
        (((b"user-agent", b"Mozilla/5.0 CUBOT X19"),), {}, True),
        ((NAVIGATION[0], (b"sec-fetch-dest", b"iframe")), {}, False),
        ((NAVIGATION[0], (b"sec-fetch-dest", b"empty"), (b"sec-fetch-site", b"same-origin")), {}, True),
        ((*SCRIPT, (b"sec-fetch-site", b"same-origin")), {}, True),
        ((SCRIPT[0], (b"sec-fetch-site", b"same-origin")), {}, True),
        (
            ((b"sec-fetch-mode", b"no-cors"), (b"sec-fetch-dest", b"image"), (b"sec-fetch-site", b"same-origin")),
            {},
            False,
        ),
        (SCRIPT, {}, False),
        ((SCRIPT[0],), {}, False),
        ((SCRIPT[1],), {}, False),
        (((b"sec-fetch-site", b"cross-site"),), {}, False),
        ((*SCRIPT, (b"sec-fetch-site", b"cross-site"), (b"origin", b"https://app.news.example")), {}, False),
        ((*SCRIPT, (b"sec-fetch-site", b"same-site"), (b"origin", b"https://app.news.example")), {}, True),
        ((*SCRIPT, (b"sec-fetch-site", b"same-site"), (b"origin", b"https://x.news.example")), {}, False),
        ((*SCRIPT, (b"sec-fetch-site", b"same-site")), {}, False),
        ((*SCRIPT, (b"sec-fetch-site", b"same-site"), (b"origin", b"\xff")), {}, False),
    ],
)
def test_who_may_order(headers: tuple[Header, ...], others: dict[str, Any], may: bool) -> None:  # noqa: FBT001
    """A person, a script of the site and a client that tells nothing; never what only looks (design, section 8)."""
    assert request(*headers, **others).may_order(OTHERS) is may


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://a.example/x", "https://a.example/y"),
        ("HTTPS://A.Example:443/x", "https://a.example/"),
        ("http://a.example", "http://a.example:80/"),
        ("ftp://a.example/", "ftp://a.example/x"),
        ("https://a.example/" + "x" * (MAX_URL - 18), "https://a.example/"),
    ],
)
def test_what_belongs_to_a_site(url: str, base: str) -> None:
    """Scheme, host and port count; a default port may be written out."""
    assert belongs(url, base)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/",
        "https://b.example/",
        "https://a.example:80/",
        "https://a.example:444/",
        "https://user@a.example/",
        "https://a.example@b.example/",
        "//a.example/",
        "/x",
        "",
        "https://a.example:port/",
        "https://a.example:99999/",
        "https://[a.example/",
        "https://a.example/ x",
        "https://a.example\\@b.example/",
        'https://a.example/"',
        "https://a.example/<",
        "https://a.example/>",
        "https://a.example/\t",
        "https://a.example/é",
        "https://a.example/" + "x" * (MAX_URL - 17),
    ],
)
def test_what_does_not_belong_to_a_site(url: str) -> None:
    """What a browser might read otherwise belongs to nobody."""
    assert not belongs(url, "https://a.example/")


def test_secrets_stay_out_of_logs() -> None:
    """Neither queries nor headers nor bodies are shown."""
    shown = repr(request((b"cookie", b"secret"), query=b"secret")) + repr(
        Response(200, ((b"set-cookie", b"secret"),), b"secret")
    )
    assert "secret" not in shown


def test_what_an_application_says_is_kept() -> None:
    """Everything else of the answer stays, in order and as often as it stood there; our cookies follow."""
    headers = [(b"Set-Cookie", b"a=1"), OWN, (b"Set-Cookie", b"b=2")]
    kept = granted_headers(headers, [b"c=3", b"d=4"])
    assert kept[:3] == headers
    assert kept[-2:] == [(b"set-cookie", b"c=3"), (b"set-cookie", b"d=4")]


@pytest.mark.parametrize(
    ("headers", "script"),
    [
        (SCRIPT, True),
        (NAVIGATION, False),
        ((NAVIGATION[0], (b"sec-fetch-dest", b"empty")), False),
        (((b"sec-fetch-mode", b"no-cors"), (b"sec-fetch-dest", b"empty")), True),
        (((b"sec-fetch-mode", b"no-cors"), (b"sec-fetch-dest", b"image")), False),
        (((b"hx-request", b"true"),), True),
        (((b"hx-request", b"false"),), False),
        (((b"x-requested-with", b"XMLHttpRequest"),), True),
        (((b"x-requested-with", b"com.android.browser"),), False),
        ((), False),
    ],
)
def test_what_a_script_is(headers: tuple[Header, ...], script: bool) -> None:  # noqa: FBT001
    """It gets JSON where a page would be; web views of Android name their app in a header of libraries."""
    asked = request(*headers, (b"accept", b"text/html, */*;q=0.1"))
    assert (asked.is_script, asked.preferred_representation) == (script, "json" if script else "html")


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (b"text/html, application/json;q=0.1", "json"),
        (b"text/plain, application/json;q=0.1", "text"),
        (b"application/rss+xml", "rss"),
        (b"application/atom+xml", "atom"),
        (b"*/*", "json"),
        (b"", "json"),
    ],
)
def test_what_a_script_prefers(accept: bytes, preferred: str) -> None:
    """A script may ask for any form but a page; at equal weight it gets JSON."""
    assert request(*SCRIPT, (b"accept", accept)).preferred_representation == preferred


@pytest.mark.parametrize(
    ("accept", "takes"),
    [(b"*/*", True), (b"text/*;q=0.1", True), (b"application/xhtml+xml", True), (b"image/*", False), (b"", False)],
)
def test_who_takes_a_page(accept: bytes, takes: bool) -> None:  # noqa: FBT001 - a table
    """Robots take whatever comes; what no page can be they do not take."""
    assert request((b"accept", accept)).accepts_html is takes


@pytest.mark.parametrize(
    ("agent", "robot"),
    [
        (b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://x)", True),
        (b"yacybot (/global)", True),
        (b"Some Bot", True),
        (b"Mozilla/5.0 (Linux; Android 9; CUBOT X19) Chrome/86", False),
        (b"Mozilla/5.0 (Linux; Android 9; CUBOT_P20 Build/1)", False),
        (b"Mozilla/5.0 (Linux; Android 9; Robot Phone)", False),
        (b"Robotics/1", False),
        (b"WhatsApp/2.23", True),
        (b"Mozilla/5.0 (iPhone) WhatsApp/2.23", False),
        (b"Pinterest/0.2", True),
        (b"Mozilla/5.0 (iPhone) [Pinterest/iOS]", False),
        (b"Google-InspectionTool/1.0", True),
        (b"Google-HTTP-Java-Client/1.43", False),
        (b"Tiny Tiny RSS/24", True),
        (b"Carssharing/1", False),
        (b"", False),
    ],
)
def test_who_is_a_robot(agent: bytes, robot: bool) -> None:  # noqa: FBT001 - a table
    """Whoever names itself so; phones and apps whose names merely sound like it are people's."""
    assert request((b"user-agent", agent)).is_robot is robot


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"page=%2Fa%3Fb%3Dc", "/a?b=c"),
        (b"x=1&page=/a&y=2", "/a"),
        (b"page=/a&page=/b", ""),
        (b"page=", ""),
        (b"page", ""),
        (b"PAGE=/a", ""),
        (b"", ""),
        (b"page=%FF\xff", "\ufffdÿ"),
    ],
)
def test_a_parameter_of_a_query(query: bytes, value: str) -> None:
    """It is named once, or it is none."""
    assert request(query=query).parameter("page") == value
