"""Which page a reader is brought back to, and when a browser has lost its cookies."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.script import BACKEND, NOW, RULE, SESSION, SITE
from taler_paywall.http import Request
from taler_paywall.resource import Rule
from taler_paywall.session import MAX_PAGE
from taler_paywall.visit import Visit

NAVIGATION = [(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document")]
PAGE = Request("GET", "/shop/articles/one", None, "/shop", b"ref=x", NAVIGATION)


def visit(request: Request, *, buy_again: bool = False, fresh: bool = True, rule: Rule | None = RULE) -> Visit:
    """Return a browser's request that has no order."""
    return Visit(request, (), SESSION, fresh, NOW, buy_again, rule)


def test_the_page_that_was_navigated_to() -> None:
    """Path and query as the application knows them."""
    assert visit(PAGE).page == "/articles/one?ref=x"
    assert visit(replace(PAGE, path="/articles/one", root_path="")).page == "/articles/one?ref=x"
    assert visit(PAGE, rule=None).page == "/articles/one?ref=x"


def test_a_rule_that_names_the_path_before_the_mount_point() -> None:
    """A server's path counts like the application's."""
    assert visit(PAGE, rule=Rule("/shop/articles/{slug}", "KUDOS:1")).page == "/articles/one?ref=x"


def test_what_no_browser_navigated_to() -> None:
    """A script, another method: there is no page to return to, unless the reader has pressed "buy"."""
    script = replace(PAGE, headers=[(b"sec-fetch-mode", b"cors")])
    assert visit(script).page == ""
    assert visit(script, buy_again=True).page == "/articles/one?ref=x"
    assert visit(replace(PAGE, method="POST")).page == ""
    assert visit(replace(PAGE, method="POST"), buy_again=True).page == ""


def test_a_page_that_is_spelled_in_another_way() -> None:
    """The site may not know the spelling, so nobody is sent there."""
    assert visit(replace(PAGE, path="/shop/ARTICLES/one")).page == ""
    assert visit(replace(PAGE, path="/shop/ARTICLES/one"), rule=None).page == "/ARTICLES/one?ref=x"


@pytest.mark.parametrize("pattern", ["/articles/{slug}", "/articles/{slug}/"])
@pytest.mark.parametrize("path", ["/articles/one", "/articles/one/"])
def test_a_slash_at_the_end_is_no_other_spelling(pattern: str, path: str) -> None:
    """Sites lead from one to the other themselves."""
    assert visit(replace(PAGE, path=path, root_path=""), rule=Rule(pattern, "KUDOS:1")).page == f"{path}?ref=x"


def test_a_page_whose_address_is_too_long() -> None:
    """Cookies have no room for it."""
    room = MAX_PAGE - len("/articles/one?")
    assert visit(replace(PAGE, query=b"x" * room)).page == "/articles/one?" + "x" * room
    assert visit(replace(PAGE, query=b"x" * (room + 1))).page == ""


BACK = replace(PAGE, headers=[*NAVIGATION, (b"referer", BACKEND.encode())])


def test_a_browser_that_comes_back_without_cookies() -> None:
    """It navigates from the backend's page, and has no session."""
    assert visit(BACK).lost_cookies(SITE, BACKEND)


@pytest.mark.parametrize(
    ("lost", "site"),
    [
        (visit(PAGE), SITE),
        (visit(BACK, fresh=False), SITE),
        (visit(BACK), BACKEND),
        (visit(replace(BACK, headers=[*NAVIGATION, (b"referer", b"https://evil.example/")])), SITE),
        (visit(replace(BACK, headers=[*NAVIGATION, (b"referer", b"\xff")])), SITE),
        (visit(replace(BACK, headers=[(b"sec-fetch-mode", b"cors"), (b"referer", BACKEND.encode())])), SITE),
    ],
)
def test_a_browser_that_has_its_cookies(lost: Visit, site: str) -> None:
    """It has a session, or comes from elsewhere; where site and backend share a host nobody can tell."""
    assert not lost.lost_cookies(site, BACKEND)
