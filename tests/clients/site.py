"""A site that sells the same in every way, for both protocols: redirects, pages, teasers, programs' calls."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

from markupsafe import Markup

from taler_paywall import Resource, Rule, asgi, wsgi

SECRET: Final = b"What only those may read who have paid."
#: An origin of the same site whose scripts may buy.
APP: Final = "https://app.example"
#: What summaries may hold, by the name of the resource.
SUMMARIES: Final = {
    "plain": "An evening with the bees",
    "markup": "<b>Bees</b> & \"wasps\" 'n' ]]> more",
    "emoji": "Bees 🐝 and naïve ½ 東京",
    "bidi": "Bees \u202eseeB\u202c",
    "long": "Bees " * 200,
}
_TEXT: Final = "Eleven hives <script>alert(1)</script> hum above the town."


def summary_of(resource: Resource) -> str:
    return SUMMARIES[resource.parts["name"].partition("-")[0]]


def teaser_of(resource: Resource) -> object:
    """Return what the beginning of a name asks for."""
    kind = resource.parts["name"].partition("-")[0]
    if kind == "raises":
        raise RuntimeError(kind)
    return {"none": None, "text": _TEXT, "markup": Markup("<p>Eleven <em>hives</em> hum.</p>"), "empty": ""}[kind]


RULES: Final = [
    # What the documentation shows.
    Rule("/articles/{name}", "KUDOS:0.5", summary="Article {name}"),
    Rule("/redirect/{name}/*", "KUDOS:0.5", summary="Article {name}"),
    Rule("/page/{name}/*", "KUDOS:0.5", summary="Article {name}", unpaid="page"),
    Rule("/summary/{name}", "KUDOS:0.5", summary=summary_of, unpaid="page"),
    Rule("/teased/{name}", "KUDOS:0.5", summary="Article {name}", teaser=teaser_of),
    Rule("/preview/{name}", "KUDOS:0.5", summary="Article {name}", teaser="preview.html"),
    Rule("/search", "KUDOS:0.5", summary="Search for {q}", query=["q"], unpaid="page"),
    Rule("POST /translate/{name}", "KUDOS:0.1", summary="Translation", page="/pricing"),
]
OPTIONS: Final[Any] = {"cors_origins": [APP], "templates": Path(__file__).parent / "templates"}


async def _asgi(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": SECRET})


def _wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [SECRET]


def app() -> asgi.ASGIApp:
    return asgi.PaywallMiddleware(_asgi, RULES, **OPTIONS)


def wsgi_app() -> Any:
    return wsgi.PaywallMiddleware(_wsgi, RULES, **OPTIONS)
