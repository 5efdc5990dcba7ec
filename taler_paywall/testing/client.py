"""A reader in front of a paywalled site that runs in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from http import HTTPStatus
from inspect import iscoroutinefunction, signature
from types import TracebackType
from typing import Any, Final, Self, TypeGuard, cast
from wsgiref.types import WSGIApplication

import httpx
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from uvicorn.lifespan.on import LifespanOn

from taler_paywall.asgi import ASGIApp, PaywallMiddleware, Receive, Scope, Send
from taler_paywall.errors import TalerPaywallError
from taler_paywall.testing.process import PUBLIC_URL
from taler_paywall.testing.wallet import TalerWallet
from taler_paywall.testing.wsgi import WSGITransport
from taler_paywall.wsgi import PaywallMiddleware as WSGIPaywallMiddleware

#: What browsers send when somebody opens a page.
BROWSER: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
}
#: What programs send.
PROGRAM: Final = {"User-Agent": "taler_paywall.testing", "Accept": "application/json"}
#: The form of the paywall's pages whose button makes a new order.
_BUY_FORM: Final = re.compile(r'<form method="post" action="([^"]+/reorder)">(.*?)</form>', re.DOTALL)
_HIDDEN: Final = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


class SiteError(TalerPaywallError):
    """The site under test did not start, or leads away; the message says what is known."""


class PaywalledClient(httpx.Client):
    """A reader's browser, with cookies, that stops at redirects; or a program.

    Whatever it is asked for, it asks the site; `SiteError` is raised for addresses that are not the site's.

    Args:
        transport: the way to the site.
        public_url: where the site believes to be.
        backend: base URL of the merchant backend.
        wallet: pays.
        headers: of every request.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        *,
        public_url: str,
        backend: str,
        wallet: TalerWallet,
        headers: dict[str, str],
    ) -> None:
        # Every request on its way passes the hook, those that follow redirects too.
        hooks = {"request": [self._require_own]}
        super().__init__(transport=transport, base_url=public_url, headers=headers, event_hooks=hooks)
        self.wallet = wallet
        self._backend = backend

    def buy(self, path: str, *, method: str = "GET", **request: Any) -> httpx.Response:
        """Ask, pay where the site says, come back, and return the answer to who has paid.

        Where the site says that the payment was refunded or does not fit, a browser presses the button to buy again.

        Args:
            path: of something that is not paid, or not any more.
            method: of the request.
            request: further keywords of `httpx.Client.request`.

        Raises:
            AssertionError: the site did not ask for a payment.
            SiteError: it leads to another host.
            WalletError: the payment failed.
        """
        asked = self.request(method, path, **request)
        if asked.status_code == HTTPStatus.PAYMENT_REQUIRED and (form := _BUY_FORM.search(asked.text)):
            asked = self._press(form, asked.url)
        if asked.headers.get("location", "").startswith(self._backend):
            bought = self.wallet.pay(asked.headers["location"])
            return self.get(bought.fulfillment_url or path, follow_redirects=True)
        if "taler" not in asked.headers:
            raise AssertionError(f"{method} {path} asked for no payment: {asked.status_code}\n{asked.text}")
        self.wallet.pay(asked.headers["taler"])
        return self.request(method, path, **request)

    def _press(self, form: re.Match[str], shown: httpx.URL) -> httpx.Response:
        """Send a form of the page at an address."""
        fields = {name: unescape(value) for name, value in _HIDDEN.findall(form[2])}
        return self.post(shown.join(form[1]), data=fields, headers={"Sec-Fetch-Site": "same-origin"})

    def _require_own(self, request: httpx.Request) -> None:
        own = self.base_url
        if (request.url.scheme, request.url.netloc) != (own.scheme, own.netloc):
            raise SiteError(
                f"{request.url} is not at {own}, where the site under test is; if the site has another address, "
                "say so: paywalled_client(app, public_url=...)"
            )


class OpenClient:
    """Opens browsers in front of sites; a site runs from its first browser on until the end of the test.

    Args:
        backend: base URL of the merchant backend.
        wallet: pays, where no other is given.
    """

    def __init__(self, backend: str, wallet: TalerWallet) -> None:
        self._backend = backend
        self._wallet = wallet
        self._stack = ExitStack()
        self._sites: dict[int, httpx.BaseTransport] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(
        self,
        app: ASGIApp | WSGIApplication,
        *,
        browser: bool = True,
        wallet: TalerWallet | None = None,
        public_url: str = PUBLIC_URL,
    ) -> PaywalledClient:
        """Open a browser with no cookies yet.

        Args:
            app: an ASGI or a WSGI application with its paywall.
            browser: False for a program, which is answered 402 where a browser is sent to the order.
            wallet: pays; by default that of the test.
            public_url: the paywall's option, if it was given another.

        Raises:
            SiteError: the application's own start-up failed.
        """
        if id(app) not in self._sites:
            self._sites[id(app)] = self._stack.enter_context(serving(app))
        client = PaywalledClient(
            self._sites[id(app)],
            public_url=public_url,
            backend=self._backend,
            wallet=wallet or self._wallet,
            headers=BROWSER if browser else PROGRAM,
        )
        return self._stack.enter_context(client)


@contextmanager
def serving(app: ASGIApp | WSGIApplication) -> Iterator[httpx.BaseTransport]:
    """Run an application with its paywall in this process, and give the way to it.

    Args:
        app: an ASGI or a WSGI application. A WSGI application runs in the thread that asks.

    Raises:
        SiteError: it is neither, or the start-up failed.
    """
    if _is_asgi(app):
        with _serving_asgi(app) as transport:
            yield transport
    elif _takes(app, 2):
        try:
            yield WSGITransport(cast("WSGIApplication", app))
        finally:
            if isinstance(app, WSGIPaywallMiddleware):
                app.close()
    else:
        raise SiteError(f"{app!r} is no application of ASGI or WSGI; what makes one has to be called first")


def _is_asgi(app: ASGIApp | WSGIApplication) -> TypeGuard[ASGIApp]:
    """Tell by what it is called with: scope, receive and send; or environ and start_response."""
    asynchronous = iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__)
    return asynchronous or (_takes(app, 3) and not _takes(app, 2))


def _takes(app: object, number: int) -> bool:
    if not callable(app):
        return False
    try:
        signature(app).bind(*range(number))
    except TypeError:
        return False
    return True


@contextmanager
def _serving_asgi(app: ASGIApp) -> Iterator[httpx.BaseTransport]:
    """Run an ASGI application in an event loop of its own, its lifespan included.

    Args:
        app: one that knows no lifespan is served without, as uvicorn does; its paywall is closed even so.

    Raises:
        SiteError: the start-up failed.
    """

    async def alone(scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn takes what can be called without arguments for something that makes an application.
        await app(scope, receive, send)

    lifespan = LifespanOn(uvicorn.Config(alone, lifespan="auto", interface="asgi3", log_config=None))

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": lifespan.state.copy()}, receive, send)

    with start_blocking_portal() as portal:
        portal.call(lifespan.startup)
        if lifespan.should_exit:
            raise SiteError("the site's start-up failed; the log of uvicorn.error says why")
        try:
            yield _Transport(portal, with_state)
        finally:
            portal.call(lifespan.shutdown)
            if isinstance(app, PaywallMiddleware):
                portal.call(app.aclose)


class _Transport(httpx.BaseTransport):
    """Takes requests from the thread of a test into the event loop of the site."""

    def __init__(self, portal: BlockingPortal, app: ASGIApp) -> None:
        self._portal = portal
        self._site = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._portal.call(self._exchange, request)

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        response = await self._site.handle_async_request(request)
        # As it came: the client decodes it.
        body = b"".join([chunk async for chunk in response.aiter_raw()])
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))
