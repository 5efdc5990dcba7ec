"""Rules: which resource a path is, what it is called, what it costs, and what is wrong with a list of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.resource import Price, Resource, Rule, resource_of
from taler_paywall.rulecheck import problems_of, rules_of
from taler_paywall.rules import Rules


def name_of(rules: Sequence[Rule], path: str, method: str = "GET", query: bytes = b"") -> str | None:
    """Return the name of what a request asks for; "ambiguous" as it is."""
    found = Rules(rules).resource(method, path, query)
    return found[1].name if isinstance(found, tuple) else found


def price_of_article(resource: Resource) -> str | None:
    return {"one": "KUDOS:0.5", "two": "KUDOS:2"}.get(resource.parts["slug"])


DESIGN = [
    Rule("/articles/sample", price=None),
    Rule("/articles/{slug}/*", price=price_of_article, summary="Article {slug}"),
    Rule("POST /api/v1/translate", price="KUDOS:0.1", page="/pricing"),
]


def test_the_first_match_wins() -> None:
    """The order of the list decides, not how special a pattern is."""
    wide, narrow = Rule("/a/{x}", "KUDOS:1"), Rule("/a/b", "KUDOS:2")

    assert name_of([narrow, wide], "/a/b") == "/a/b"
    assert name_of([wide, narrow], "/a/b") == "/a/{x}?x=b"
    assert name_of([narrow, wide], "/a/c") == "/a/{x}?x=c"


@pytest.mark.parametrize(
    ("pattern", "path", "name"),
    [
        ("/", "/", "/"),
        ("/a", "/a", "/a"),
        ("/a", "/a/", "/a"),
        ("/a/", "/a", "/a/"),
        ("/a", "/A", "/a"),
        ("/Über", "/über", "/Über"),
        ("/film", "/F\u0130LM", "/film"),
        ("/F\u0130LM", "/f\u0131lm", "/F\u0130LM"),
        ("/a", "/ab", None),
        ("/a", "/a/b", None),
        ("/a", "/", None),
        ("/{x}", "/", None),
        ("/{x}", "/b", "/{x}?x=b"),
        ("/{x}", "/B", "/{x}?x=B"),
        ("/{x}", "/a&b=c/", "/{x}?x=a%26b%3Dc"),
        ("/{x}", "/é ½", "/{x}?x=%C3%A9%20%C2%BD"),
        ("/{x}/{y}", "/b/c", "/{x}/{y}?x=b&y=c"),
        ("/{y}/{x}", "/b/c", "/{y}/{x}?x=c&y=b"),
        ("/a/*/c", "/a/b/c", "/a/*/c"),
        ("/a/*/c", "/a/c", None),
        ("/a/*/c", "/a/b/b/c", None),
        ("/a/*", "/a", "/a/*"),
        ("/a/*", "/a/", "/a/*"),
        ("/a/*", "/a/b/c/d", "/a/*"),
        ("/a/*", "/ab", None),
        ("/a/{x}/*", "/a", None),
        ("/a/{x}/*", "/a/b", "/a/{x}/*?x=b"),
        ("/a/{x}/*", "/a/b/c/d.png", "/a/{x}/*?x=b"),
        ("/a/{x}/*/{y}", "/a/b/c/d", "/a/{x}/*/{y}?x=b&y=d"),
        ("/*", "/", "/*"),
        ("/*", "/a/b", "/*"),
        (re.compile(r"/b/(?P<n>\d+)(?:/(?P<m>\d+))?"), "/b/12", r"~/b/(?P<n>\d+)(?:/(?P<m>\d+))??n=12"),
        (re.compile(r"/b/(?P<n>\d+)(?:/(?P<m>\d+))?"), "/b/12/3", r"~/b/(?P<n>\d+)(?:/(?P<m>\d+))??m=3&n=12"),
        (re.compile("/b/x"), "/B/X", "~/b/x"),
        (re.compile("/b/x"), "/b/x/", "~/b/x"),
        (re.compile("/b/ x", re.VERBOSE), "/b/x", "~/b/ x"),
        (re.compile("/b/."), "/b/\n", "~/b/."),
        (re.compile(r"/b/\d"), "/b/12", None),
        (re.compile(r"/b/\d$"), "/b/1\n", None),
    ],
)
def test_patterns(pattern: str | re.Pattern[str], path: str, name: str | None) -> None:
    """Named parts are the identity, stars are not, and a star at the end takes the prefix itself along."""
    assert name_of([Rule(pattern, "KUDOS:1", page="/p")], path) == name


def test_what_a_price_is_asked_about() -> None:
    """A resource tells its rule's pattern, the named parts and the method."""
    found = Rules([Rule("post /a/{x}/*", "KUDOS:1", page="/p")]).resource("POST", "/a/b/c", b"")

    assert isinstance(found, tuple)
    assert found[1] == Resource("POST /a/{x}/*?x=b", "/a/{x}/*", {"x": "b"}, "POST")


METHODS = ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "post", "Put", "POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize(
    ("pattern", "gated"),
    [
        ("/a", set(METHODS)),
        ("GET /a", set(METHODS) - {"POST", "PUT", "PATCH", "DELETE"}),
        ("get  /a", set(METHODS) - {"POST", "PUT", "PATCH", "DELETE"}),
        ("POST /a", {"POST", "post"}),
        ("PUT /a", {"PUT", "Put"}),
        ("DELETE /a", {"DELETE"}),
    ],
)
def test_methods(pattern: str, gated: set[str]) -> None:
    """A method narrows only among the four unsafe ones, and no spelling of it is a way around."""
    rules = [Rule(pattern, "KUDOS:1", page="/p")]

    assert {method for method in METHODS if name_of(rules, "/a", method)} == gated


def test_methods_are_part_of_the_identity() -> None:
    """Reading and writing one path are two resources if two rules sell them."""
    rules = [Rule("POST /a", "KUDOS:1", page="/p"), Rule("GET /a", "KUDOS:1"), Rule("/a", "KUDOS:1", page="/q")]

    assert [name_of(rules, "/a", method) for method in ("POST", "GET", "PUT")] == ["POST /a", "GET /a", "/a"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (b"", "/a"),
        (b"id=1", "/a?id=1"),
        (b"id=", "/a?id="),
        (b"id", "/a?id="),
        (b"%69d=%31&x=2", "/a?id=1"),
        (b"id=1&lang=de", "/a?id=1&lang=de"),
        (b"lang=de&utm=x&id=1", "/a?id=1&lang=de"),
        (b"id=1&id=1", "/a?id=1"),
        (b"id=1&id=2", "ambiguous"),
        (b"id=1&%69d=2", "ambiguous"),
        (b"id=1&id=", "ambiguous"),
        (b"ID=1", "/a"),
        (b"id=%ff", "ambiguous"),
        (b"id=a+b%20c%26", "/a?id=a%20b%20c%26"),
    ],
)
def test_declared_query_keys_are_identity(query: bytes, name: str) -> None:
    """Declared keys tell resources apart, others do not, and two values of one are refused."""
    assert name_of([Rule("/a", "KUDOS:1", query=["id", "lang"])], "/a", query=query) == name


@pytest.mark.parametrize(
    ("free", "path", "is_free"),
    [
        ("/s/sample", "/s/sample", True),
        ("/s/sample", "/s/Sample", False),
        ("/s/sample", "/s/sample/", False),
        ("/s/sample/", "/s/sample/", True),
        ("/s/sample/", "/s/sample", False),
        ("/s/{x}", "/s/b", True),
        ("/s/{x}", "/S/b", False),
        ("/s/{x}", "/s/b/", False),
        ("/s/*/c", "/s/b/c", True),
        ("/s/*/c", "/s/b/C", False),
        ("/s/free/*", "/s/free", True),
        ("/s/free/*", "/s/free/a/b", True),
        ("/s/free/*", "/s/Free/a", False),
        ("GET /s/sample", "/s/sample", True),
        ("POST /s/sample", "/s/sample", False),
        (re.compile(r"/s/[a-c]+"), "/s/abc", True),
        (re.compile(r"/s/[a-c]+"), "/s/ABC", False),
        (re.compile(r"/s/[a-c]+"), "/s/abc/", False),
    ],
)
def test_free_exceptions_are_exact(free: str | re.Pattern[str], path: str, is_free: bool) -> None:  # noqa: FBT001
    """A free rule means what it says, letter by letter; everything else falls through to what is paid."""
    name = name_of([Rule(free, None), Rule("/s/*", "KUDOS:1")], path)

    assert name == ("free" if is_free else "/s/*")


# Identity: names and pages.

SHOP = (
    Rule("/articles/sample", None),
    Rule("POST /articles/{slug}", "KUDOS:1", page="/pricing"),
    Rule("/articles/{slug}/*", "KUDOS:1"),
    Rule("/premium/*", "KUDOS:1"),
    Rule("/book/{title}/{chapter}", "KUDOS:1", query=("page", "lang")),
    Rule("/shelf/*/{title}", "KUDOS:1", page="/book/{title}"),
    Rule(re.compile(r"/shop/(?P<kind>[a-z]+)-(?P<item>\d+)(?:/(?P<part>.*))?"), "KUDOS:1", page="/shop"),
    Rule("GET /api/{call}", "KUDOS:1"),
    Rule("/read", "KUDOS:1", query=("id",)),
)
WORDS = st.sampled_from(["a", "b", "a b", "a&b=c", "a?b", "é", "½", "%41", "a%2Fb", "12", "one", "resource=x", "A"])
QUERIES = st.lists(
    st.tuples(st.sampled_from(["id", "page", "lang", "x", "resource"]), WORDS.filter(str.isascii)), max_size=3
).map(lambda pairs: "&".join(f"{key}={value.replace('%', '%25').replace('&', '%26')}" for key, value in pairs))
PATHS = st.one_of(
    st.builds("/articles/{}".format, WORDS),
    st.builds("/articles/{}/{}".format, WORDS, WORDS),
    st.builds("/book/{}/{}".format, WORDS, WORDS),
    st.builds("/shelf/{}/{}".format, WORDS, WORDS),
    st.builds("/shop/{}-{}".format, st.sampled_from("ab"), st.integers(0, 3)),
    st.builds("/shop/{}-{}/{}".format, st.sampled_from("ab"), st.integers(0, 3), st.just("") | WORDS),
    st.builds("/api/{}".format, WORDS),
    st.sampled_from(["/premium", "/premium/x", "/read"]),
)
ASKED = st.tuples(st.sampled_from(["GET", "POST", "HEAD"]), PATHS, QUERIES)
Asked = tuple[str, str, str]


def identity(rules: tuple[Rule, ...], asked: Asked) -> tuple[tuple[object, ...], str, str] | None:
    """Return what a request's resource is, in words of its own, its name and its page."""
    method, path, query = asked
    found = Rules(rules).resource(method, path, query.encode())
    if not isinstance(found, tuple):
        return None
    rule, resource = found
    parts = tuple(sorted(resource.parts.items()))
    return (rules.index(rule), *parts), resource.name, rule.page_of(resource)


def hold_apart(rules: tuple[Rule, ...], requests: Sequence[Asked]) -> None:
    """Compare every request with every other: same resource, same name and page; different, different."""
    found = [seen for asked in requests if (seen := identity(rules, asked))]
    for one, other in itertools.combinations(found, 2):
        same = one[0] == other[0]
        assert (one[1] == other[1]) == same, f"names {one} {other}"
        assert (one[2] == other[2]) == same, f"pages {one} {other}"


@settings(max_examples=500)
@given(st.lists(ASKED, min_size=2, max_size=12))
def test_names_and_pages_tell_resources_apart(requests: list[Asked]) -> None:
    """Two different resources never share a name or a fulfillment page; one resource always has the same ones."""
    hold_apart(SHOP, requests)


SEGMENTS = st.sampled_from(["a", "b", "c", "{x}", "*"])


@st.composite
def accepted_rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    """Small lists of rules in which the paywall finds nothing wrong."""
    patterns = draw(st.lists(st.lists(SEGMENTS, min_size=1, max_size=3), min_size=2, max_size=4))
    rules: list[Rule] = []
    for segments in patterns:
        if segments.count("{x}") < 2 and "*" not in segments[:-1]:
            rule = Rule("/" + "/".join(segments), "KUDOS:1", query=draw(st.sampled_from([(), (), ("id",)])))
            rules += [] if list(problems_of([*rules, rule])) else [rule]
    return tuple(rules)


@settings(max_examples=300)
@given(
    accepted_rules(),
    st.lists(
        st.tuples(
            st.just("GET"),
            st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda names: "/" + "/".join(names)),
            st.sampled_from(["", "id=1", "id=2"]),
        ),
        min_size=8,
        max_size=40,
    ),
)
def test_any_accepted_list_tells_resources_apart(rules: tuple[Rule, ...], requests: list[Asked]) -> None:
    """Whatever list of rules is accepted at construction, no two of its resources share a name or a page."""
    hold_apart(rules, requests)


@pytest.mark.parametrize(
    ("rules", "one", "other"),
    [
        (
            (Rule("/articles/special", "KUDOS:5"), Rule("/articles/{slug}/*", "KUDOS:0.5")),
            ("GET", "/articles/special", ""),
            ("GET", "/articles/special/a.png", ""),
        ),
        (
            (Rule(re.compile(r"/a/*"), "KUDOS:0.1", page="/cheap"), Rule("/a/*", "KUDOS:5")),
            ("GET", "/a", ""),
            ("GET", "/a/b", ""),
        ),
        (
            (
                Rule(re.compile(r"/a(?P<x>.)"), "KUDOS:0.1", page="/cheap"),
                Rule(re.compile(r"/a(?P<x>.)", re.DOTALL | re.IGNORECASE), "KUDOS:5", page="/dear"),
            ),
            ("GET", "/a1", ""),
            ("GET", "/A1", ""),
        ),
        (
            (Rule(re.compile(r"/a?id=1"), "KUDOS:0.1", page="/cheap"), Rule("/a", "KUDOS:5", query=("id",))),
            ("GET", "/id=1", ""),
            ("GET", "/a", "id=1"),
        ),
    ],
)
def test_look_alikes_are_refused_or_told_apart(rules: tuple[Rule, ...], one: Asked, other: Asked) -> None:
    """Two rules whose resources would share a name or a page are refused at construction, or the names differ."""
    if not list(problems_of(rules)):
        hold_apart(rules, [one, other])


@pytest.mark.parametrize(
    ("rule", "parts", "page"),
    [
        (Rule("/a", "KUDOS:1"), {}, "/a"),
        (Rule("/*", "KUDOS:1"), {}, "/"),
        (Rule("/a/*", "KUDOS:1"), {}, "/a"),
        (Rule("/a/{x}/*", "KUDOS:1"), {"x": "b c/d?é"}, "/a/b%20c%2Fd%3F%C3%A9"),
        (Rule("/Über uns", "KUDOS:1"), {}, "/%C3%9Cber%20uns"),
        (Rule("/a", "KUDOS:1", query=("q", "p")), {"p": "1 2", "q": "&"}, "/a?q=%26&p=1%202"),
        (Rule("/a", "KUDOS:1", query=("q", "p")), {"p": ""}, "/a?p="),
    ],
)
def test_pages(rule: Rule, parts: dict[str, str], page: str) -> None:
    """The page is the template, filled in and quoted, without the star at the end."""
    assert rule.page_of(resource_of(rule, parts)) == page


def test_shared_pages_are_marked() -> None:
    """Resources that share a page of the site's choosing are told apart by a fixed marker."""
    rule = Rule(re.compile("/x/(?P<n>.)"), "KUDOS:1", page="/pricing")
    one, two = (resource_of(rule, {"n": n}) for n in "12")

    assert rule.page_of(one) == f"/pricing?resource={one.tag}"
    assert rule.page_of(one) != rule.page_of(two)
    assert re.fullmatch(r"[0-9a-f]{16}", one.tag)
    assert Rule("/a", "KUDOS:1").page_of(one, marked=True) == f"/a?resource={one.tag}"


@pytest.mark.parametrize("page", ["/articles/{slug}.html", "/read-{slug}"])
def test_parts_within_a_segment_of_the_page_are_filled_in_or_refused(page: str) -> None:
    """A page that names a part anywhere leads to a page of the site, never to the braces themselves."""
    rule = Rule(re.compile(r"/articles/(?P<slug>[^/]+)\.html"), "KUDOS:1", page=page)

    assert list(problems_of([rule])) or "%7B" not in rule.page_of(resource_of(rule, {"slug": "one"}))


def test_a_page_of_parts_that_are_not_there() -> None:
    """An optional group that a path lacks leaves a gap in the page, and the marker tells the resources apart."""
    rule = Rule(re.compile("/read(?:/(?P<id>.+))?"), "KUDOS:1", page="/read/{id}")
    whole, part = resource_of(rule, {}), resource_of(rule, {"id": "a b"})

    assert rule.page_of(whole) == f"/read/?resource={whole.tag}"
    assert rule.page_of(part) == f"/read/a%20b?resource={part.tag}"


# Summaries and prices.


@pytest.mark.parametrize("price", ["KUDOS:0.5", Amount("KUDOS", 0, 50_000_000)])
def test_prices_are_texts_or_amounts(price: str | Amount) -> None:
    """Fixed or found by a callable; what a callable says is not known beforehand."""
    fixed, found = Rule("/a", price), Rule("/a", lambda _: price)
    for rule in (fixed, found):
        assert rule.price_of(resource_of(rule, {})) == Amount("KUDOS", 0, 50_000_000)
    assert fixed.fixed_price == Amount("KUDOS", 0, 50_000_000)
    assert found.fixed_price is None


def test_summaries() -> None:
    """A summary is a text with the resource's parts, a callable, or made from the page."""
    resource = resource_of(Rule("/a/{x}", "KUDOS:1"), {"x": "b c"})

    assert Rule("/a/{x}", "KUDOS:1", summary="The {x}, {{x}}").summary_of(resource) == "The b c, {x}"
    assert Rule("/a/{x}", "KUDOS:1", summary=lambda r: r.parts["x"].upper()).summary_of(resource) == "B C"
    assert Rule("/a/{x}", "KUDOS:1").summary_of(resource) == "Access to /a/b%20c"


def test_a_summary_that_is_no_text() -> None:
    """The backend would refuse the order, and nobody would know why."""
    rule = Rule("/a/{x}", "KUDOS:1", summary=cast(Any, lambda _: 1))
    with pytest.raises(CodecError, match=r"/a/\{x\}\?x=b"):
        rule.summary_of(resource_of(rule, {"x": "b"}))


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (Rule("/read", "KUDOS:1", summary="Article {id}", query=("id",)), "/read"),
        (Rule(re.compile("/read(?:/(?P<id>.+))?"), "KUDOS:1", summary="Article {id}", page="/p"), "/read"),
    ],
)
def test_summaries_of_parts_that_are_not_there(rule: Rule, path: str) -> None:
    """A query key or an optional group that a request lacks leaves a gap in the summary, and no error."""
    found = Rules([rule]).resource("GET", path, b"")

    assert isinstance(found, tuple)
    assert found[0].summary_of(found[1]) == "Article "


def test_prices() -> None:
    """A price is a text, an amount, or what a callable says of the resource."""
    resource = resource_of(DESIGN[1], {"slug": "one"})

    assert Rule("/a", "kudos:0.50").price_of(resource) == Amount("KUDOS", 0, 50_000_000)
    assert Rule("/a", Amount("EUR", 1, 0)).price_of(resource) == Amount("EUR", 1, 0)
    assert DESIGN[1].price_of(resource) == Amount("KUDOS", 0, 50_000_000)
    assert DESIGN[1].price_of(resource_of(DESIGN[1], {"slug": "no"})) is None
    assert DESIGN[0].price_of(resource) is None


@pytest.mark.parametrize(
    "wrong", ["KUDOS:0", "KUDOS:0.00000000", Amount("KUDOS", 0, 0), "1", "KUDOS:-1", "", 5, 0, b"K"]
)
def test_wrong_prices_of_callables_are_errors(wrong: Any) -> None:
    """A callable that gives zero or no amount sells nothing: it is an error, never a free resource."""
    resource = resource_of(DESIGN[1], {"slug": "one"})

    with pytest.raises(CodecError):
        Rule("/a", lambda _: wrong).price_of(resource)


# Mistakes.


def test_correct_lists_have_no_problems() -> None:
    """The design's own examples, and all kinds of rules together, are accepted."""
    assert list(problems_of(DESIGN)) == []
    assert list(problems_of(rules_of({"/articles/{slug}": "KUDOS:0.5"}))) == []
    assert list(problems_of([Rule("/premium/*", "KUDOS:1")])) == []
    assert list(problems_of(SHOP)) == []


def test_declared_query_keys_may_be_a_list() -> None:
    """The design's own way to declare query keys is accepted."""
    assert list(problems_of([Rule("/read", "KUDOS:1", query=["id"])])) == []
    assert list(problems_of([Rule("/read", None, query=["id"]), Rule("/x/*", "KUDOS:1", query=["id"])])) == []


def test_the_short_form() -> None:
    """A mapping of patterns and prices is a list of rules, in its order."""
    assert rules_of({"/a": "KUDOS:1", "/b": None}) == [Rule("/a", "KUDOS:1"), Rule("/b", None)]


REGEX = re.compile("/a/(?P<x>.+)")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (Rule("", "KUDOS:1"), "begins with a slash"),
        (Rule("a", "KUDOS:1"), "begins with a slash"),
        (Rule("POST/a", "KUDOS:1", page="/p"), "begins with a slash"),
        (Rule("https://x/a", "KUDOS:1"), "begins with a slash"),
        (Rule(re.compile(r"^dj/(?P<s>[a-z]+)/$"), "KUDOS:1", page="/p"), "every path begins with a slash"),
        (Rule(re.compile(r"(?i)\Apaid"), "KUDOS:1", page="/p"), "every path begins with a slash"),
        (Rule(5, "KUDOS:1"), "text or a compiled regular expression"),  # type: ignore[arg-type]
        (Rule(None, "KUDOS:1"), "text or a compiled regular expression"),  # type: ignore[arg-type]
        (Rule(re.compile(b"/a"), "KUDOS:1", page="/p"), "for bytes"),  # type: ignore[arg-type]
        (Rule("HEAD /a", "KUDOS:1"), "the method is one of GET"),
        (Rule("BREW /a", "KUDOS:1"), "the method is one of GET"),
        (Rule("/a/x{slug}", "KUDOS:1"), "whole segment"),
        (Rule("/a/{slug}.html", "KUDOS:1"), "whole segment"),
        (Rule("/a/{0}", "KUDOS:1"), "whole segment"),
        (Rule("/a/{}", "KUDOS:1"), "whole segment"),
        (Rule("/a/b*", "KUDOS:1"), "whole segment"),
        (Rule("/a/**", "KUDOS:1"), "whole segment"),
        (Rule("/a/{x", "KUDOS:1"), "whole segment"),
        (Rule("/a/%20b", "KUDOS:1"), "decoded paths"),
        (Rule("/a/../b", "KUDOS:1"), "decoded paths"),
        (Rule("/./a", "KUDOS:1"), "decoded paths"),
        (Rule("/a?x=1", "KUDOS:1"), "decoded paths"),
        (Rule("/a#b", "KUDOS:1"), "decoded paths"),
        (Rule("/a;b", "KUDOS:1"), "decoded paths"),
        (Rule("/a\\b", "KUDOS:1"), "decoded paths"),
        (Rule("/a\n", "KUDOS:1"), "decoded paths"),
        (Rule("/e\u0301", "KUDOS:1"), "decoded paths"),
        (Rule("/a//b", "KUDOS:1"), "empty segment"),
        (Rule("//a", "KUDOS:1"), "empty segment"),
        (Rule("/{x}/{x}", "KUDOS:1"), "stands twice"),
        (Rule("/{x}", "KUDOS:1", query=("x",)), "stands twice"),
        (Rule("/a", "KUDOS:1", query=("x", "x")), "stands twice"),
        (Rule(REGEX, "KUDOS:1", page="/p", query=("x",)), "stands twice"),
        (Rule("/a", "KUDOS:0"), "price=None"),
        (Rule("/a", Amount("KUDOS", 0, 0)), "price=None"),
        (Rule("/a", "0.5 KUDOS"), "KUDOS:0.5"),
        (Rule("/a", ""), "KUDOS:0.5"),
        (Rule("/a", 5), "KUDOS:0.5"),  # type: ignore[arg-type]
        (Rule("/a", 0.5), "KUDOS:0.5"),  # type: ignore[arg-type]
        (Rule("/a", "KUDOS:1", query=("again",)), "used by the paywall itself"),
        (Rule("/a", "KUDOS:1", query=("resource",)), "used by the paywall itself"),
        (Rule("/a", "KUDOS:1", query="id"), "query"),
        (Rule("/a", "KUDOS:1", page="pricing"), "page is a path"),
        (Rule("/a", "KUDOS:1", page="/pricing?x"), "page is a path"),
        (Rule("/a", "KUDOS:1", page="https://x/a"), "page is a path"),
        (Rule("/a/{x}", "KUDOS:1", page="/p/{y}"), "['y']"),
        (Rule("/a", "KUDOS:1", page=5), "page"),  # type: ignore[arg-type]
        (Rule(REGEX, "KUDOS:1"), "needs page="),
        (Rule("POST /a", "KUDOS:1"), "needs page="),
        (Rule("DELETE /a/{x}", "KUDOS:1"), "needs page="),
        (Rule("/a/*/b", "KUDOS:1"), "needs page="),
        (Rule("/a/{x}", "KUDOS:1", summary="{y}"), "['y']"),
        (Rule("/a/{x}", "KUDOS:1", summary="{x.__class__}"), "x.__class__"),
        (Rule("/a/{x}", "KUDOS:1", summary="{}"), "names"),
        (Rule("/a/{x}", "KUDOS:1", summary="{x"), "no format text"),
        (Rule("/a", "KUDOS:1", summary=5), "summary"),  # type: ignore[arg-type]
        ("/a", "write Rule(pattern, price)"),
        (("/a", "KUDOS:1"), "write Rule(pattern, price)"),
    ],
)
def test_every_mistake_is_reported(rule: Any, problem: str) -> None:
    """Each kind of mistake has its sentence, and correct rules beside it do not hide it."""
    for rules in ([rule], [Rule("/z", "KUDOS:1"), rule]):
        assert any(problem in found for found in problems_of(rules)), list(problems_of(rules))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/a", "/a"),
        ("/a", "/a/"),
        ("/a", "/A"),
        ("/a/*", "/a"),
        ("/a/*", "/a/b"),
        ("/a/*", "/a/{x}/*"),
        ("/*", "/"),
        ("/*", "GET /a/b/c"),
        ("/a/{x}", "/a/b"),
        ("/a/{x}", "/a/{y}"),
        ("/a/{x}/*", "/a/{y}"),
        ("GET /a", "GET /a"),
        ("/a", "POST /a"),
    ],
)
@pytest.mark.parametrize("price", ["KUDOS:2", lambda _: "KUDOS:2"])
def test_rules_that_are_never_reached_are_reported(earlier: str, later: str, price: Price) -> None:
    """A rule that an earlier one covers completely is refused."""
    found = list(problems_of([Rule(earlier, "KUDOS:1", page="/p"), Rule(later, price, page="/q")]))

    assert any("never reached" in problem and "change their order" in problem for problem in found), found


@pytest.mark.parametrize(
    ("paid", "free"), [("/a/*", "/a/sample"), ("/A/*", "/A/Sample"), ("/a/sample", "/a/sample/"), ("/{x}", "/Sample")]
)
def test_free_exceptions_behind_what_is_paid_are_reported(paid: str, free: str) -> None:
    """A free exception that comes too late is refused, however its letters are spelt."""
    found = list(problems_of([Rule(paid, "KUDOS:1"), Rule(free, None)]))

    assert any("never reached" in problem for problem in found)


@pytest.mark.parametrize(
    "patterns",
    [
        ("/a/b", "/a/{x}"),
        ("/a", "/a/*"),
        ("POST /a", "/a"),
        ("/a/b/*", "/a/*"),
        ("/{x}/b", "/a/{y}"),
        ("/a/{x}/b", "/a/{x}/c"),
    ],
)
def test_overlapping_rules_in_a_sensible_order_are_accepted(patterns: tuple[str, ...]) -> None:
    """The special rule before the general one is what an order is for."""
    assert list(problems_of([Rule(p, f"KUDOS:{n + 1}", page=f"/p{n}") for n, p in enumerate(patterns)])) == []


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ([Rule("POST /buy", "KUDOS:1", page="/paid/x"), Rule("/paid/*", "KUDOS:2")], True),
        ([Rule("POST /buy", "KUDOS:1", page="/größe/x"), Rule("/größe/*", "KUDOS:2")], True),
        ([Rule("POST /buy", "KUDOS:1", page="/a b/x"), Rule("/a b/*", "KUDOS:2")], True),
        ([Rule("POST /buy", "KUDOS:1", page="/free/x"), Rule("/free/x", None), Rule("/free/*", "KUDOS:2")], False),
    ],
)
def test_pages_that_are_sold_by_another_rule_are_reported(rules: list[Rule], found: bool) -> None:  # noqa: FBT001
    """A reader who paid is not led to a page that asks for another payment."""
    assert any("give it another page=" in problem for problem in problems_of(rules)) == found


def test_all_mistakes_are_reported_at_once() -> None:
    """One start shows every mistake, of one rule and of several."""
    rules: list[Any] = [
        Rule("a", "KUDOS:1"),
        Rule("/b//{x}/{x}", "KUDOS:0", page="p", summary="{z}"),
        "/c",
        Rule(REGEX, "1 EUR"),
    ]
    found = list(problems_of(rules))

    assert len([problem for problem in found if "'/b//{x}/{x}'" in problem]) == 5
    assert len(found) == 1 + 5 + 1 + 2
    assert all(len(problem) > 30 for problem in found)


def test_no_rule_is_a_mistake() -> None:
    """A paywall that sells nothing says so."""
    assert [problem for problem in problems_of([]) if "enabled=False" in problem]


@pytest.mark.parametrize("check", [lambda rule: hash(rule) is not None, lambda rule: rule == Rule("/a", "KUDOS:1")])
def test_rules_are_values(check: Callable[[Rule], bool]) -> None:
    """Rules compare and hash by what they say."""
    assert check(Rule("/a", "KUDOS:1"))
