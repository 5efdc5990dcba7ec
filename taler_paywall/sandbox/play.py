"""The wallet behind the buttons of the pages: one per browser, told by a cookie, kept with the sandbox's state."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from taler_paywall.sandbox import links, pages, standing
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, backend_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.endpoints.public import Question
from taler_paywall.sandbox.fields import form_body, needed, text
from taler_paywall.sandbox.state.store import Order
from taler_paywall.sandbox.wallet.purse import Purse
from taler_paywall.sandbox.wallet.wallet import Wallet, WalletError

_COOKIE: Final = "taler_paywall_sandbox_wallet"
_WALLET_ID: Final = re.compile(r"[0-9a-f]{32}")
#: As long as browsers keep a cookie at all: 400 days.
_COOKIE_AGE: Final = 400 * 24 * 3600


async def get_welcome(request: Request) -> Response:
    """Tell people who open the sandbox's own address what it is."""
    return pages.welcome_page(request)


async def post_pay(request: Request) -> Response:
    """Pay an order with the browser's own wallet, and lead to what was bought."""
    return await _press(request, "pay")


async def post_refund(request: Request) -> Response:
    """Collect the refunds of an order with the browser's own wallet, and lead back to the order."""
    return await _press(request, "refund")


async def _press(request: Request, button: str) -> Response:
    wallet_id = request.cookies.get(_COOKIE, "")
    if not _WALLET_ID.fullmatch(wallet_id):
        wallet_id = secrets.token_hex(16)
    try:
        response = await _act(request, button, wallet_id)
    except ApiError as error:
        response = pages.error_page(request, error)
    response.set_cookie(_COOKIE, wallet_id, max_age=_COOKIE_AGE, path=links.root_path(request), httponly=True)
    return response


async def _act(request: Request, button: str, wallet_id: str) -> Response:
    # Old browsers do not send the header; they lose play money at worst.
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise ApiError(Code.GENERIC_FORBIDDEN, "this form belongs to another site")
    form = await form_body(request)
    backend = backend_of(request)
    instance = backend.instances.get(form.get("instance", DEFAULT_INSTANCE))
    if instance is None:
        raise ApiError(Code.MERCHANT_GENERIC_INSTANCE_UNKNOWN, "there is no such instance")
    order = standing.find(backend, instance, needed(form, "order_id", text))
    question = Question.read(form)
    if not question.is_entitled(order):
        raise ApiError(Code.MERCHANT_GET_ORDERS_ID_INVALID_TOKEN, "h_contract or token is needed to see this order")
    target, complaint = None, None
    try:
        async with _wallet(request, wallet_id, order, instance.path) as wallet:
            target = await _use(wallet, button, order, question.session_id)
    except WalletError as error:
        complaint = str(error)
    current = standing.find(backend, instance, order.order_id)
    status_url = links.order_status_url(links.root_path(request) + instance.path, current, question.session_id)
    if complaint:
        return pages.wallet_error_page(request, current, status_url, complaint)
    return RedirectResponse(target or status_url, 303)


async def _use(wallet: Wallet, button: str, order: Order, session_id: str | None) -> str | None:
    """Do what a button says; return where the buyer gets what was bought, if there is such a place."""
    if button == "refund":
        await wallet.collect(links.refund_uri(order))
        return None
    return (await wallet.pay(links.pay_uri(order, session_id))).fulfillment_url


@asynccontextmanager
async def _wallet(request: Request, wallet_id: str, order: Order, instance_path: str) -> AsyncIterator[Wallet]:
    """Open the browser's wallet; it reaches this very application, under the address that the order names."""
    prefix = urlsplit(order.base_url).path.removesuffix(instance_path).rstrip("/")
    inside = httpx.ASGITransport(request.app, raise_app_exceptions=False, root_path=prefix)
    async with httpx.AsyncClient(transport=inside) as client:
        backend = backend_of(request)
        yield Wallet(Purse(backend.database.connection, wallet_id, backend.now), client, now=backend.now)
