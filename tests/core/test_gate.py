"""The path gate: every way to ask for what is sold is sold or refused, and nothing else is touched."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.names import ORDINARY_NAMES
from taler_paywall.decision import Refused
from taler_paywall.gate import Gate
from taler_paywall.http import Request
from taler_paywall.path import MAX_PATH
from taler_paywall.resource import Rule
from taler_paywall.rules import Rules

RULES = (
    Rule("/articles/sample", None),
    Rule("/articles/{slug}", "KUDOS:1"),
    Rule("/premium/preview/*", None),
    Rule("/premium/*", "KUDOS:2"),
    Rule("/about/paid", "KUDOS:3"),
    Rule(re.compile(r"/shop/item-(?P<item>\d+)"), "KUDOS:4", page="/pricing"),
    Rule("POST /api/translate", "KUDOS:5", page="/pricing"),
)
GATE = Gate(RULES)
SALES = Gate((Rule("/articles/{slug}", "KUDOS:1"),))
SECRET = Gate((Rule("/secret", "KUDOS:1"),))


def decode(raw: bytes) -> str:
    """Decode a raw path as the usual servers do."""
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def ask(target: str, *, root: str = "", method: str = "GET", query: bytes = b"", told: bool = True) -> Request:
    """Return the request for a target; a server that does not tell the raw path is one with ``told=False``."""
    raw = target.encode()
    return Request(method, decode(raw), raw if told else None, root, query, [])


def find(gate: Gate, request: Request) -> tuple[Rule, str] | Refused | None:
    """Ask the gate, and hold its quick look against the thorough one."""
    found = gate.find(request)
    if found is not None:
        assert gate.concerns(request.path, request.raw_path, request.root_path)
    return (found[0], found[1].name) if isinstance(found, tuple) else found


ODD = Refused(400, "ambiguous-path")


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("target", "index", "name"),
    [
        ("/articles/one", 1, "/articles/{slug}?slug=one"),
        ("/articles/one/", 1, "/articles/{slug}?slug=one"),
        ("/ARTICLES/one", 1, "/articles/{slug}?slug=one"),
        ("/%61rticles/%6fne", 1, "/articles/{slug}?slug=one"),
        ("/articles/One", 1, "/articles/{slug}?slug=One"),
        ("/articles/Sample", 1, "/articles/{slug}?slug=Sample"),
        ("/Articles/sample", 1, "/articles/{slug}?slug=sample"),
        ("/articles/sample/", 1, "/articles/{slug}?slug=sample"),
        ("/premium", 3, "/premium/*"),
        ("/premium/", 3, "/premium/*"),
        ("/Premium/a/b.png", 3, "/premium/*"),
        ("/premium/previews", 3, "/premium/*"),
        ("/premium/Preview/a", 3, "/premium/*"),
        ("/about/paid", 4, "/about/paid"),
        ("/ABOUT/Paid/", 4, "/about/paid"),
        ("/shop/item-12", 5, r"~/shop/item-(?P<item>\d+)?item=12"),
    ],
)
def test_plain_paths_are_sold(target: str, index: int, name: str, told: bool) -> None:  # noqa: FBT001 - drawn
    """A plain path is sold by the rule that the application's router would apply, case and a last slash aside."""
    assert find(GATE, ask(target, told=told)) == (RULES[index], name)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/articles",
        "/articles/",
        "/articles/sample",
        "/articles/%73ample",
        "/articles/one/comments",
        "/article/one",
        "/xarticles/one",
        "/premium/preview",
        "/premium/preview/a/b",
        "/premiums",
        "/about",
        "/about/paid.html",
        "/shop/item-",
        "/shop/item-12x",
        "/api/translate",
        "/x%20y/½",
    ],
)
def test_other_plain_paths_pass(target: str, told: bool) -> None:  # noqa: FBT001 - drawn
    """What no rule sells, and a free exception exactly as it is written, passes."""
    assert find(GATE, ask(target, told=told)) is None


@pytest.mark.parametrize("name", ORDINARY_NAMES)
def test_awkward_names_are_sold(name: str) -> None:
    """Ordinary names of any script are sold like all others, each as a resource of its own."""
    found = SALES.find(ask(f"/articles/{quote(name)}"))

    assert isinstance(found, tuple)
    assert found[1].parts == {"slug": name}
    assert SALES.find(ask(f"/articles/{quote(name)}", told=False)) == found
    assert SECRET.find(ask(f"/articles/{quote(name)}")) is None


@pytest.mark.parametrize("name", ["می‌خواهم", "क्‍ष", "👩‍💻", "क्‍षमی‌خ"])
def test_names_with_joiners_are_sold(name: str) -> None:
    """The joiners that Persian, Hindi and emoji spell with are ordinary there: any script in NFC is sold."""
    assert isinstance(SALES.find(ask(f"/articles/{quote(name)}")), tuple)


#: How to ask for ``/secret`` in other words.
ODD_TARGETS = [
    "//secret",
    "/secret//",
    "/%2fsecret",
    "/%2Fsecret",
    "/./secret",
    "/secret/.",
    "/x/../secret",
    "/x/%2e%2e/secret",
    "/x/.%2e/secret",
    "/x/..;/secret",
    "/x/..%2fsecret",
    "/x%2f..%2fsecret",
    "/..//secret",
    "/../../secret",
    "/\\secret",
    "\\secret",
    "/%5csecret",
    "/x\\..\\secret",
    "/secret;x=1",
    "/secret;",
    "/;/secret",
    "/secret%3bx",
    "/secret%00%zz",
    "/secret%00",
    "/secret%00.html",
    "/secret%0a",
    "/secret%0d%0a",
    "/secret%09",
    "/secret%7f",
    "/%0asecret",
    "/sec%1fret",
    "/secret%ff",
    "/secret%ff%fe",
    "/sec%c0ret",
    "/secre%2574",
    "/%2573ecret",
    "/%25252fsecret",
    "/x%252f..%252fsecret",
    "/secret%3fx",
    "/secret%23x",
    "/secret#x",
    "/secret%20",
    "/%20secret",
    "/secret%c2%a0",
    "/secret%e2%80%8b",
    "/%ef%bb%bfsecret",
    "/sec%c2%adret",
    "/%ef%bd%93ecret",
    "/%EF%BC%B3ECRET",
    "/\uff53ecret",
    "/%ef%bd%93ecret/",
    "/\u017fecret",
    "/%e2%93%a2ecret",
    "/%ef%bc%8fsecret",
    "/secret%ef%bc%9fx",
    "/secret%ef%bc%83x",
    "/%ef%bd%93ecret%ef%bc%9fx=1",
    "/x/%e2%80%a5/secret",
    "/SECRET//",
    "secret",
    "%2fsecret",
    "http://news.example/secret",
    "x:/secret",
    "http:/secret",
]


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_odd_ways_to_ask_are_refused(target: str) -> None:
    """A path of several readings is refused as soon as one of them is sold, and passes if none is."""
    assert find(SECRET, ask(target)) == ODD
    assert find(GATE, ask(target)) is None


@pytest.mark.parametrize(
    "target",
    [
        "/articles//sample",
        "/articles/sample%0a",
        "/articles/%2e/sample",
        "/articles/sample;x",
        "/articles%2fsample",
        "/premium/preview/..%2fgold",
        "/premium/preview/../gold",
        "/premium/cheap/../gold",
        "/premium/%0asecret",
        "/premium/a%2fb",
        "/premium/a//b",
        "/articles/e%cc%81te%cc%81",
        "/articles/a%252fb",
        "/shop//item-12",
        "/shop/item-12%0a",
    ],
)
def test_odd_ways_into_other_rules_are_refused(target: str) -> None:
    """Templates, sections, expressions and free exceptions have no side entrance."""
    assert find(GATE, ask(target)) == ODD


@pytest.mark.parametrize("target", ["/secret%zz", "/secret%", "/secret%2", "/secret.", "/secret%2e", "/secretx//"])
def test_other_names_pass(target: str) -> None:
    """What is a name of its own in every reading passes, odd or not."""
    assert find(SECRET, ask(target)) is None


@pytest.mark.parametrize("root", ["/base", "/base/deep", "/bäse"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/articles/one", (RULES[1], "/articles/{slug}?slug=one")),
        ("/articles/sample", None),
        ("/premium", (RULES[3], "/premium/*")),
        ("", None),
        ("/articles//one", ODD),
        ("/articles/sample%0a", ODD),
        ("/x/../about/paid", ODD),
        ("/%ef%bd%81bout/paid", ODD),
        ("/x//y", None),
    ],
)
def test_a_mounted_site_is_gated(root: str, path: str, expected: object) -> None:
    """Where the application is mounted, its own view of the path is judged, and the quick look sees it too."""
    assert find(GATE, ask(quote(root) + path, root=root)) == expected


@pytest.mark.parametrize(
    ("target", "root", "sold"),
    [
        ("/base/about/paid", "/base", True),
        ("/basement/about/paid", "/base", False),
        ("/bas/about/paid", "/base", False),
        ("/base/about/paid", "", False),
        ("/about/paid", "/base", True),
        ("/about/paid", "/about", True),
        ("/sabout/base/paid", "/base", False),
        ("/premium/base-camp", "/base", True),
        ("/base/premium/base/x", "/base", True),
    ],
)
def test_the_root_is_cut_between_segments(target: str, root: str, sold: bool) -> None:  # noqa: FBT001 - a table
    """The root is cut where a segment ends; a path without it, or with it as part of the rule, is judged whole."""
    assert isinstance(find(GATE, ask(target, root=root)), tuple) == sold


@pytest.mark.parametrize(
    "target", ["/baseabout/paid", "/x/base/about/paid", "/baseARTICLES/one", "/x/base/about/paid/"]
)
def test_frameworks_that_find_the_root_anywhere_are_heeded(target: str) -> None:
    """Some cut the root off wherever it stands in a path: what is left is sold, and the path itself is not."""
    assert find(GATE, ask(target, root="/base")) == ODD
    assert not isinstance(find(GATE, ask(target)), tuple)


@pytest.mark.parametrize("target", ["//base/secret", "/x/../base/secret", "/base//../base/secret", "/base%2fsecret"])
def test_odd_ways_around_the_root_are_refused(target: str) -> None:
    """A reading that is sold only once the root is cut from it counts like every other."""
    assert find(SECRET, ask(target, root="/base")) == ODD


@pytest.mark.parametrize(
    ("rules", "target"),
    [
        ((Rule("/secret", "KUDOS:1"), Rule("/{x}", None)), "/%ef%bd%93ecret"),
        ((Rule("POST /{x}", "KUDOS:1", page="/buy/it"), Rule("/secret", "KUDOS:1")), "/%ef%bd%93ecret"),
        ((Rule("/secret", "KUDOS:9"), Rule("/{x}", "KUDOS:0.1")), "/%ef%bd%93ecret"),
        ((Rule("/premium/preview/*", None), Rule("/premium/*", "KUDOS:1")), "/premium/preview/%e2%80%a5/gold"),
    ],
)
def test_another_rule_that_matches_is_no_way_in(rules: tuple[Rule, ...], target: str) -> None:
    """A compatibility spelling of what is sold is refused even if a rule for something else takes it by the letter."""
    assert find(Gate(rules), ask(target)) == ODD


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PROPFIND", "get", "post", "TRACE", "BREW"])
def test_the_method_is_no_way_in(method: str) -> None:
    """A GET rule gates all tokens but the four unsafe methods; odd paths are refused whatever the method."""
    gate = Gate((Rule("GET /secret", "KUDOS:1"),))

    assert isinstance(find(gate, ask("/secret", method=method)), tuple)
    assert find(gate, ask("//secret", method=method)) == ODD


def test_unsafe_methods_are_told_apart() -> None:
    """A rule of one unsafe method leaves the others, and GET, alone."""
    gate = Gate((Rule("POST /api", "KUDOS:1", page="/pricing"),))

    assert {m: find(gate, ask("/api", method=m)) is not None for m in ("POST", "post", "PUT", "GET", "DELETE")} == {
        "POST": True,
        "post": True,
        "PUT": False,
        "GET": False,
        "DELETE": False,
    }


def test_ambiguous_query_is_refused() -> None:
    """A declared key with two values is refused, wherever the application may look first."""
    gate = Gate((Rule("/read", "KUDOS:1", query=("id",)),))

    assert find(gate, ask("/read", query=b"id=1&id=2")) == Refused(400, "ambiguous-query")
    assert find(gate, ask("/read", query=b"id=1&x=2&id=1")) == (gate._rules.rules[0], "/read?id=1")
    assert find(gate, ask("/read", query=b"next=/free")) == (gate._rules.rules[0], "/read")


def test_ambiguous_query_is_no_way_in_for_look_alikes() -> None:
    """A compatibility spelling is refused even if the plain one would have been refused for its query."""
    gate = Gate((Rule("/read", "KUDOS:1", query=("id",)),))

    assert isinstance(find(gate, ask("/%ef%bd%92ead", query=b"id=1&id=2")), Refused)


@pytest.mark.parametrize("name", ["on\u200de", "\u200cone", "one\u200d"])
def test_joiners_in_latin_names_are_odd(name: str) -> None:
    """A joiner that joins nothing is an invisible character like others: no second name of an article."""
    assert find(SALES, ask(f"/articles/{quote(name)}")) == ODD


def test_the_empty_path_is_the_front_page() -> None:
    """A target with a query and nothing else asks for the front page, however that is sold."""
    for pattern in ("/", "/*", re.compile(r"/")):
        assert (
            find(Gate((Rule(pattern, "KUDOS:1", page="/pricing"),)), Request("GET", "", b"", "", b"", [])) is not None
        )


@pytest.mark.parametrize("target", ["/SHOP/Item-12", "/shop/ITEM-12", "/shop/item-12/", "/\uff53hop/item-12"])
def test_case_and_last_slash_do_not_open_expressions(target: str) -> None:
    """A router that takes no notice of case or of a last slash serves what an expression sells, too."""
    assert find(GATE, ask(quote(target))) is not None


@pytest.mark.parametrize(
    "unit", ["/a%25252fb;x/..\\/./ %00%3f%23%ef%bc%a1", "%25", "/", "/..", "%252e%252e/", ";", "%00", "%EF%B7%BA"]
)
def test_long_odd_paths_are_refused(unit: str) -> None:
    """An odd path of any length is refused where it leads to something sold."""
    for length in (492, 512, 513, 1536, 60_000):
        request = ask("/premium/" + (unit * length)[:length])
        found = GATE.find(request)

        assert found is not None


def test_long_plain_paths_are_looked_up() -> None:
    """Sixty thousand plain characters, or segments, pass where they are free; nobody buys a page of such a name."""
    for path in ("/premium/" + "a" * 60_000, "/x" * 30_000, "/premium" + "/é" * 20_000):
        request = Request("GET", path, None, "", b"", [])
        found = GATE.find(request)

        assert found == (Refused(414, "path-too-long") if path.startswith("/premium") else None)


def test_the_longest_name_that_is_sold() -> None:
    """A path of 4096 characters is sold, one of 4097 is too long."""
    names = ["/premium/" + "a" * (length - len("/premium/")) for length in (MAX_PATH, MAX_PATH + 1)]
    sold, refused = (GATE.find(Request("GET", path, None, "", b"", [])) for path in names)

    assert isinstance(sold, tuple)
    assert refused == Refused(414, "path-too-long")


def test_what_is_only_visible_raw() -> None:
    """A byte that one server decodes and another leaves out: the path that is left is sold."""
    assert find(GATE, Request("GET", "/premi\xffum", b"/premi\xffum", "", b"", [])) == ODD
    assert find(GATE, Request("GET", "/premi\xffum", None, "", b"", [])) is None


def test_dots_at_the_mount_point() -> None:
    """A server takes them out of the whole path, an application out of its own."""
    assert find(GATE, ask("/a/b/../premium", root="/a/b")) == ODD
    assert find(GATE, ask("/a/b/../premium", root="/a")) == ODD
    assert find(GATE, ask("/a/b/../public", root="/a/b")) is None


@pytest.mark.parametrize(("path", "root"), [("/public", ""), ("/shop/public", "/shop"), ("/public", "/shop")])
def test_what_is_nobodys_business(path: str, root: str) -> None:
    """A plain path that is not sold is let through at the first look, mounted or not."""
    assert not GATE.concerns(path, path.encode(), root)


def test_long_paths_with_lookalikes_are_refused() -> None:
    """What has too many readings to be looked at is not taken for free, though it looks like nothing that is sold."""
    assert GATE.find(Request("GET", "/" + "½" * 60_000, None, "", b"", [])) == ODD
    assert GATE.find(Request("GET", "/" + "½" * 600, None, "", b"", [])) is None


@pytest.mark.parametrize("unit", ["//", "/./", "/a%2520b", "/;v=1", "/é%2520"])
def test_long_odd_paths_pass_where_they_are_free(unit: str) -> None:
    """What many a shop's filters look like, 2,000 characters long, is nobody's business where no rule is touched."""
    assert GATE.find(ask("/public/" + (unit * 2000)[:2000])) is None


# A router as forgiving as all routers together: each step may or may not be taken.


def without_parameters(path: str) -> str:
    return re.sub(r";[^/]*", "", path)


def without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1] or [""]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def without_controls(path: str) -> str:
    return "".join(char for char in path if unicodedata.category(char) not in {"Cc", "Cf"} and char != "\ufffd")


def casefolded(path: str) -> str:
    return unicodedata.normalize("NFKC", path).casefold()


STEPS: tuple[Callable[[str], str], ...] = (
    lambda path: path.replace("\\", "/"),
    without_parameters,
    lambda path: re.sub("/+", "/", path),
    without_dots,
    without_controls,
    casefolded,
    lambda path: re.split(r"[?#]", path, maxsplit=1)[0],
)


def served(path: str, root: str, decodings: int, taken: list[bool]) -> bool:
    """Tell whether the forgiving router answers a path with something that is sold."""
    if root and path.startswith(root + "/"):
        path = path.removeprefix(root)
    for _ in range(decodings):
        path = unquote(path, errors="ignore")
    for step, take in zip(STEPS, taken, strict=True):
        path = step(path) if take else path
    path = "/" + path.removeprefix("/")
    path = path.removesuffix("/") or "/"
    if re.fullmatch(r"/articles/sample|/premium/preview(/.*)?", path):
        return False
    return bool(re.fullmatch(r"(?s)/articles/[^/]+|/premium(/.*)?|/about/paid|/shop/item-[0-9]+", path))


TARGETS = [
    "/articles/one",
    "/articles/été",
    "/articles/sample",
    "/premium",
    "/premium/gold/x.png",
    "/premium/preview/x",
    "/about/paid",
    "/shop/item-12",
]
PIECES = [
    "/",
    "//",
    "\\",
    ";",
    ";x=1",
    ".",
    "..",
    "/../",
    "/./",
    "/x/..",
    "/public",
    "%",
    "%zz",
    "%2f",
    "%252f",
    "%5c",
    "%00",
    "%0a",
    "%ff",
    "%3f",
    "%23",
    "?x",
    "#x",
    "\x00",
    "\n",
    "\u200b",
    "\u00ad",
    "\ufeff",
    "http://h",
    "x:",
    "\uff0f",
    "\uff1f",
    "\uff03",
    "\u2025",
]


def fullwidth(char: str) -> str:
    return chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char


def escaped(char: str) -> str:
    return "".join(f"%{byte:02x}" for byte in char.encode())


CHANGES: list[Callable[[str], str]] = [
    str.upper,
    fullwidth,
    escaped,
    lambda char: escaped(escaped(char)),
    lambda char: unicodedata.normalize("NFD", char),
    lambda char: "\\" if char == "/" else char,
    lambda char: char * 2,
    lambda char: "",
]


@st.composite
def targets(draw: st.DrawFn) -> str:
    """Protected paths, changed here and there."""
    text = draw(st.sampled_from(TARGETS))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        if draw(st.booleans()) or at == len(text):
            text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
        else:
            text = text[:at] + draw(st.sampled_from(CHANGES))(text[at]) + text[at + 1 :]
    return text


@settings(max_examples=2000)
@given(
    target=targets(),
    root=st.sampled_from(["", "", "/base"]),
    quoted=st.booleans(),
    told=st.booleans(),
    decodings=st.integers(0, 2),
    taken=st.lists(st.booleans(), min_size=len(STEPS), max_size=len(STEPS)),
    method=st.sampled_from(["GET", "POST", "HEAD", "get"]),
)
@example(target="/SHOP/item-12", root="", quoted=True, told=True, decodings=0, taken=[True] * 7, method="GET")
@example(target="/%%ffffarticles/one", root="", quoted=True, told=True, decodings=2, taken=[False] * 7, method="GET")
@example(target="/about//paid", root="/base", quoted=True, told=True, decodings=0, taken=[True] * 7, method="GET")
def test_what_any_router_serves_is_gated(  # noqa: PLR0917 - drawn
    target: str,
    root: str,
    quoted: bool,  # noqa: FBT001 - drawn
    told: bool,  # noqa: FBT001 - drawn
    decodings: int,
    taken: list[bool],
    method: str,
) -> None:
    """Whatever a forgiving router serves of what is sold, the gate sells or refuses, and the quick look saw it."""
    raw = quote(root + target, safe="/%;\\?#:").encode() if quoted else (root + target).encode()
    request = Request(method, decode(raw), raw if told else None, root, b"", [])
    found = GATE.find(request)

    assert found is None or GATE.concerns(request.path, request.raw_path, root)
    if served(request.path, root, decodings, taken):
        assert found is not None


@settings(max_examples=500)
@given(path=st.text(max_size=40), raw=st.binary(max_size=40) | st.none(), root=st.sampled_from(["", "/base", "/é"]))
def test_any_path_can_be_judged(path: str, raw: bytes | None, root: str) -> None:
    """No path raises, and the quick look never lets pass what the thorough one would not."""
    request = Request("GET", root + path, raw, root, b"", [])
    found = GATE.find(request)

    assert found is None or GATE.concerns(request.path, raw, root)


def test_a_thousand_rules_are_compiled_once() -> None:
    """Looking up costs the length of the path, not the number of templates."""
    rules = Rules([Rule(f"/section{index}/{{x}}", "KUDOS:1") for index in range(1000)])

    assert rules.candidates("/section999/a") == [999]
    assert rules.candidates("/section1000/a") == []
    assert len(rules._root.literals) == 1000


@pytest.mark.parametrize("target", ["premium/en/x", "/../premium/en/x", "/%2e%2e/premium/en/x", "/..;/premium/en/x"])
def test_a_root_that_stands_in_the_path_hides_nothing(target: str) -> None:
    """What has no slash in front is read with one, too, wherever the root may be cut out of it."""
    assert find(GATE, ask(target, root="/en")) == ODD


def test_ordinary_names_that_hold_the_root_are_sold() -> None:
    """Where a server leaves the root out of the path, a name that begins like it is still a name."""
    assert isinstance(find(SALES, ask("/articles/base-camp", root="/base")), tuple)
    assert isinstance(find(Gate((Rule("/{slug}", "KUDOS:1"),)), ask("/basement", root="/base")), tuple)
    priced = Gate((Rule("/{slug}", lambda _: "KUDOS:1"),))
    assert find(priced, ask("/basement", root="/base")) == ODD


# Expressions, as they stand and in any case.


def expression(text: str, path: str) -> str | None:
    """Return the resource that a path asks for, if this expression is sold."""
    found = find(Gate((Rule(re.compile(text), "KUDOS:1", page="/pricing"),)), ask(quote(path)))
    assert not isinstance(found, Refused)
    return found and found[1].rpartition("?")[2]


@pytest.mark.parametrize(
    ("text", "path", "part"),
    [
        (r"/low/(?P<slug>[^A-Z/]+)", "/low/bees", "slug=bees"),
        (r"/upper/(?!free)(?P<slug>[^/]+)", "/upper/FREEDOM", "slug=FREEDOM"),
        (r"/upper/(?!free)(?P<slug>[^/]+)", "/upper/freedom", None),
        (r"/files/(?P<name>[^/]+)(?<!\.css)", "/files/A.CSS", "name=A.CSS"),
        (r"/p/[A-Z]*(?P<s>[a-z]+)", "/p/bees", "s=bees"),
        (r"/p/[A-Z]*(?P<s>[a-z]+)", "/p/Bees", "s=ees"),
        (r"/p/[A-Z]*(?P<s>[a-z]+)", "/P/bees", "s=s"),
        (r"/doc/(?P<s>.+)", "/doc/bees/", "s=bees"),
        (r"/doc/(?P<s>.+)", "/doc/a/b", "s=a%2Fb"),
        (r"/doc/(?P<s>[a-z]+)/", "/doc/bees/", "s=bees"),
    ],
)
def test_expressions_match_as_they_stand_first(text: str, path: str, part: str | None) -> None:
    """What an expression excludes is excluded as it is written; the name of a resource has no slash at its end."""
    assert expression(text, path) == part


# Names that were refused once.


@pytest.mark.parametrize(
    "name",
    [
        *("\U0001fa77", "\U0001fae8 wow", "PDF\u200cها", "10\u200cساله", "می\u200cخواهم"),  # noqa: RUF001
        *("東京\u3000大阪", "9.41\u202fAM.png", "10\u00a0km"),
    ],
)
def test_more_names_are_sold(name: str) -> None:
    """Emoji that are younger than Python, Persian beside Latin letters, and blanks of other widths are ordinary."""
    assert isinstance(SALES.find(ask(f"/articles/{quote(name)}")), tuple)
    assert SECRET.find(ask(f"/articles/{quote(name)}")) is None


@pytest.mark.parametrize("name", ["se\u200ccret", "\u200csecret", "secret\u200d", "secret\u3000", "\u00a0secret"])
def test_what_hides_among_latin_letters_is_refused(name: str) -> None:
    """Joiners among Latin letters and at the end, and blanks at an edge, only hide what is meant."""
    assert find(SECRET, ask(f"/{quote(name)}")) == ODD


def test_a_blank_of_another_width_is_a_blank() -> None:
    """A router that folds names would serve this for what is sold, under a name that is not."""
    gate = Gate((Rule("/special offer", "KUDOS:1"),))
    assert find(gate, ask("/special%E3%80%80offer")) == ODD
    assert isinstance(find(gate, ask("/special%20offer")), tuple)


@pytest.mark.parametrize("free", ["/درباره\u200cما", "/best-of-½"])  # noqa: RUF001
def test_a_free_page_is_free_whatever_it_looks_like(free: str) -> None:
    """A free exception without wildcards means this very page; what only looks like it is sold or refused."""
    gate = Gate((Rule(free, None), Rule("/{slug}", "KUDOS:1")))
    assert find(gate, ask(quote(free))) is None
    assert find(gate, ask(quote(f"{free}x"))) is not None
    assert find(gate, ask(quote(unicodedata.normalize("NFKC", free).replace("\u200c", "")))) is not None


@pytest.mark.parametrize("query", ["id=é", "id=1&x%C3%A9é=2", "id=%FF"])
def test_raw_bytes_in_a_query_are_ambiguous(query: str) -> None:
    """Frameworks read a raw byte of a declared key's value in encodings of their own."""
    gate = Gate((Rule("/read", "KUDOS:1", query=["id"]),))
    assert find(gate, ask("/read", query=query.encode())) == Refused(400, "ambiguous-query")
    assert isinstance(find(gate, ask("/read", query=b"id=%C3%A9&other=1")), tuple)
