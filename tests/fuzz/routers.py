"""Real routers, in process: what the frameworks run for a path as the server hands it over."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from django.urls import URLPattern, URLResolver
from django.urls.exceptions import Resolver404
from django.urls.resolvers import RegexPattern, RoutePattern
from litestar import Litestar, route
from litestar.exceptions import HTTPException as LitestarError
from starlette.routing import Match, Mount, Route
from starlette.staticfiles import StaticFiles
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map
from werkzeug.routing import Rule as WerkzeugRule

from fuzz.sites import Shop
from taler_paywall.http import Request
from taler_paywall.resource import Rule

SOLD, FREE = "sold", "free"


@dataclass(frozen=True)
class Router:
    """A framework's router with the routes of a site.

    Args:
        name: of the framework.
        serves: tells whether it runs, for a request, what is sold.
    """

    name: str
    serves: Callable[[Request], bool]


@cache
def routers_of(shop: Shop) -> Sequence[Router]:
    """Return all routers with the routes of a site."""
    templates = [(rule.path, SOLD if rule.price else FREE) for rule in shop.rules if isinstance(rule.pattern, str)]
    return (
        Router("Starlette", _starlette(templates)),
        Router("Starlette, mounted", _starlette_mounted(templates)),
        *(
            Router(f"Werkzeug, merge={merge}, strict={strict}", _werkzeug(templates, merge=merge, strict=strict))
            for merge in (False, True)
            for strict in (False, True)
        ),
        Router("Django", _django(shop.rules)),
        Router("Litestar", _litestar(templates)),
        Router("files", _files(shop)),
    )


def _each_star(template: str, form: Callable[[str], str], rest: str, name: Callable[[str], str]) -> str:
    """Write a template as a framework does: a star within it, the rest of a path, and a named part."""
    head, star, _ = (template, "", "") if not template.endswith("/*") else (template[:-1], "*", "")
    numbered = re.sub(r"\*", lambda match: form(f"star{match.start()}"), head)
    return re.sub(r"\{(\w+)\}", lambda match: name(match[1]), numbered) + (rest if star else "")


@dataclass(frozen=True)
class _Endpoint:
    """What a router leads to; it is looked at and never run."""

    kind: str

    async def __call__(self, *_: Any) -> None: ...


def _starlette_routes(templates: Sequence[tuple[str, str]]) -> list[Route]:
    routes = []
    for template, kind in templates:
        path = _each_star(template, "{{{}}}".format, "{rest:path}", "{{{}}}".format)
        routes.append(Route(path, _Endpoint(kind)))
        if template.endswith("/*") and template != "/*":
            routes.append(Route(path.removesuffix("/{rest:path}"), _Endpoint(kind)))
    return routes


def _scope(request: Request) -> dict[str, Any]:
    path, root = request.path, request.root_path
    return {"type": "http", "method": request.method, "path": path, "root_path": root, "headers": []}


def _starlette(templates: Sequence[tuple[str, str]]) -> Callable[[Request], bool]:
    routes = _starlette_routes(templates)
    return lambda request: _first_of(routes, _scope(request)) == SOLD


def _starlette_mounted(templates: Sequence[tuple[str, str]]) -> Callable[[Request], bool]:
    """Mount the routes once more, below nothing, as sites do that are made of parts."""
    routes = _starlette_routes(templates)
    mount = Mount("", routes=routes)

    def serves(request: Request) -> bool:
        scope = _scope(request)
        match, child = mount.matches(scope)
        return match is Match.FULL and _first_of(routes, {**scope, **child}) == SOLD

    return serves


def _first_of(routes: Sequence[Route], scope: dict[str, Any]) -> str:
    for each in routes:
        match, child = each.matches(scope)
        if match is Match.FULL:
            return str(child["endpoint"].kind)
    return ""


def _werkzeug(templates: Sequence[tuple[str, str]], *, merge: bool, strict: bool) -> Callable[[Request], bool]:
    rules = []
    for template, kind in templates:
        path = _each_star(template, "<{}>".format, "<path:rest>", "<{}>".format)
        rules.append(WerkzeugRule(path, endpoint=kind))
        if template.endswith("/*"):
            rules.append(WerkzeugRule(path.removesuffix("<path:rest>"), endpoint=kind))
    routes = Map(rules, merge_slashes=merge, strict_slashes=strict)

    def serves(request: Request) -> bool:
        try:
            endpoint, _ = routes.bind("h", path_info=request.app_path, default_method="GET").match()
        except HTTPException:
            # Not found, or sent to another URL, which comes to the gate again.
            return False
        return bool(endpoint == SOLD)

    return serves


def _django(rules: Sequence[Rule]) -> Callable[[Request], bool]:
    patterns = []
    for rule in rules:
        kind = SOLD if rule.price else FREE
        if isinstance(rule.pattern, str):
            path = _each_star(rule.path, "<str:{}>".format, "<path:rest>", "<str:{}>".format)
            ways = dict.fromkeys(path[1:].removesuffix(end) for end in ("", "<path:rest>", "/<path:rest>"))
            patterns += [URLPattern(RoutePattern(each, is_endpoint=True), _Endpoint(kind)) for each in ways]
        else:
            patterns.append(URLPattern(RegexPattern(f"^{rule.path[1:]}$", is_endpoint=True), _Endpoint(kind)))
    resolver = URLResolver(RegexPattern(r"^/"), patterns)

    def serves(request: Request) -> bool:
        try:
            return bool(resolver.resolve(request.app_path).func.kind == SOLD)
        except Resolver404:
            return False

    return serves


def _litestar(templates: Sequence[tuple[str, str]]) -> Callable[[Request], bool]:
    paths: dict[str, list[str]] = {FREE: [], SOLD: []}
    for template, kind in templates:
        path = _each_star(template, "{{{}:str}}".format, "{rest:path}", "{{{}:str}}".format)
        taken = paths[FREE] if kind == SOLD else []
        paths[kind] += [way for way in (path, path.removesuffix("/{rest:path}") or "/") if way not in taken]
    handlers = [route(ways, http_method=["GET"], name=kind)(_function()) for kind, ways in paths.items() if ways]
    router = Litestar(handlers, openapi_config=None).asgi_router

    def serves(request: Request) -> bool:
        try:
            return router.handle_routing(request.app_path, "GET")[1].name == SOLD
        except LitestarError:
            return False

    return serves


def _function() -> Callable[[], Coroutine[Any, Any, None]]:
    async def answer() -> None: ...

    return answer


def _files(shop: Shop) -> Callable[[Request], bool]:
    """Look for a file as Starlette's StaticFiles does, in a directory with what is sold."""
    directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
    # Unlike atexit, this runs at the end of a worker of a pool too.
    Finalize(None, shutil.rmtree, args=(directory,), exitpriority=0)
    for target in shop.targets:
        file = directory / target.strip("/")
        if file != directory and not file.suffix:
            file.mkdir(parents=True, exist_ok=True)
    for target in shop.targets:
        file = directory / target.strip("/") / "index.html" if not Path(target).suffix else directory / target[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    files = StaticFiles(directory=directory)

    def serves(request: Request) -> bool:
        try:
            found, status = files.lookup_path(files.get_path(_scope(request)))
        except (ValueError, OSError):
            # No name of a file: NUL, a lone surrogate, too long.
            return False
        return status is not None and shop.serves("/" + str(Path(found).relative_to(directory)).removesuffix("."))

    return serves
