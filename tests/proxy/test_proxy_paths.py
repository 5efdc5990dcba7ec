"""Odd paths through nginx, byte by byte: cleaned or refused, never content for nothing."""

from __future__ import annotations

import socket

import pytest
from reader import Reader

from taler_paywall.testing.wallet import TalerWallet

from .nginx import SITE_NAME
from .setups import PASSED_GUNICORN, ROOT_GUNICORN, ROOT_UVICORN, STRIPPED_UVICORN, Proxied, Proxies, Setup
from .walk import buy

CONTENT = "<h1>All about"
#: PREFIX stands for where the site is.
ODD = [
    "PREFIX//articles/wasps",
    "//PREFIX/articles/wasps",
    "PREFIX/articles//wasps",
    "PREFIX/./articles/wasps",
    "PREFIX/x/../articles/wasps",
    "PREFIX/../PREFIX/articles/wasps",
    "/x/..PREFIX/articles/wasps",
    "PREFIX/articles/./wasps",
    "PREFIX/articles/wasps/.",
    "PREFIX/articles/wasps/",
    "PREFIX/articles/wasps//",
    "PREFIX/articles/wasps;y",
    "PREFIX/articles;y/wasps",
    "PREFIX/articles/%77asps",
    "PREFIX/%61rticles/wasps",
    "PREFIX/%2561rticles/wasps",
    "PREFIX/ARTICLES/wasps",
    "PREFIX/articles%2Fwasps",
    "PREFIX/articles%252Fwasps",
    "PREFIX%2Farticles/wasps",
    "PREFIX/articles%5Cwasps",
    "PREFIX/articles\\wasps",
    "PREFIX/articles/wasps%00",
    "PREFIX/articles/wasps%0A",
    "PREFIX/articles/wasps%20",
    "PREFIX/articles/wasps%3Fx",
    "PREFIX/articles/wasps%23x",
    "PREFIX/articles/wasps#x",
    "PREFIX/articles/x%2F..%2Fwasps",
    "PREFIX/articles/bees/../wasps",
    "PREFIX/articles/bees/..%2Fwasps",
    "PREFIX/articles/bees%2F..%2Fwasps",
    "PREFIX/articles/bees;/../wasps",
    "PREFIX/articles/bees/%2E%2E/wasps",
    "PREFIX/articles/%e2%80%8bwasps",
    "ORIGINPREFIX/articles/wasps",
    "ORIGINPREFIX//articles/wasps",
    "http://evil.examplePREFIX/articles/wasps",
]


def ask(site: Proxied, target: str, cookies: dict[str, str]) -> tuple[int, str]:
    """Send a request line as it is, and return status and answer."""
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
    lines = [f"GET {target} HTTP/1.1", f"Host: {SITE_NAME}:{site.nginx.port}", f"Cookie: {sent}", "Connection: close"]
    request = "".join(f"{line}\r\n" for line in [*lines, "Accept: text/html", ""])
    with (
        socket.create_connection(("127.0.0.1", site.nginx.port), timeout=30) as plain,
        site.certificates.trusting.wrap_socket(plain, server_hostname=SITE_NAME) as secured,
    ):
        secured.sendall(request.encode("latin-1"))
        answer = b"".join(iter(lambda: secured.recv(1 << 16), b"")).decode("latin-1")
    return int(answer.split()[1]), answer


def here(site: Proxied, target: str) -> str:
    return target.replace("ORIGIN", site.origin).replace("PREFIX", site.url.removeprefix(site.origin))


def test_odd_paths_give_nothing_away(site: Proxied, wallet: TalerWallet) -> None:
    """Neither a stranger nor the reader of another article gets an article by an odd spelling of its address."""
    with site.reader() as reader:
        buy(reader, wallet)
        status, answer = ask(site, here(site, "PREFIX/articles/bees"), reader.cookies())
        assert (status, CONTENT in answer) == (200, True)
        for target in ODD:
            for cookies in ({}, reader.cookies()):
                status, answer = ask(site, here(site, target), cookies)
                assert CONTENT not in answer, (target, status)
                # 500: of a server that wants its prefix at the beginning.
                refused = {400, 402, 404} if here(site, target).startswith(here(site, "PREFIX/")) else {400, 404, 500}
                assert status in {301, 302, 307} | refused, (target, status)


@pytest.mark.parametrize("setup", [ROOT_UVICORN, ROOT_GUNICORN, PASSED_GUNICORN], ids=["uvicorn", "gunicorn", "prefix"])
def test_paths_are_passed_on_as_they_came(setup: Setup, proxies: Proxies) -> None:
    """Without a path in ``proxy_pass`` the paywall sees what the client wrote, and refuses what is ambiguous."""
    site = proxies.get(setup)
    for target in ("PREFIX/articles//wasps", "PREFIX/articles/x%2F..%2Fwasps", "PREFIX/articles/wasps;y"):
        assert ask(site, here(site, target), {})[0] == 400, target


def test_stripping_cleans_paths(proxies: Proxies, wallet: TalerWallet) -> None:
    """With a path in ``proxy_pass`` nginx decodes, merges and resolves first; one plain path is left, and is sold."""
    site = proxies.get(STRIPPED_UVICORN)
    with site.reader() as reader:
        buy(reader, wallet)
        for target in ("PREFIX//articles///bees", "PREFIX/%61rticles%2Fbees", "/x/..PREFIX/articles/wasps/../bees"):
            assert ask(site, here(site, target), {})[0] == 302, target
            status, answer = ask(site, here(site, target), reader.cookies())
            assert (status, CONTENT in answer) == (200, True), target


def test_what_is_seen(proxies: Proxies) -> None:
    """The counterpart of these tests is no stand-in: the site tells which path reached it."""
    with proxies.get(STRIPPED_UVICORN).reader() as stripped, proxies.get(PASSED_GUNICORN).reader() as passed:
        assert path_of(stripped) == "/news/seen", "uvicorn puts --root-path in front"
        assert path_of(passed) == "/seen", "gunicorn cuts SCRIPT_NAME off"


def path_of(reader: Reader) -> str:
    return str(reader.http.get("/seen").json()["path"])
