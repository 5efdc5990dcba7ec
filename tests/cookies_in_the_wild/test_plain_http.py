"""A site that is reached by another scheme than its public URL's: no circle, and whom it concerns knows why."""

from __future__ import annotations

from running import eventually

from .wild import PAGE, PAY, Settings, Wild

BOTH = ("http", "https")
#: What a proxy that passes both schemes on makes of a site: its public URL is that of one, and both are served.
SECURE = Settings("https", served=BOTH)
INSECURE = Settings("http", served=BOTH)
OWN_PAGE = {"unpaid": "page"}


def warnings(wild: Wild, mend: str) -> list[str]:
    return [line for line in wild.log.splitlines() if mend in line and line.startswith("WARNING")]


def test_plain_http_leads_to_https_by_paying(wild: Wild) -> None:
    """The first cookie is lost, so the reader is told once that cookies are needed; then the wallet proves the rest."""
    wild.serve(SECURE)
    assert wild.read(wild.url(SECURE, "http") + PAGE) == [PAY, "Go on", PAY]
    assert wild.paid == [1, 0]
    assert wild.cookies(wild.url(SECURE, "http")) == set()
    assert len(wild.cookies(wild.url(SECURE))) == 2
    assert wild.reads_at_once(wild.url(SECURE) + PAGE)


def test_plain_http_is_explained_to_the_reader(wild: Wild) -> None:
    """By the page that says that cookies are needed: it leads to https, where they are kept."""
    settings = Settings("https", served=BOTH, options=OWN_PAGE)
    wild.serve(settings)
    assert wild.tab.open(wild.url(settings, "http") + PAGE) == 402
    wild.tab.link("Paid? Go on").click()
    eventually(lambda: "only if it comes by https" in wild.tab.text, "the page that explains it")
    wild.tab.link("Go on by https").click()
    wild.tab.wait_for(wild.url(settings) + PAGE)
    assert wild.tab.last == (402, wild.url(settings) + PAGE)
    assert len(wild.cookies(wild.url(settings))) == 2


def test_plain_http_is_in_the_log_once(wild: Wild) -> None:
    """With what to do about it."""
    settings = Settings("https", served=BOTH, options=OWN_PAGE)
    wild.serve(settings)
    for _ in range(3):
        wild.tab.open(wild.url(settings) + PAGE)
    assert warnings(wild, "redirect http to https") == []
    for _ in range(3):
        wild.tab.open(wild.url(settings, "http") + PAGE)
    eventually(lambda: warnings(wild, "redirect http to https"), "the warning")
    wild.tab.open(wild.url(settings, "http") + PAGE)
    assert len(warnings(wild, "redirect http to https")) == 1


def test_https_in_front_of_a_plain_public_url(wild: Wild) -> None:
    """Everything works, but the cookies are not as safe as they could be: the operator is told the better address."""
    wild.serve(INSECURE)
    secure = wild.url(INSECURE, "https")
    assert wild.read(secure + PAGE) == [PAY]
    wild.tab.open(secure + "/")
    wild.tab.page.evaluate("location = '/articles/wasps'")
    wild.tab.wait_for(f"{wild.backends[0].url}orders/*")
    eventually(lambda: warnings(wild, f"set public_url to {secure}"), "the warning")
    assert len(warnings(wild, "set public_url")) == 1
    assert wild.reads_at_once(wild.url(INSECURE) + PAGE)
