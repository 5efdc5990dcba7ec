"""Where the paywall stands among other middleware, mounts and file servers decides what is sold and who sees it."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Unpack

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from litestar.middleware import DefineMiddleware
from running import ROOT
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, NoMatchFound, Route
from starlette.staticfiles import StaticFiles
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.shared_data import SharedDataMiddleware

from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.settings import Options, RuleList
from taler_paywall.testing.client import OpenClient, serving
from taler_paywall.testing.process import PUBLIC_URL
from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

from .cases import FRIEND, fetch

RULES = {"/articles/{slug}": "KUDOS:0.5"}
STATIC = ROOT / "examples" / "static"


@pytest.fixture
def options(taler_sandbox: TalerSandbox) -> Options:
    return taler_sandbox.options


async def article(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"All about {request.path_params['slug']}")


ROUTES = [Route("/articles/{slug}", article)]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("outside", [True, False])
def test_cors_needs_the_paywalls_own_list(*, outside: bool, named: bool, options: Options) -> None:
    """Only with `cors_origins` can a friend's scripts buy; Starlette's middleware outside replaces headers."""
    own: Options = {**options, "cors_origins": [FRIEND] if named else []}
    cors = Middleware(CORSMiddleware, allow_origins=[FRIEND], allow_credentials=True, expose_headers=["Taler"])
    paywall = Middleware(PaywallMiddleware, RULES, **own)
    app = Starlette(routes=ROUTES, middleware=[cors, paywall] if outside else [paywall, cors])
    with serving(app) as transport, httpx.Client(transport=transport, base_url=PUBLIC_URL) as program:
        asked = program.get("/articles/bees", headers=fetch("same-site"))
    assert (asked.status_code, "taler" in asked.headers) == (402, named)
    readable = [FRIEND] if outside or named else []
    assert asked.headers.get_list("access-control-allow-origin") == readable


@pytest.mark.parametrize("outside", [True, False])
def test_compression_outside_covers_the_paywalls_pages(*, outside: bool, options: Options) -> None:
    """The page of the paywall is compressed if GZip is outside, and only then."""
    paywall = Middleware(PaywallMiddleware, RULES, **options)
    packer = Middleware(GZipMiddleware, minimum_size=100)
    app = Starlette(routes=ROUTES, middleware=[packer, paywall] if outside else [paywall, packer])
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
    with (
        serving(app) as transport,
        httpx.Client(transport=transport, base_url=PUBLIC_URL) as program,
        program.stream("GET", "/articles/bees", headers=headers) as asked,
    ):
        raw = b"".join(asked.iter_raw())
    assert asked.headers.get("content-encoding") == ("gzip" if outside else None)
    assert b"KUDOS:0.5" in (gzip.decompress(raw) if outside else raw)


def mounted_asgi(shop: Any) -> Any:
    return Starlette(routes=[Mount("/shop", shop)])


def mounted_wsgi(shop: Any) -> Any:
    return DispatcherMiddleware(Flask("nothing"), {"/shop": shop})


def shop_in_flask() -> Flask:
    shop = Flask("shop")
    shop.add_url_rule("/articles/<slug>", view_func=lambda slug: f"All about {slug}", endpoint="article")
    return shop


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
@pytest.mark.parametrize("around", ["the whole site", "the mounted application"])
def test_mounts(protocol: str, around: str, options: Options, paywalled_client: OpenClient) -> None:
    """Around the whole site the rules carry the prefix; around the mounted application the public URL does."""
    paywall: Any = PaywallMiddleware if protocol == "asgi" else WsgiPaywall
    shop: Any = Starlette(routes=ROUTES) if protocol == "asgi" else shop_in_flask()
    mounted = mounted_asgi if protocol == "asgi" else mounted_wsgi
    if around == "the whole site":
        app = paywall(mounted(shop), {"/shop/articles/{slug}": "KUDOS:0.5"}, **options)
    else:
        own: Options = {**options, "public_url": f"{PUBLIC_URL}/shop"}
        app = mounted(paywall(shop, RULES, **own))
    reader = paywalled_client(app)
    assert reader.get("/shop/articles/bees").status_code == 302
    assert reader.buy("/shop/articles/bees").text == "All about bees"
    assert reader.get("/shop/articles/bees").text == "All about bees"


def test_a_mount_with_middleware_of_its_own(
    options: Options, paywalled_client: OpenClient, taler_sandbox: TalerSandbox
) -> None:
    """A paywall in the mount's own list sells, buys again, and leaves the routes known; one around hides them."""
    own: Options = {**options, "public_url": f"{PUBLIC_URL}/shop", "recheck_after": 0}
    shop = Starlette(routes=ROUTES)
    paywall = Middleware(PaywallMiddleware, RULES, **own)
    app = Starlette(routes=[Mount("/shop", shop, name="shop", middleware=[paywall])])
    assert app.url_path_for("shop:article", slug="bees") == "/shop/articles/bees"
    around = Starlette(routes=[Mount("/shop", PaywallMiddleware(shop, RULES, **own), name="shop")])
    with pytest.raises(NoMatchFound):
        around.url_path_for("shop:article", slug="bees")
    reader = paywalled_client(app)
    assert reader.buy("/shop/articles/bees").text == "All about bees"
    taler_sandbox.refund(taler_sandbox.orders()[0]["order_id"])
    assert reader.get("/shop/articles/bees").status_code == 402
    assert reader.buy("/shop/articles/bees").text == "All about bees"
    assert [order["paid"] for order in taler_sandbox.orders()] == [True, True]


def test_starlette_runs_no_lifespan_of_mounted_applications() -> None:
    """Only the outermost application starts and ends; so a paywall in a mount is not closed."""
    begun: list[str] = []

    def lifespan(name: str) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
        @asynccontextmanager
        async def begin(_: Starlette) -> AsyncIterator[None]:
            begun.append(name)
            yield

        return begin

    with serving(Starlette(routes=[Mount("/shop", Starlette(lifespan=lifespan("shop")))], lifespan=lifespan("site"))):
        assert begun == ["site"]


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_case(protocol: str, options: Options, paywalled_client: OpenClient) -> None:
    """An address in capitals costs, and who pays for it arrives where the site has the page."""
    paywall: Any = PaywallMiddleware if protocol == "asgi" else WsgiPaywall
    site: Any = Starlette(routes=ROUTES) if protocol == "asgi" else shop_in_flask()
    reader = paywalled_client(paywall(site, RULES, **options))
    read = reader.buy("/ARTICLES/bees")
    assert (read.status_code, read.text, read.url.path) == (200, "All about bees", "/articles/bees")
    assert reader.get("/ARTICLES/bees").status_code == 404


SOLD_FILES = {"/static/*": "KUDOS:1"}


def test_files_inside_are_sold_if_a_rule_says_so(options: Options, paywalled_client: OpenClient) -> None:
    """A mounted folder of files is sold like anything else."""
    files = Starlette(routes=[Mount("/static", StaticFiles(directory=STATIC))])
    reader = paywalled_client(PaywallMiddleware(files, SOLD_FILES, **options))
    assert reader.get("/static/style.css").status_code == 302
    assert "font" in reader.buy("/static/style.css").text


def test_a_file_server_outside_gives_away(options: Options, paywalled_client: OpenClient) -> None:
    """A file server around the paywall never asks it; inside it is sold."""
    sold = WsgiPaywall(shop_in_flask(), SOLD_FILES, **options)
    outside = SharedDataMiddleware(sold, {"/static": str(STATIC)})
    assert "font" in paywalled_client(outside).get("/static/style.css").text
    inside = SharedDataMiddleware(shop_in_flask(), {"/static": str(STATIC)})
    assert paywalled_client(WsgiPaywall(inside, SOLD_FILES, **options)).get("/static/style.css").status_code == 302


def test_a_fixed_price_sells_what_is_not_there(options: Options, paywalled_client: OpenClient) -> None:
    """With a fixed price the paywall asks for money where the site has nothing."""
    reader = paywalled_client(PaywallMiddleware(Starlette(), RULES, **options))
    assert reader.buy("/articles/wasps").status_code == 404


def test_the_docs_of_fastapi_are_free_until_a_rule_names_them(options: Options, paywalled_client: OpenClient) -> None:
    """What FastAPI adds to a site is sold by the rules like the rest."""
    free = paywalled_client(PaywallMiddleware(FastAPI(), RULES, **options))
    assert (free.get("/docs").status_code, free.get("/openapi.json").status_code) == (200, 200)
    sold = paywalled_client(PaywallMiddleware(FastAPI(), {"/docs": "KUDOS:1"}, **options))
    assert sold.get("/docs").status_code == 302


@pytest.mark.parametrize("strict", [True, False])
def test_flask_finds_both_spellings_if_told(*, strict: bool, options: Options, paywalled_client: OpenClient) -> None:
    """With Flask's strict slashes who has paid for one spelling finds nothing at the other."""
    shop = Flask("shop")
    shop.url_map.strict_slashes = strict
    shop.add_url_rule("/articles/<slug>", view_func=lambda slug: f"All about {slug}", endpoint="article")
    reader = paywalled_client(WsgiPaywall(shop, RULES, **options))
    assert reader.buy("/articles/bees/").status_code == (404 if strict else 200)
    assert reader.get("/articles/bees").text == "All about bees"


@pytest.mark.parametrize("wrapped", [True, False])
def test_litestar_is_wrapped(*, wrapped: bool, options: Options) -> None:
    """In Litestar's own list the middleware is made for each route, and never sees requests for its own paths."""
    made: list[PaywallMiddleware] = []

    def paywall(app: Any, rules: RuleList, **options: Unpack[Options]) -> Any:
        made.append(PaywallMiddleware(app, rules, **options))
        return made[-1]

    if wrapped:
        app: Any = paywall(Litestar([]), RULES, **options)
    else:
        app = Litestar([], middleware=[DefineMiddleware(paywall, rules=RULES, **options)])
    with serving(app) as transport, httpx.Client(transport=transport, base_url=PUBLIC_URL) as program:
        style = program.get("/.well-known/taler-paywall/static/style.css")
    assert style.status_code == (200 if wrapped else 404)
    assert (len(made) == 1) == wrapped
