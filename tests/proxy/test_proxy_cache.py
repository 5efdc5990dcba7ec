"""nginx's own cache in front of the paywall: what one reader has paid for is not given to the next."""

from __future__ import annotations

import re

import pytest

from taler_paywall.testing.wallet import TalerWallet

from .document import configuration
from .setups import AT_ROOT, CACHE, ROOT_GUNICORN, ROOT_UVICORN, Proxied, Proxies, Setup
from .walk import BEES, BOUGHT, buy


def told(text: str) -> str:
    """Let nginx say what its cache did."""
    return text.replace("proxy_cache news;", "proxy_cache news; add_header X-Cache $upstream_cache_status always;")


def ignoring(text: str) -> str:
    """Configure what the document warns of."""
    return told(text).replace("proxy_cache news;", "proxy_cache news; proxy_ignore_headers Cache-Control Vary;")


@pytest.fixture(params=[ROOT_UVICORN, ROOT_GUNICORN], ids=["uvicorn", "gunicorn"])
def setup(request: pytest.FixtureRequest) -> Setup:
    chosen: Setup = request.param
    return chosen


@pytest.fixture
def site(setup: Setup, proxies: Proxies) -> Proxied:
    return proxies.get(setup, CACHE, change=told)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?Cache-Control=public%2C+s-maxage%3D3600",
        "?Cache-Control=max-age%3D3600",
        "?Expires=Thu%2C+31+Dec+2099+23%3A59%3A59+GMT",
        "?X-Accel-Expires=3600",
    ],
)
def test_the_second_client_is_asked(query: str, site: Proxied, wallet: TalerWallet) -> None:
    """A paid page is not kept, whatever the application says about caches; neither is the way to pay for it."""
    with site.reader() as reader, site.reader() as stranger:
        buy(reader, wallet)
        for _ in range(2):
            read = reader.visit(BEES + query)
            assert (read.status_code, BOUGHT in read.text) == (200, True)
        for _ in range(2):
            asked = stranger.visit(BEES + query)
            assert (asked.status_code, BOUGHT in asked.text) == (302, False)
            assert asked.headers["x-cache"] != "HIT"
            stranger.drop()
        assert len({stranger.visit(BEES + query).headers["location"], asked.headers["location"]}) == 2


def test_free_pages_are_kept(site: Proxied) -> None:
    """The cache does work: what is free comes from it."""
    with site.reader() as reader, site.reader() as stranger:
        reader.visit("/?free")
        assert stranger.visit("/?free").headers["x-cache"] == "HIT"
        [style] = re.findall('"([^"]*/static/style.css[^"]*)"', stranger.visit("/.well-known/taler-paywall/no").text)
        reader.http.get(style)
        assert stranger.http.get(style).headers["x-cache"] in {"HIT", "MISS"}


def test_the_test_can_fail(setup: Setup, proxies: Proxies, wallet: TalerWallet) -> None:
    """Where nginx is told to ignore the headers, it gives the paid page to the stranger."""
    site = proxies.get(setup, CACHE, change=ignoring)
    with site.reader() as reader, site.reader() as stranger:
        buy(reader, wallet)
        assert BOUGHT in reader.visit(BEES).text
        given_away = stranger.visit(BEES)
        assert (given_away.status_code, given_away.headers["x-cache"]) == (200, "HIT")


def test_the_configuration_has_a_cache() -> None:
    """The document's blocks do switch the cache on."""
    assert "proxy_cache news;" in configuration(AT_ROOT, CACHE)
