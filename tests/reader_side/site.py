"""A small site that sells one page of each kind, for both protocols; servers take `asgi`, `wsgi` and `dressed`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from markupsafe import Markup

from taler_paywall import Resource, Rule
from taler_paywall.asgi import PaywallMiddleware as AsgiPaywall
from taler_paywall.asgi import Receive, Scope, Send
from taler_paywall.settings import Options
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

#: Headline of whatever is sold.
BOUGHT: Final = "You have bought this"
FRONT: Final = "The front page"
#: What anybody may read of a page with a preview.
PREVIEW: Final = "Bees dance to tell each other where the flowers are."
LOGO: Final = "/logo.svg"
ACCENTS: Final = {"accent": "#7a0049", "dark_accent": "#ffb0d8"}


def preview(resource: Resource) -> Markup:
    """Return the beginning of a page."""
    return Markup("<p>{}</p><p>More about {}.</p>").format(PREVIEW, resource.parts["slug"])


RULES: Final = [
    Rule("/articles/{slug}/*", price="KUDOS:0.5", summary="Article {slug}"),
    Rule("/book", price="KUDOS:0.5", summary="Chapter {chapter}", query=["chapter"]),
    Rule("/classic/{slug}", price="KUDOS:0.5", summary="Classic {slug}", unpaid="redirect"),
    Rule("/teased/{slug}", price="KUDOS:0.5", summary="Story {slug}", teaser=preview),
    Rule("/returnable/{slug}", price="KUDOS:0.5", summary="Song {slug}", refundable=True),
]
OPTIONS: Final[Options] = {"unpaid": "page", "recheck_after": 0.2}


def page(path: str, query: str) -> tuple[str, bytes]:
    """Return the type and the content of a page; the front page links to the address in its query."""
    if path == LOGO:
        return "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>'
    link = "".join(f'<p><a href="{escape(to)}">Read</a>' for to in parse_qs(query).get("to", []))
    title, text = (FRONT, link) if path == "/" else (BOUGHT, escape(f"{path}?{query}"))
    html = f"<!doctype html><html lang=en><title>{title}</title><link rel=icon href=data:,><h1>{title}</h1>{text}"
    return "text/html; charset=utf-8", html.encode()


async def asgi_site(scope: Scope, receive: Receive, send: Send) -> None:
    """Show the pages over ASGI."""
    assert scope["type"] == "http"
    kind, body = page(scope["path"], scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
    await send({"type": "http.response.body", "body": body})


def wsgi_site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Show the pages over WSGI."""
    kind, body = page(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", kind)])
    return [body]


def asgi() -> AsgiPaywall:
    return AsgiPaywall(asgi_site, RULES, **OPTIONS)


def wsgi() -> WsgiPaywall:
    return WsgiPaywall(wsgi_site, RULES, **OPTIONS)


def dressed() -> AsgiPaywall:
    """Return the site with a name, a logo, colours and templates of its own."""
    look: Options = {"site_name": "The Sample", "logo": LOGO, "colours": ACCENTS, "templates": os.environ["TEMPLATES"]}
    return AsgiPaywall(asgi_site, RULES, **OPTIONS | look)
