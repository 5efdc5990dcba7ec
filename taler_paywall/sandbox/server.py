"""The sandbox as an ASGI application."""

from __future__ import annotations

from urllib.parse import quote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from taler_paywall.sandbox import courier, identity, links, play
from taler_paywall.sandbox.backend import NAMES_OF_DEFAULT, Backend
from taler_paywall.sandbox.departure import EndWithClient
from taler_paywall.sandbox.failures import HANDLERS
from taler_paywall.sandbox.origins import NotForRebound, OpenToAllOrigins
from taler_paywall.sandbox.routes import ENDPOINTS
from taler_paywall.sandbox.translation import Translation
from taler_paywall.sandbox_secret import SandboxSecret


def create_app(backend: Backend, secret: SandboxSecret | None = None, *, allow_remote: bool = False) -> Starlette:
    """Build the application.

    Args:
        backend: the merchant behind it.
        secret: what it can prove to know, None for nothing.
        allow_remote: whether it is for other machines too, under names of their own.
    """
    app = Starlette(
        routes=[
            *ENDPOINTS,
            *(Mount(f"/instances/{name}", _default_instance) for name in NAMES_OF_DEFAULT),
            Mount("/instances/{instance}", routes=ENDPOINTS),
            Route("/", play.get_welcome),
            Route("/sandbox/pay", play.post_pay, methods=["POST"]),
            Route("/sandbox/refund", play.post_refund, methods=["POST"]),
            Route("/sandbox/proof", identity.get_proof),
            Mount("/sandbox/static", StaticFiles(packages=[("taler_paywall.sandbox", "static")])),
        ],
        middleware=[
            Middleware(OpenToAllOrigins),
            *([] if allow_remote else [Middleware(NotForRebound)]),
            *([Middleware(Translation, generation=backend.generation)] if backend.generation.is_old else []),
            Middleware(EndWithClient),
        ],
        exception_handlers=HANDLERS,
        lifespan=lambda _: courier.on_duty(backend.outbox),
    )
    app.router.redirect_slashes = False
    app.state.backend = backend
    app.state.secret = secret
    return app


async def _default_instance(scope: Scope, receive: Receive, send: Send) -> None:
    """Send users of an old name of the default instance to its address at the root (merchant API, instances)."""
    request = Request(scope)
    # Never two slashes: they would lead to another host.
    path = quote(scope["path"].removeprefix(scope["root_path"]).lstrip("/"))
    query = f"?{request.url.query}" if request.url.query else ""
    await RedirectResponse(links.root_path(request) + path + query, 308)(scope, receive, send)
