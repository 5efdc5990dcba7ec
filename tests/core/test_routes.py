"""Rules against routes: templates of all frameworks meet a rule, or do not; in doubt they do."""

from __future__ import annotations

import re

import pytest

from taler_paywall.resource import Rule
from taler_paywall.routes import complaints, routes_of, unserved

MET = [
    ("/articles/{slug}", "/articles/{slug}"),
    ("/articles/{slug}", "/articles/<slug>"),
    ("/articles/{slug}", "/articles/<slug:slug>/"),
    ("/articles/{slug}", "/articles/{slug:str}"),
    ("/articles/{slug}", "/articles/<string(length=2):slug>"),
    ("/articles/{slug}", "/articles/{name}.{ending}"),
    ("/articles/{slug}", "/ARTICLES/bees"),
    ("/Articles/sample", "/articles/{slug}"),
    ("/articles/{slug}/*", "/articles/<slug>"),
    ("/articles/{slug}/*", "/articles/<slug>/pictures/<int:number>"),
    ("/articles/*/text", "/articles/<slug>/text"),
    ("/premium/*", "/premium"),
    ("/*", "/"),
    ("/", "/"),
    ("/files/a/b", "/files/<path:name>"),
    ("/files/a/b", "/files/{name:path}"),
    ("/files/a/b", "/files/<wiki:page>"),
    ("/files/a/b", "/files/*"),
    ("/files", "/files/*"),
    ("/files/a/b", "/files/(?P<name>.+)"),
    ("/files/a/b", "/<any(files, more):where>/a/b"),
    ("/\uff46iles", "/files"),
    ("POST /api/words", "/api/words"),
]
MISSED = [
    ("/artciles/{slug}", "/articles/{slug}"),
    ("/articles/{slug}", "/articles"),
    ("/articles/{slug}", "/articles/{slug}/text"),
    ("/articles/{slug}", "/shop/articles/{slug}"),
    ("/articles/{slug}/*", "/articles"),
    ("/articles/*/text", "/articles/<slug>/pictures"),
    ("/files/a", "/filse/<path:name>"),
    ("/files/a/b", "/files/<int(min=1):number>"),
    ("/premium/*", "/"),
    ("/", "/articles"),
    ("POST /api/word", "/api/words"),
]


@pytest.mark.parametrize(("pattern", "template"), MET)
def test_met(pattern: str, template: str) -> None:
    """A rule that some path of the route may match is served."""
    assert unserved([Rule(pattern, "KUDOS:1")], ["/nothing", template]) == []


@pytest.mark.parametrize(("pattern", "template"), MISSED)
def test_missed(pattern: str, template: str) -> None:
    """A rule that no path of the route matches is not; a free one neither."""
    for rule in (Rule(pattern, "KUDOS:1"), Rule(pattern, None)):
        assert unserved([rule], [template]) == [rule]


def test_expressions_are_never_missed() -> None:
    """Nothing is said of a rule that is a regular expression."""
    assert unserved([Rule(re.compile("/artciles/.+"), "KUDOS:1", page="/")], ["/articles/{slug}"]) == []


class Numbered:
    """An application with routes like Starlette's, and nothing else."""

    def __init__(self, *paths: str) -> None:
        self.routes = [Numbered.At(path) for path in paths]

    class At:
        def __init__(self, path: str) -> None:
            self.path = path


def test_what_is_said() -> None:
    """Both kinds of rules are named with the nearest route; of a great many only the first."""
    site = Numbered("/articles/{slug}", "/")
    said = complaints([Rule("/artciles/{slug}", "KUDOS:1"), Rule("/zebra", None)], site, [])
    none = "matches no route of the application and"
    meant = "; is '/articles/{slug}' meant?"
    assert said == [
        f"rule '/artciles/{{slug}}' {none} sells nothing; what it should sell may be free to read{meant}",
        f"rule '/zebra' {none} frees nothing",
    ]
    said = complaints([Rule(f"/artcile-{number}", "KUDOS:1") for number in range(1000)], site, [])
    assert said is not None
    assert (len(said), said[-1]) == (11, "990 further rules match no route")


def test_where_the_application_is_mounted() -> None:
    """A rule may be written with the path of the mount, or without; under another mount it never matches."""
    rules = [Rule(f"{root}/articles/{{slug}}", "KUDOS:1") for root in ("", "/shop", "/blog")]
    said = complaints(rules, Numbered("/articles/{slug}"), ["/shop"])
    assert said is not None
    assert [complaint.split("'")[1] for complaint in said] == ["/blog/articles/{slug}"]


class Endless:
    """Middleware around itself."""

    def __init__(self) -> None:
        self.app = self

    def __call__(self) -> None: ...


class Broken:
    """An application that breaks when it is looked at."""

    @property
    def routes(self) -> list[str]:
        raise RuntimeError("not now")


@pytest.mark.parametrize("app", [None, object(), print, len, Endless(), Broken()], ids=lambda app: type(app).__name__)
def test_what_cannot_be_read(app: object) -> None:
    """Of an application of an unknown kind nothing is known, and nothing is said."""
    assert routes_of(app) is None
    assert complaints([Rule("/artciles", "KUDOS:1")], app, []) is None
