"""Which rules match no route of the application: a slip of the pen in a rule gives away what it should sell, silently.

No framework is imported. What cannot be read counts as a route to everything: rather no warning than a false one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from inspect import ismethod
from typing import Any

from taler_paywall.path import folded
from taler_paywall.resource import Rule

_ONE, _REST = "*", "**"
_SHOWN = 10  # rules

_PLAIN = r"[^{}<>()\[\]*?+|\\^$]"
# Parts that stay within a segment, as the frameworks spell them; those of other kinds may cover more.
_KINDS = r"(?:any|date|datetime|decimal|float|int|slug|str|string|time|timedelta|uuid)"
_is_literal = re.compile(rf"{_PLAIN}+").fullmatch
_is_one = re.compile(rf"(?:{_PLAIN}|\{{\w+(?::{_KINDS})?\}}|<(?:{_KINDS}(?:\([^()]*\))?:)?\w+>)+").fullmatch


def complaints(rules: Iterable[Rule], app: object, root_paths: Iterable[str]) -> list[str] | None:
    """Say which rules match no route, and what may be meant; None if the application is of no known kind.

    Args:
        rules: of the site.
        app: what the paywall is around.
        root_paths: where it may be mounted; rules have them or not.
    """
    templates = routes_of(app)
    if templates is None:
        return None
    lost = unserved(rules, [root + template for root in ("", *root_paths) for template in templates])
    further = [f"{len(lost) - _SHOWN} further rules match no route"] if len(lost) > _SHOWN else []
    return [_complaint(rule, templates) for rule in lost[:_SHOWN]] + further


def routes_of(app: object) -> list[str] | None:
    """List the path templates of an application, or of one inside middleware; None if it is of no known kind."""
    try:
        return _read(app)
    except Exception:  # noqa: BLE001 - an application that breaks when it is looked at has its own way to say so
        return None


def mount_problem(app: object) -> str:
    """Say that an ASGI application mounts itself, unseen by what is around it; empty where it asks the server."""
    modules = {kind.__module__ for kind in type(app).__mro__}
    if "fastapi.applications" in modules:
        mount = getattr(app, "root_path", "")
    elif "django.core.handlers.asgi" in modules:
        mount = sys.modules["django.conf"].settings.FORCE_SCRIPT_NAME
    else:
        return ""
    return mount and (
        f"the application mounts itself at {mount!r}, which the paywall around it cannot see: tell the server instead "
        "(uvicorn --root-path), or add the paywall to the application's own middleware"
    )


def unserved(rules: Iterable[Rule], templates: Iterable[str]) -> list[Rule]:
    """List the rules that no path of these templates can match; nothing is known of regular expressions."""
    routes = {_segments(template) for template in templates}
    named = [(rule, _segments(rule.path)) for rule in rules if isinstance(rule.pattern, str)]
    return [rule for rule, segments in named if not any(_meet(segments, route) for route in routes)]


def _complaint(rule: Rule, templates: Sequence[str]) -> str:
    effect = "frees nothing" if rule.price is None else "sells nothing; what it should sell may be free to read"
    meant = "".join(f"; is {near!r} meant?" for near in get_close_matches(rule.path, templates, n=1))
    return f"rule {rule.pattern!r} matches no route of the application and {effect}{meant}"


def _segments(template: str) -> tuple[str, ...]:
    """Return a template's segments: names, `_ONE` for any one, and at the end `_REST` for whatever follows."""
    found: list[str] = []
    names = [folded(name).casefold() for name in template.split("/") if name]
    for name in names:
        if _is_literal(name):
            found.append(name)
        elif _is_one(name) or (name == "*" and len(found) < len(names) - 1):
            found.append(_ONE)
        else:
            return (*found, _REST)
    return tuple(found)


def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Tell whether some path fits both."""
    for a, b in zip(one, other, strict=False):
        if _REST in (a, b):
            return True
        if a != b and _ONE not in (a, b):
            return False
    return {*one[len(other) :], *other[len(one) :]} <= {_REST}


def _read(app: Any) -> list[str] | None:
    app = app.__self__ if ismethod(app) else app  # Flask and Quart: app.wsgi_app, app.asgi_app
    if isinstance(getattr(app, "routes", None), list):
        return list(_routed(app))
    if hasattr(app, "url_map"):
        return [rule.rule for rule in app.url_map.iter_rules()]
    if any(kind.__module__.startswith("django.core.handlers.") for kind in type(app).__mro__):
        static = sys.modules["django.conf"].settings.STATIC_URL
        own = [f"{static}/*"] if static else []
        return [*own, *_patterns(sys.modules["django.urls"].get_resolver(), "/")]
    wrapped = [getattr(app, name, None) for name in ("app", "application", "wsgi_app", "asgi_app")]
    inside = next((_read(inner) for inner in wrapped if callable(inner)), None)
    return None if inside is None else [*inside, *_beside(app)]


def _beside(wrapper: Any) -> Iterator[str]:
    """List what Werkzeug's dispatcher, and the file servers of Werkzeug and WhiteNoise, have beside an application."""
    for name in ("mounts", "exports", "files"):
        for prefix, served in dict(getattr(wrapper, name, ())).items():
            yield from _below(prefix, served)


def _below(prefix: str, app: object) -> list[str]:
    """List the templates of an application that is mounted."""
    inside = _read(app)
    return [f"{prefix}/*"] if inside is None else [prefix + template for template in inside]


def _routed(app: Any) -> Iterator[str]:
    """List the templates of Starlette, FastAPI and Litestar, and of what is mounted in them."""
    for route in app.routes:
        if hasattr(route, "original_router"):  # FastAPI: included
            yield from _below(route.include_context.prefix, route.original_router)
        elif hasattr(route, "routes"):  # Starlette: Mount, and Host, which has no path
            yield from _below(getattr(route, "path", ""), route.app)
        elif getattr(getattr(route, "route_handler", None), "is_mount", False):  # Litestar
            yield f"{route.path}/*"
        else:
            path = getattr(route, "path", "")
            yield path if isinstance(path, str) and path else "/*"
    router = getattr(app, "router", app)
    for files in getattr(router, "_low_priority_routes", ()):  # FastAPI: frontends
        yield from (f"{template}/*" for template in _routed(files))
    default = getattr(router, "default", None)
    if default and getattr(default, "__self__", None) is not router:  # Starlette: an application, where no route is
        yield "/*"


def _patterns(resolver: Any, prefix: str) -> Iterator[str]:
    """List the templates of a URLconf of Django."""
    for entry in resolver.url_patterns:
        path = prefix + _django_route(entry.pattern)
        yield from _patterns(entry, path) if hasattr(entry, "url_patterns") else [path]


def _django_route(pattern: Any) -> str:
    """Return what a pattern of Django adds to the path; "*" for what depends on the visitor's language."""
    route = getattr(pattern, "_route", getattr(pattern, "_regex", None))
    if not isinstance(route, str) or hasattr(pattern, "_route"):
        return route if isinstance(route, str) else "*"
    begun = route[1:] if route.startswith("^") else "*"
    return begun[:-1] if begun.endswith("$") else f"{begun}*"
