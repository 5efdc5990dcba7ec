"""What `exempt` sees, when it is asked, and what its answer does."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from flask import Flask
from running import ROOT
from starlette.applications import Starlette
from starlette.requests import Request as SiteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from taler_paywall import Request
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.testing.client import OpenClient
from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

from .cases import FRIEND
from .test_guide import BLOCKS

RULES = {"/articles/{slug}": "KUDOS:0.5"}


def site_of(protocol: str, **options: Any) -> Any:
    """Return a site behind the paywall whose answers may be kept by anybody."""
    public = {"Cache-Control": "public, max-age=60"}

    async def article(_: SiteRequest) -> PlainTextResponse:
        return PlainTextResponse("All about bees", headers=public)

    if protocol == "asgi":
        return PaywallMiddleware(Starlette(routes=[Route("/articles/{slug}", article)]), RULES, **options)
    flask = Flask("site")
    flask.add_url_rule("/articles/<slug>", view_func=lambda slug: ("All about bees", public), endpoint="article")
    return WsgiPaywall(flask, RULES, **options)


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_exempt(protocol: str, taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """It is asked first at every request of what is sold, and at no other; what it lets pass is private."""
    seen: list[Request] = []

    def is_staff(request: Request) -> bool:
        seen.append(request)
        return request.header(b"x-staff") == b"yes"

    site = site_of(protocol, **taler_sandbox.options, exempt=is_staff, cors_origins=[FRIEND])
    staff, reader = paywalled_client(site), paywalled_client(site)
    staff.headers["X-Staff"] = "yes"
    with taler_sandbox.fault("refuse"):
        read = staff.get("/articles/bees?page=2")
    assert (read.status_code, read.text) == (200, "All about bees")
    assert (read.headers["cache-control"], "Cookie" in read.headers["vary"]) == ("private, max-age=60", True)
    assert reader.get("/").status_code == 404
    assert reader.get("/articles/bees").status_code == 302
    reader.options("/articles/bees", headers={"Origin": FRIEND, "Access-Control-Request-Method": "GET"})
    asked = [(request.method, request.path, request.query) for request in seen]
    assert asked == [
        ("GET", "/articles/bees", b"page=2"),
        ("GET", "/articles/bees", b""),
        ("OPTIONS", "/articles/bees", b""),
    ]


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_only_true_exempts(protocol: str, taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> None:
    """Anything else asks for money, however true it looks; and if it breaks, nobody reads."""
    sloppy = site_of(protocol, **taler_sandbox.options, exempt=lambda request: "staff")
    assert paywalled_client(sloppy).get("/articles/bees").status_code == 302
    broken = site_of(protocol, **taler_sandbox.options, exempt=lambda request: request.nothing)
    assert paywalled_client(broken).get("/articles/bees").status_code == 503


def test_the_guides_staff_read_for_nothing() -> None:
    """The block of the guide lets in whom the site's own signed session names, and nobody who forges it."""
    [code] = [code for section, code in BLOCKS if "exempt=" in code]
    run(f"{code}\nfrom tests.frameworks.staff import let_staff_in\nlet_staff_in(app)")


def test_django_refuses_its_database_in_the_event_loop() -> None:
    """An `exempt` that asks Django's database works under WSGI; under ASGI the answer is 503."""
    run("import runpy; runpy.run_module('tests.frameworks.django_staff', run_name='__main__')")


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
