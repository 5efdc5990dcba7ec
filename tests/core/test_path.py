"""How many ways there are to read a path: what is plain, and what an odd one may mean."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.names import ORDINARY_NAMES
from taler_paywall.path import MAX_WORK, folded, has_lookalikes, is_plain, readings

#: Targets with several readings, as they come.
ODD_TARGETS = [
    "/articles//one",
    "//articles/one",
    "/articles/one//",
    "/articles%2fone",
    "/articles%2Fone",
    "/%2farticles/one",
    "/articles/./one",
    "/articles/../one",
    "/articles/%2e%2e/one",
    "/articles/.%2e/one",
    "/articles/one/.",
    "/articles/one/..",
    "/articles\\one",
    "/articles%5cone",
    "/articles/one;x=1",
    "/articles;/one",
    "/articles/one%3bx",
    "/articles/one%zz",
    "/articles/one%",
    "/articles/one%2",
    "/articles/one%u0061",
    "/articles/one%00",
    "/articles/one%0a",
    "/articles/one%0d",
    "/articles/one%09",
    "/articles/one%1f",
    "/articles/one%7f",
    "/articles/one%c2%85",
    "/articles/one%ff",
    "/articles/one%ff%fe",
    "/articles/%c0%afone",
    "/articles/on%2565",
    "/articles%252fone",
    "/articles/one%3fx",
    "/articles/one%23x",
    "/articles/one#x",
    "/articles/one%20",
    "/articles/%20one",
    "/articles%20/one",
    "/articles/%c2%a0one",
    "/articles/one%e3%80%80",
    "/articles%e2%80%af/one",
    "/articles/o%e2%80%8bne",
    "/articles/%ef%bb%bfone",
    "/articles/%e2%80%aeone",
    "/articles/%e2%80%a8one",
    "/articles/e%cc%81te%cc%81",
    "articles/one",
    "http://news.example/articles/one",
    "*",
]


def decoded(target: str) -> tuple[str, bytes]:
    """Decode a request target as the usual servers do."""
    return unquote(target), target.encode()


@pytest.mark.parametrize("name", ORDINARY_NAMES)
def test_ordinary_names_are_plain(name: str) -> None:
    """An awkward but ordinary name has one reading, with and without its raw form."""
    assert is_plain(f"/articles/{name}", f"/articles/{quote(name)}".encode())
    assert is_plain(f"/articles/{name}", None)
    assert is_plain(f"/articles/{name}/", f"/articles/{quote(name)}/".encode())


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a/b/c"])
def test_short_paths_are_plain(path: str) -> None:
    """The front page and simple paths are plain, encoded letters or not."""
    assert is_plain(path, path.encode())
    assert is_plain(path, None)
    assert is_plain(path, path.replace("a", "%61").encode())


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_odd_targets_are_not_plain(target: str) -> None:
    """What two programs may read differently is never plain."""
    assert not is_plain(*decoded(target))


@pytest.mark.parametrize("number", [*range(0x20), *range(0x7F, 0xA0), 0x1680, 0x2003, 0x2028])
def test_control_characters_are_not_plain(number: int) -> None:
    """No control character and no foreign blank is plain anywhere in a path, with or without its raw form."""
    for path in (f"/{chr(number)}a", f"/a{chr(number)}b", f"/a{chr(number)}", f"/a/{chr(number)}"):
        assert not is_plain(path, None)
        assert not is_plain(path, quote(path).encode())


@pytest.mark.parametrize("raw", [b"/a\xc3\xa9", b"/\xffa", b"/a\x80"])
def test_raw_bytes_are_not_plain(raw: bytes) -> None:
    """A byte that should have been escaped may be read in any encoding."""
    assert not is_plain(raw.decode("latin-1"), raw)


def test_a_query_in_the_raw_path_does_not_count() -> None:
    """Some servers and test clients leave the query in the raw path: what is escaped there says nothing of the path."""
    assert is_plain("/a½", b"/a%C2%BD?x=%2f%zz\xff")
    assert readings("/a//b", b"/a//b?x=/../c") == readings("/a//b", b"/a//b")


def test_a_reading_is_needed_of_what_is_only_visible_raw() -> None:
    """An encoded slash looks like a plain one once it is decoded: only the raw path tells."""
    assert is_plain("/a/b", b"/a/b")
    assert not is_plain("/a/b", b"/a%2fb")


@pytest.mark.parametrize(
    ("target", "reading"),
    [
        ("/articles//one", "/articles/one"),
        ("/articles%2fone", "/articles/one"),
        ("/x/../articles/one", "/articles/one"),
        ("/x/%2e%2e/articles/./one", "/articles/one"),
        ("/articles\\one", "/articles/one"),
        ("/x\\..\\articles\\one", "/articles/one"),
        ("/articles/one;v=1", "/articles/one"),
        ("/articles;a=b/one", "/articles/one"),
        ("/;/articles/one", "/articles/one"),
        ("/x/..;/articles/one", "/articles/one"),
        ("/articles/one%00.html", "/articles/one"),
        ("/articles/one%0a", "/articles/one"),
        ("/articles/one%ff%fe", "/articles/one"),
        ("/articles/%c0%afone", "/articles/one"),
        ("/articles/on%2565", "/articles/one"),
        ("/articles/on%252565", "/articles/one"),
        ("/x%252f..%252farticles/one", "/articles/one"),
        ("/articles/one%3fx=1", "/articles/one"),
        ("/articles/one%23x", "/articles/one"),
        ("/articles/one%20", "/articles/one"),
        ("/%20articles/one", "/articles/one"),
        ("/articles/on%e2%80%8be", "/articles/one"),
        ("/%ef%bd%81rticles//one", "/articles/one"),
        ("/ARTICLES//ONE", "/articles/one"),
        ("/articles//e%cc%81", "/articles/é"),
        ("articles/one", "/articles/one"),
        ("http://news.example/articles/one", "/articles/one"),
        ("x:/articles/one", "/articles/one"),
        ("x:articles", "/articles"),
        ("HTTP://news.example/articles/one", "/articles/one"),
        ("news.example/articles/one", "/articles/one"),
        ("/articles/a b%20/one", "/articles/a b/one"),
        ("/articles/%ff%6fne", "/articles/one"),
        ("/articles/%25ff%256fne", "/articles/one"),
    ],
)
def test_readings_hold_what_a_lenient_program_reads(target: str, reading: str) -> None:
    """Among the readings of an odd path is the one that some server or framework serves, case aside."""
    assert not is_plain(*decoded(target))
    assert reading in {found.casefold() for found in readings(*decoded(target)) or ()}


@pytest.mark.parametrize("path", ["/articles/\ud800one", "/articles/\udcff%6fne", "/%61rticles/on\ufffde"])
def test_readings_of_what_no_encoding_holds(path: str) -> None:
    """Half a character, and what a server could not decode, show nothing and hide nothing."""
    assert not is_plain(path, None)
    assert "/articles/one" in (readings(path, None) or ())


def test_names_with_lookalikes() -> None:
    """Compatibility forms and joiners may be taken for something else; other letters are themselves."""
    assert [has_lookalikes(f"/{name}") for name in ("one", "été", "東京", "½", "Taler™", "न\u200dम", "")] == [
        *[False] * 3,
        *[True] * 3,
        False,
    ]


def test_the_work_counts_altogether() -> None:
    """A single reading may be as long as all are together; of two such, none is looked at."""
    longest = "/" + "a" * (MAX_WORK - 2)
    assert readings(longest, None) == {longest}
    assert readings(f"{longest}a", None) is None
    assert readings("/./" + "a" * (MAX_WORK // 2), None) is None


@given(st.text(min_size=1, max_size=60), st.booleans())
def test_readings_begin_with_a_slash_and_hold_the_path(path: str, raw: bool) -> None:  # noqa: FBT001 - drawn
    """Every reading is a path; the one that the server made is always among them."""
    found = readings(path, path.encode("utf-8", "surrogatepass") if raw else None)
    assert found is not None

    assert all(reading.startswith("/") for reading in found)
    assert (path if path.startswith("/") else f"/{path}") in found


@given(st.text(max_size=60), st.binary(max_size=60) | st.none())
def test_any_text_can_be_judged(path: str, raw: bytes | None) -> None:
    """No path and no raw path, belonging together or not, raises an error."""
    assert is_plain(path, raw) in {True, False}
    assert readings(path, raw)


def test_folding_is_final() -> None:
    """No character folds to something that the next program would fold again."""
    for number in (*range(0xD800), *range(0xE000, 0x30000)):
        once = folded(chr(number))
        assert folded(once) == once, hex(number)
        assert unicodedata.is_normalized("NFKC", once), hex(number)


HOSTILE_UNITS = [
    "/a%25252fb;x/..\\/./ \x00?#\uff21",
    "/%2525;\\..\u200b\uff21 ? # //.",
    "/a;b%2541\\c\x01\uff41 .//..?",
    "%25",
    "/",
    "/..",
    ";",
    "\\",
    "\ufdfa",
    "x:",
    "http://a/",
]


@pytest.mark.parametrize("unit", HOSTILE_UNITS)
def test_readings_are_closed(unit: str) -> None:
    """What may be read out of a reading is among them: nobody knows the order in which programs take their steps."""
    found = readings(f"/x{unit}", None)
    assert found is not None

    assert all((readings(reading, None) or {""}) <= found for reading in found)


@pytest.mark.parametrize("unit", HOSTILE_UNITS)
def test_the_work_for_the_longest_odd_path_is_bounded(unit: str) -> None:
    """However it is made, an odd path has few enough readings to look at them all, or none are looked at."""
    path = (unit * 4096)[:4096]
    found = readings(path, quote(path, safe="/%;\\?#").encode())

    assert found is None or sum(map(len, found)) <= 2 * MAX_WORK
