"""From a WSGI environ to what the paywall knows of a request: paths, headers, forms; the same as from an ASGI scope."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import unquote, unquote_to_bytes
from wsgiref.types import WSGIEnvironment

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.test_gate import GATE, targets
from taler_paywall.asgi import _request_of
from taler_paywall.decision import Refused
from taler_paywall.forms import MAX_FORM
from taler_paywall.gate import Gate
from taler_paywall.http import Request
from taler_paywall.resource import Rule
from taler_paywall.wsgi import _headers_of, _paths_of, _read_form

SECRET = Gate((Rule("/secret", "KUDOS:1"), Rule("/été", "KUDOS:2")))
ROOTS = ("", "/shop", "/shop/", "/shop/deep", "/%C3%A9t%C3%A9", "/a%20b", "/secret")


def native(raw: str | bytes) -> str:
    """Return decoded bytes as PEP 3333 hands them over."""
    return unquote_to_bytes(raw).decode("latin-1")


def environ_of(target: str, root: str = "", key: str = "") -> WSGIEnvironment:
    """Return the paths of a request as a server tells them; some name the raw target under a key of their own."""
    told = {key: root.rstrip("/") + target} if key else {}
    path, _, query = target.partition("?")
    return {"SCRIPT_NAME": native(root), "PATH_INFO": native(path), "QUERY_STRING": query, **told}


def scope_of(target: str, root: str = "", *, told: bool = True) -> dict[str, Any]:
    """Return the paths of the same request as an ASGI server tells them."""
    path, _, query = (root.rstrip("/") + target).partition("?")
    raw = {"raw_path": path.encode()} if told else {}
    return {
        "type": "http",
        "path": unquote(path),
        "root_path": unquote(root).rstrip("/"),
        "query_string": query.encode(),
        **raw,
    }


def asked(environ: WSGIEnvironment, method: str = "GET") -> Request:
    path, raw_path, root_path = _paths_of(environ)
    return Request(method, path, raw_path, root_path, environ.get("QUERY_STRING", "").encode("latin-1"), [])


def verdict(gate: Gate, request: Request) -> tuple[bool, tuple[Rule, str] | Refused | None]:
    """Return whether the gate has a look, and what it finds."""
    found = gate.find(request)
    name = (found[0], found[1].name) if isinstance(found, tuple) else found
    return gate.concerns(request.path, request.raw_path, request.root_path), name


@given(targets(), st.sampled_from(ROOTS), st.sampled_from(["", "RAW_URI", "REQUEST_URI"]))
@example("/articles/%E6%9D%B1?x=%2F", "/%C3%A9t%C3%A9", "RAW_URI")
@example("/articles/%FF", "", "")
def test_the_same_verdict_as_under_asgi(target: str, root: str, key: str) -> None:
    """One request has one verdict, whichever protocol brings it."""
    if not target.startswith("/") or not target.isascii():
        return
    wsgi, asgi = asked(environ_of(target, root, key)), _request_of(scope_of(target, root, told=bool(key)))
    assert (wsgi.path, wsgi.raw_path, wsgi.root_path, wsgi.query) == (
        asgi.path,
        asgi.raw_path,
        asgi.root_path,
        asgi.query,
    )
    assert verdict(GATE, wsgi) == verdict(GATE, asgi)


@pytest.mark.parametrize(
    ("script_name", "path_info", "path", "root_path", "app_path"),
    [
        ("", "/secret", "/secret", "", "/secret"),
        ("", "secret", "secret", "", "secret"),
        ("", "", "/", "", "/"),
        ("/", "/secret", "/secret", "", "/secret"),
        ("/", "secret", "/secret", "", "/secret"),
        ("/shop", "", "/shop", "/shop", "/"),
        ("/shop", "/", "/shop/", "/shop", "/"),
        ("/shop/", "/secret", "/shop/secret", "/shop", "/secret"),
        ("/shop/", "secret", "/shop/secret", "/shop", "/secret"),
        ("/sh", "op/secret", "op/secret", "", "op/secret"),
        ("/shop", "/shop/secret", "/shop/shop/secret", "/shop", "/shop/secret"),
        ("/é".encode().decode("latin-1"), "/été".encode().decode("latin-1"), "/é/été", "/é", "/été"),
        ("", "/東京".encode().decode("latin-1"), "/東京", "", "/東京"),
        ("", "/\xff", "/\ufffd", "", "/\ufffd"),
    ],
)
def test_paths(script_name: str, path_info: str, path: str, root_path: str, app_path: str) -> None:
    """Path and root path are those that ASGI has; the application's own is what its router sees."""
    request = asked({"SCRIPT_NAME": script_name, "PATH_INFO": path_info})
    assert (request.path, request.root_path, request.app_path) == (path, root_path, app_path)
    assert request.raw_path is None


@pytest.mark.parametrize(
    ("script_name", "path_info"), [("/sh", "op/articles/one"), ("", "s/articles/one"), ("/a", "articles/one")]
)
def test_what_is_no_path_has_several_readings(script_name: str, path_info: str) -> None:
    """Where a server has cut within a segment, routers read on from the next slash, or put one in front."""
    request = asked({"SCRIPT_NAME": script_name, "PATH_INFO": path_info})
    assert GATE.concerns(request.path, request.raw_path, request.root_path)
    assert GATE.find(request) == Refused(400, "ambiguous-path")


def test_nothing_but_the_path_may_be_missing() -> None:
    """PEP 3333 lets SCRIPT_NAME, PATH_INFO and QUERY_STRING be empty or absent."""
    assert asked({}) == Request("GET", "/", None, "", b"", [])


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
@pytest.mark.parametrize(
    ("raw", "raw_path"),
    [
        ("/a%2Fb", b"/a%2Fb"),
        ("/a?b=/c%2F?d", b"/a"),
        ("?a", b""),
        ("http://site.example/a?b", b"http://site.example/a"),
        ("/\xff", b"/\xff"),
        ("/東", b"/?"),
        ("", None),
    ],
)
def test_raw_targets(key: str, raw: str, raw_path: bytes | None) -> None:
    """The raw path comes without the query, in whatever form the target was sent."""
    assert _paths_of({"PATH_INFO": "/a", key: raw})[1] == raw_path


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
@pytest.mark.parametrize(
    "raw", ["/secret", "http://site.example/secret", "https://site.example:8/secret?a=%2F", "/secret?q", "*", "", "?"]
)
def test_whatever_the_raw_target_is_the_path_counts(key: str, raw: str) -> None:
    """A target that a proxy has rewritten takes nothing away from what the application is asked for."""
    assert SECRET.find(asked({"PATH_INFO": "/secret", key: raw})) is not None


@pytest.mark.parametrize("raw", ["/secre%74%2F", "http://site.example/x/..%2Fsecret", "/%C3%A9t%C3%A9%2f"])
def test_a_raw_target_may_only_add_doubts(raw: str) -> None:
    """What the decoded path hides is seen in the raw one."""
    assert asked_and_refused(environ_of(unquote(raw.removeprefix("http://site.example"))) | {"RAW_URI": raw})


def asked_and_refused(environ: WSGIEnvironment) -> bool:
    return isinstance(SECRET.find(asked(environ)), Refused)


@pytest.mark.parametrize("path_info", ["/\xc3/../secret", "/secret\xff", "/\xc3\xa9t\xc3\xa9\xc3", "/x\xff/../secret"])
def test_broken_utf_8_is_ambiguous(path_info: str) -> None:
    """Bytes that are no text are refused where anything like it is sold, and nobody's business elsewhere."""
    assert asked_and_refused({"PATH_INFO": path_info})
    assert Gate((Rule("/other", "KUDOS:1"),)).find(asked({"PATH_INFO": path_info})) is None


script_names = st.sampled_from(
    ["/", "//", "/x", "/x/", "x", "/articles", "/articles/one", "/x/y/z", "/x/../y", "/x;a", "/%61", "/%C3%A9", "/%FF"]
)


@given(targets(), script_names)
@example("/articles/./one", "/x/../y")
@example("/articles/one;b", "/x;a")
@example("/../articles/one", "/articles/one")
@example("/articles/one", "x")
def test_no_script_name_opens_anything(target: str, script_name: str) -> None:
    """Some servers take SCRIPT_NAME from the client: whatever it says, what was not free without it is not free."""
    environ = {"PATH_INFO": native(target.encode().split(b"?")[0])}
    if target.startswith("/") and GATE.find(asked(environ)) is not None:
        for written in (script_name, native(script_name)):
            request = asked(environ | {"SCRIPT_NAME": written})
            assert GATE.find(request) is not None
            assert GATE.concerns(request.path, request.raw_path, request.root_path)


# Headers.


def test_headers() -> None:
    """Headers have the names of HTTP, in their order; what is no header is left out."""
    environ = {
        "REQUEST_METHOD": "GET",
        "HTTP_USER_AGENT": "x",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "",
        "HTTP_COOKIE": "a=b; c=\xff",
        "HTTP_": "no name",
        "HTTP_X__Y": "",
        "HTTP_SEC_FETCH_SITE": "none",
        "HTTPS": "on",
        "wsgi.errors": None,
        "server.HTTP_X": object(),
    }
    assert _headers_of(environ) == [
        (b"user-agent", b"x"),
        (b"content-type", b"text/plain"),
        (b"cookie", b"a=b; c=\xff"),
        (b"", b"no name"),
        (b"x--y", b""),
        (b"sec-fetch-site", b"none"),
    ]


@given(st.dictionaries(st.text(st.characters(max_codepoint=0xFF)), st.text(st.characters(max_codepoint=0xFF))))
def test_any_header_can_be_read(headers: dict[str, str]) -> None:
    """No name and no value of a header raises."""
    read = _headers_of({f"HTTP_{name}": value for name, value in headers.items()})
    assert [value.decode("latin-1") for _, value in read] == list(headers.values())


# Forms.


class Unread(io.BytesIO):
    """A body that ends only where the server says so: reading on would wait for ever."""

    def __init__(self, body: bytes, *, ends: bool) -> None:
        super().__init__(body)
        self._ends = ends

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "PEP 3333 lets a body be read by sizes"
        left = len(self.getbuffer()) - self.tell()
        assert self._ends or size <= left, "this would wait for ever"
        return super().read(size)


@pytest.mark.parametrize("terminated", [True, False, None])
@pytest.mark.parametrize(
    ("length", "sent", "read"),
    [
        ("5", b"a=b&c", b"a=b&c"),
        ("3", b"a=b&c", b"a=b"),
        ("0", b"", b""),
        (str(MAX_FORM), b"x" * MAX_FORM, b"x" * MAX_FORM),
        (str(MAX_FORM + 1), b"x" * (MAX_FORM + 1), None),
        ("9" * 30, b"x" * (MAX_FORM + 1), None),
        ("9" * 5000, b"x" * (MAX_FORM + 1), None),
    ],
)
def test_forms_with_a_length(length: str, sent: bytes, read: bytes | None, terminated: bool | None) -> None:  # noqa: FBT001 - drawn
    """A form is read up to its length and never beyond; a long one is not read to its end."""
    environ: WSGIEnvironment = {"CONTENT_LENGTH": length, "wsgi.input": Unread(sent, ends=False)}
    if terminated is not None:
        environ["wsgi.input_terminated"] = terminated
    assert _read_form(environ) == read


@pytest.mark.parametrize("length", [None, "", "-1", "x", "1e3", "+5", " 5", "5,5", "²", "0x5"])
def test_forms_without_a_length(length: str | None) -> None:
    """Without a length that is one, a body is read only where its end is marked, and then no further than needed."""
    environ: WSGIEnvironment = {} if length is None else {"CONTENT_LENGTH": length}
    assert _read_form(environ | {"wsgi.input": Unread(b"a=b", ends=False)}) == b""

    def terminated(body: bytes) -> WSGIEnvironment:
        return environ | {"wsgi.input": Unread(body, ends=True), "wsgi.input_terminated": True}

    assert _read_form(terminated(b"a=b")) == b"a=b"
    assert _read_form(terminated(b"x" * MAX_FORM)) == b"x" * MAX_FORM
    endless = terminated(b"x" * 1_000_000)
    assert _read_form(endless) is None
    assert endless["wsgi.input"].tell() <= MAX_FORM + 1
