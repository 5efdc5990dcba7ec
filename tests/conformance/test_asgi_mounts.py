"""Paywalls inside and around Starlette's mounts, and prefixes that servers tell of, message by message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from reader import Reader
from running import SECRET_KEY, TOKEN, Sandbox
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from taler_paywall import payment_from
from taler_paywall.asgi import ASGIApp, PaywallMiddleware
from taler_paywall.settings import Options
from taler_paywall.testing.client import serving
from taler_paywall.testing.wallet import TalerWallet

from .asgi_drive import Bench, buy, hello, request, status_of, unreachable
from .front import HERE


@pytest.fixture(scope="module")
def bench(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Pay once for all tests here."""
    return buy(sandbox, tmp_path_factory.mktemp("mounts"))


@pytest.fixture
def options(sandbox: Sandbox) -> Options:
    """Return the options of a site in this process."""
    return {"backend": sandbox.url, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": HERE}


@pytest.fixture
def wallet(tmp_path: Path) -> Iterator[TalerWallet]:
    """Open an empty wallet in this process."""
    with TalerWallet(tmp_path / "wallet.sqlite") as opened:
        yield opened


async def page(request: Request) -> Response:
    """Tell what was paid for the page."""
    payment = payment_from(request.scope)
    return PlainTextResponse(payment.resource if payment else "free")


def pages(**more: object) -> Starlette:
    return Starlette(routes=[Route("/{path:path}", page)], **more)  # type: ignore[arg-type] # options by name


def pay(reader: Reader, wallet: TalerWallet, path: str) -> str:
    """Pay for a page and return what it then shows."""
    asked = reader.visit(path)
    assert asked.status_code == 302, asked.text
    wallet.pay(asked.headers["location"])
    return reader.visit(path).text


# Where it is mounted, the path, what is sold, and the answer (peers.md T6). Some applications cut within segments.
PREFIXES = [
    ("/v", "/v/x", "/x", 402),
    ("/v", "/v1/x", "/x", 200),
    ("/v", "/v1/x", "/1/x", 400),
    ("/v", "/v1/x", "/v1/x", 402),
    ("/v", "/v/v/x", "/v/x", 402),
    ("/v", "/x", "/x", 402),
    ("/v", "/v", "/", 402),
    ("/v", "/v/", "/", 402),
    ("/v/w", "/v/x", "/x", 200),
    ("/v/w", "/v/w/x", "/x", 402),
    ("", "/v/x", "/x", 200),
]


@pytest.mark.parametrize("case", PREFIXES, ids=str)
@pytest.mark.parametrize("raw_path", ["as it is", None])
def test_prefixes_are_cut_between_segments(bench: Bench, case: tuple[str, str, str, int], raw_path: str | None) -> None:
    """What is sold is compared with the path as the application routes it; /v is no prefix of /v1/x."""
    root_path, path, rule, status = case
    scope = request(path, root_path=root_path, raw_path=path.encode() if raw_path else None)
    paywall = bench.around(hello if status == 200 else unreachable, {rule: "KUDOS:1"})
    assert status_of(bench.drive(paywall, scope)) == status


def test_a_paywall_inside_a_mount(options: Options, wallet: TalerWallet) -> None:
    """Inside a mount the rules are those of the mounted application; what has a similar name beside it stays free."""
    options["public_url"] = f"{HERE}/v"
    paywall = PaywallMiddleware(pages(), {"/paid/*": "KUDOS:0.5"}, **options)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Close what the lifespan of no sub-application closes: mounts hand none on."""
        yield
        await paywall.aclose()

    routes = [Mount("/v", app=paywall), Route("/{path:path}", page)]
    site = Starlette(routes=routes, lifespan=lifespan)
    with serving(site) as transport, Reader(HERE, transport) as reader:
        assert reader.visit("/v1/paid/page").text == "free"
        assert reader.visit("/paid/page").text == "free"
        assert reader.visit("/v/free").text == "free"
        assert "/paid/" in pay(reader, wallet, "/v/paid/page")
        assert reader.visit("/v/.well-known/taler-paywall/static/style.css").status_code == 200


def test_a_paywall_around_mounts(options: Options, wallet: TalerWallet) -> None:
    """A paywall around the whole application has rules with whole paths, wherever these are mounted."""
    site = Starlette(routes=[Mount("/v", app=pages()), Mount("/w", app=pages())])
    paywall = PaywallMiddleware(site, {"/v/paid/*": "KUDOS:0.5"}, **options)
    with serving(paywall) as transport, Reader(HERE, transport) as reader:
        assert reader.visit("/w/paid/page").text == "free"
        assert "/v/paid/" in pay(reader, wallet, "/v/paid/page")


def test_starlettes_list_of_middleware(options: Options, wallet: TalerWallet) -> None:
    """The paywall is added to Starlette as any other middleware is."""
    site = pages(middleware=[Middleware(PaywallMiddleware, rules={"/paid/*": "KUDOS:0.5"}, **options)])
    with serving(site) as transport, Reader(HERE, transport) as reader:
        assert reader.visit("/free").text == "free"
        assert "/paid/" in pay(reader, wallet, "/paid/page")


def press(app: ASGIApp, path: str, prefix: str) -> int:
    """Press the button that buys, for a page, and return the status."""
    with serving(app) as transport, Reader(HERE, transport) as reader:
        return reader.press(f"{prefix}/reorder", {"page": path, "method": "GET"}).status_code


def test_each_has_forms_of_its_own(options: Options) -> None:
    """With a prefix of its own each paywall answers its own forms, wherever it stands in the row."""
    inner_options: Options = {**options, "prefix": "/.well-known/inner"}
    outer_options: Options = {**options, "prefix": "/.well-known/outer"}
    inner = PaywallMiddleware(pages(), {"/b/*": "KUDOS:0.2"}, **inner_options)
    outer = PaywallMiddleware(inner, {"/a/*": "KUDOS:0.3"}, **outer_options)
    assert press(outer, "/b/page", "/.well-known/inner") == 303
    assert press(outer, "/a/page", "/.well-known/outer") == 303
    assert press(outer, "/b/page", "/.well-known/outer") == 404
