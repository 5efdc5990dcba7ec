"""Other middlewares around the same application: where the paywall stands among what sites already have.

Each is set up as its documentation says. x402 asks its facilitator over the network; here an object in this process
says what the facilitator would, so that x402 costs rather less than on a site.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final

from asgi_csrf import asgi_csrf
from starlette.middleware.sessions import SessionMiddleware
from x402 import (
    AssetAmount,
    PaymentFlowConfig,
    PaymentRequirements,
    SettleResponse,
    SupportedKind,
    SupportedResponse,
    VerifyResponse,
    x402ResourceServer,
)
from x402.http import PaymentOption, RouteConfig
from x402.http.middleware.fastapi import PaymentMiddlewareASGI
from x402.schemas import Network, Price

from benchmarks.fresh import asgi, compare, message
from benchmarks.inprocess import FREE, RULES, asked_by, customers, opened, templates
from benchmarks.shop import KEY, Cookies, Sandbox, application, visit
from benchmarks.table import BenchmarkError, Row
from taler_paywall.asgi import ASGIApp, Receive, Scope, Send

NETWORK: Final = "eip155:84532"
NOBODY: Final = f"0x{'0' * 40}"
#: A client of an API, which gets JSON from both paywalls; it must not order, so that no backend is asked.
CLIENT: Final[dict[str, bytes]] = {"accept": b"application/json", "sec_fetch_mode": b"cors", "sec_purpose": b"prefetch"}


def measure(sandbox: Sandbox) -> Iterator[Row]:
    """Measure the same requests without a middleware, with ours, and with others."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        readers = runner.run(customers(sandbox, paying=True))
        one, many = sandbox.paywalled(RULES, recheck_after=3600), sandbox.paywalled(templates("/section-{}", 1_000))
        runner.run(opened(one, readers))
        peer, star, csrf = (f"{name} {version(name)}" for name in ("x402", "starlette", "asgi-csrf"))
        charging = charged({"GET /articles/*": route()})
        charging_many = charged({f"GET /section-{number}/*": route() for number in range(1_000)})
        signed, session = runner.run(with_session())
        guarded, token = runner.run(with_token())
        refused = [message(f"/articles/wanted-{number}", None, **CLIENT) for number in range(200)]
        paying = runner.run(payment(charging, "/articles/wanted-0"))
        settled = [message(f"/articles/wanted-{number}", payment_signature=paying) for number in range(200)]
        ways = {
            "no middleware": asgi(loop, application, FREE),
            "taler_paywall, free path, 1 rule": asgi(loop, one, FREE),
            "taler_paywall, free path, 1,000 rules": asgi(loop, many, FREE),
            "taler_paywall, paid path": asgi(loop, one, asked_by(readers), mark=b"cache-control"),
            "taler_paywall, 402 as JSON, no order": asgi(loop, one, refused, 402, b"cache-control"),
            f"{peer}, free path, 1 route": asgi(loop, charging, FREE),
            f"{peer}, free path, 1,000 routes": asgi(loop, charging_many, FREE),
            f"{peer}, 402 as JSON": asgi(loop, charging, refused, 402, b"payment-required"),
            f"{peer}, paid path, facilitator in memory": asgi(loop, charging, settled, 200, b"payment-response"),
            f"{star}, SessionMiddleware, valid cookie": asgi(loop, signed, _free(session)),
            f"{csrf}, GET with valid cookie": asgi(loop, guarded, _free(token)),
        }
        ways["taler_paywall, 402 as JSON, no order"].check("currency")
        with sandbox.unasked():
            yield from compare("b", ways)
        runner.run(one.aclose())


def _free(cookies: Cookies) -> list[bytes]:
    return [message(f"/about/the-paper-{number}", cookies) for number in range(len(FREE))]


class Facilitator:
    """Says which payments it takes, and takes them all."""

    def get_supported(self) -> SupportedResponse:
        """Name one kind of payment."""
        return SupportedResponse(kinds=[SupportedKind(x402_version=2, scheme="exact", network=NETWORK)])

    async def verify(self, *_: object) -> VerifyResponse:
        """Find every payment valid."""
        return VerifyResponse(is_valid=True, payer=NOBODY)

    async def settle(self, *_: object) -> SettleResponse:
        """Settle it at once."""
        return SettleResponse(success=True, payer=NOBODY, transaction="0x00", network=NETWORK)


class Scheme:
    """The least that a scheme of x402 has to say about a price."""

    scheme = "exact"
    default_asset_transfer_method = "default"
    payment_flows: Mapping[str, PaymentFlowConfig] = {
        "default": {"supported": ("authorization",), "default": "authorization"}
    }

    def parse_price(self, price: Price, network: Network) -> AssetAmount:  # noqa: ARG002 - the protocol's names
        """Return the same amount for every price."""
        return AssetAmount(amount="10000", asset=NOBODY)

    def enhance_payment_requirements(
        self,
        requirements: PaymentRequirements,
        supported_kind: SupportedKind,  # noqa: ARG002
        extensions: list[str],  # noqa: ARG002
    ) -> PaymentRequirements:
        """Add nothing."""
        return requirements


def route() -> RouteConfig:
    """Return what x402 is told about one thing that is sold."""
    return RouteConfig(accepts=PaymentOption(scheme="exact", pay_to=NOBODY, price="$0.01", network=NETWORK))


def charged(routes: dict[str, RouteConfig]) -> ASGIApp:
    """Return the application behind x402's middleware."""
    server = x402ResourceServer(Facilitator())
    server.register(NETWORK, Scheme())
    app: ASGIApp = PaymentMiddlewareASGI(application, routes=routes, server=server)
    return app


async def payment(app: ASGIApp, path: str) -> bytes:
    """Return what a client of x402 sends to pay what is asked for at a path."""
    asked = dict((await visit(app, path, {})).headers)[b"payment-required"]
    accepted = json.loads(base64.b64decode(asked))["accepts"][0]
    return base64.b64encode(json.dumps({"x402Version": 2, "payload": {}, "accepted": accepted}).encode())


async def with_session() -> tuple[ASGIApp, Cookies]:
    """Return the application behind Starlette's sessions, and a browser's cookie that it was seen to read."""
    cookies: Cookies = {}

    async def first(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["reader"] = "one"
        await application(scope, receive, send)

    async def later(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["session"] != {"reader": "one"}:
            raise BenchmarkError("the session was not read")
        await application(scope, receive, send)

    await visit(SessionMiddleware(first, secret_key=KEY), "/about", cookies)
    await visit(SessionMiddleware(later, secret_key=KEY), "/about", cookies)
    return SessionMiddleware(application, secret_key=KEY), cookies


async def with_token() -> tuple[ASGIApp, Cookies]:
    """Return the application behind asgi-csrf, and a browser's cookie that it was seen to accept."""
    cookies: Cookies = {}

    async def form(scope: Scope, receive: Receive, send: Send) -> None:
        scope["csrftoken"]()
        await application(scope, receive, send)

    formed = asgi_csrf(form, signing_secret=KEY)
    await visit(formed, "/about", cookies)
    if not cookies or any(name == b"set-cookie" for name, _ in (await visit(formed, "/about", cookies)).headers):
        raise BenchmarkError("the token was not read")
    return asgi_csrf(application, signing_secret=KEY), cookies
