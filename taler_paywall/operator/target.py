"""Which paywall a command is about: one in a TOML file, or the one inside an application."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from inspect import iscoroutine, isfunction, ismethod
from typing import Any, TypeVar

from taler_paywall import asgi, wsgi
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.configuration import Paywall
from taler_paywall.configuration_file import imported
from taler_paywall.errors import ConfigError
from taler_paywall.local_sandbox import LocalSandbox, play_key
from taler_paywall.operations import Call
from taler_paywall.session import Keys
from taler_paywall.settings import Settings

T = TypeVar("T")
Middleware = asgi.PaywallMiddleware | wsgi.PaywallMiddleware

#: Under which names middleware keeps what it is around.
_INSIDE = ("app", "application", "wsgi_app", "asgi_app", "middleware_stack", "asgi_handler", "inner", "wrapped", "func")
#: What to do when a backend gives no answer that can be used.
REACH = "see that it runs, and that option backend is the instance's base URL as this machine reaches it"
#: Nobody wraps an application so often.
_DEEPEST = 64


@dataclass(frozen=True)
class Found:
    """A paywall inside an application.

    Args:
        middleware: the paywall.
        mount: path that its application is mounted at inside the outermost one, empty if it is not.
    """

    middleware: Middleware
    mount: str

    @property
    def settings(self) -> Settings:
        """What was configured."""
        return self.middleware.site.settings

    def check_routes(self) -> None:
        """Hold the rules against the routes of the application, as would be done at the first request at the latest.

        Raises:
            ConfigError: with `strict`, rules that match no route.
        """
        self.middleware.site.check(self.middleware.app, self.mount)


@dataclass(frozen=True)
class Target:
    """A paywall, and what its commands need to ask the backend in its name.

    Args:
        name: as it was given.
        settings: what was configured.
        app: the outermost application, None for a file.
        found: the paywalls inside it; none for a file.
    """

    name: str
    settings: Settings
    app: Any = field(default=None, repr=False)
    found: tuple[Found, ...] = ()

    @cached_property
    def backend(self) -> HttpBackend:
        """The way to the merchant backend.

        Raises:
            BackendUnreachable: it is the sandbox, and cannot be started.
        """
        settings = self.settings
        token: str | Callable[[], str] = settings.token or ""
        if settings.sandbox_port is not None:
            currencies = (rule.fixed_price.currency for rule in settings.rules if rule.fixed_price)
            token = LocalSandbox(settings.sandbox_port, next(currencies, "KUDOS")).token
            # It is started at the first private request, and may be asked others before.
            token()
        # Few calls are made, and each is to say itself what is the matter.
        breaker = Breaker(lambda: True)
        return HttpBackend(settings.backend, settings.backend_public_url, token, breaker)

    @property
    def public_url(self) -> str:
        """Where readers find the site.

        Raises:
            ConfigError: nobody has said it.
        """
        if self.settings.public_url is None:
            raise ConfigError(
                ["public_url is missing: this command has to know the site's address, with play money too"]
            )
        return self.settings.public_url

    @cached_property
    def keys(self) -> Keys:
        """The site's keys."""
        secrets = self.settings.secret_keys or (play_key(),)
        return Keys(secrets, f"{self.public_url} {self.settings.backend_public_url}")

    def ask(self, call: Call[T]) -> T:
        """Ask the backend.

        Raises:
            BackendError: no answer, or none that can be used.
        """
        return call.parse(self.backend.send(call.request))


def load(name: str) -> Target:
    """Load a paywall.

    Args:
        name: a TOML file, whose name ends so, or ``module:app``.

    Raises:
        ConfigError: every mistake in the configuration; or there is no such file or application, or no paywall in it.
    """
    if name.endswith(".toml"):
        return Target(name, Paywall.from_file(name).settings)
    app = imported(name)
    if iscoroutine(app):
        app.close()
        raise ConfigError([f"{name} has to be awaited: name an application, or a function that returns one at once"])
    found = tuple(find(app))
    if not found:
        missing = f"{name}: no paywall was found in this {type(app).__name__}; name the PaywallMiddleware itself"
        factory = "" if name.endswith("()") or not isfunction(app) else f"; if it makes the application, write {name}()"
        raise ConfigError([f"{missing}, or what keeps it in an attribute such as app or wsgi_app{factory}"])
    return Target(name, found[0].settings, app, found)


def find(app: Any) -> Iterator[Found]:
    """Find the paywalls inside an application, the outermost first.

    Raises:
        ConfigError: one that is made now is not configured correctly.
    """
    known: set[int] = set()
    waiting = [(app, "", 0)]
    while waiting:
        layer, mount, depth = waiting.pop(0)
        layer = layer.__self__ if ismethod(layer) else layer
        if id(layer) in known or depth > _DEEPEST:
            continue
        known.add(id(layer))
        if isinstance(layer, Middleware):
            yield Found(layer, mount)
        waiting += [(inner, mount + path, depth + 1) for path, inner in _inside(layer)]


def _inside(layer: Any) -> Iterator[tuple[str, Any]]:
    """List what a layer may be around, with the paths where it is mounted."""
    if isinstance(layer, type):
        return
    if hasattr(layer, "build_middleware_stack") and getattr(layer, "middleware_stack", layer) is None:
        # Starlette would do so at the first request.
        layer.middleware_stack = layer.build_middleware_stack()
    if isinstance(layer, partial):
        yield from (("", each) for each in (*layer.args, *layer.keywords.values()) if callable(each))
    for cell in getattr(layer, "__closure__", None) or ():
        with suppress(ValueError):  # it is empty
            yield "", cell.cell_contents
    for name in _INSIDE:
        if callable(inner := getattr(layer, name, None)):
            yield "", inner
    mounts = getattr(layer, "mounts", None)
    yield from mounts.items() if isinstance(mounts, Mapping) else ()
    routes = getattr(layer, "routes", None)
    for route in routes if isinstance(routes, list) else ():
        if callable(inner := getattr(route, "app", None)):
            yield (getattr(route, "path", "") if hasattr(route, "routes") else ""), inner
