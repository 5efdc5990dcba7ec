"""A paywall that is made before the application that it goes around: of keywords, or of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack
from wsgiref.types import WSGIApplication

from taler_paywall.errors import ConfigError

if TYPE_CHECKING:
    from taler_paywall import asgi, wsgi
    from taler_paywall.settings import Options, RuleList


class Paywall:
    """What a site sells, and to whom it belongs, without the application: for sites that keep it in a file.

    Args:
        rules: what is sold: a list of `taler_paywall.Rule`, or ``{pattern: price}``; the first that matches wins.
        options: the keywords of ``PaywallMiddleware``; the README explains them.

    Raises:
        ConfigError: every mistake in the configuration, each with its fix.
    """

    def __init__(self, rules: RuleList, **options: Unpack[Options]) -> None:
        # Whoever takes nothing but a type from the package does not wait for this.
        from taler_paywall.config import resolve  # noqa: PLC0415

        self._rules, self._options = rules, options
        #: The same, checked, with the environment and the defaults.
        self.settings = resolve(rules, options)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a TOML file (docs/configuration-file.md).

        Args:
            path: of the file; relative paths in it are taken from where it is.

        Raises:
            ConfigError: every mistake in it, each with its fix.
        """
        # Few sites have one.
        from taler_paywall.configuration_file import read  # noqa: PLC0415

        contents = read(Path(path))
        problems = contents.problems
        try:
            made = cls(contents.rules, **contents.options)
        except ConfigError as error:
            known = tuple(contents.consequences)
            problems += [problem for problem in error.problems if not problem.startswith(known)]
        if problems:
            raise ConfigError([f"{path}: {problem}" for problem in problems])
        return made

    def asgi(self, app: asgi.ASGIApp) -> asgi.PaywallMiddleware:
        """Put the paywall around an ASGI application."""
        from taler_paywall.asgi import PaywallMiddleware  # noqa: PLC0415 - one of the two is enough for a site

        return PaywallMiddleware(app, self._rules, **self._options)

    def wsgi(self, app: WSGIApplication) -> wsgi.PaywallMiddleware:
        """Put the paywall around a WSGI application."""
        from taler_paywall.wsgi import PaywallMiddleware  # noqa: PLC0415

        return PaywallMiddleware(app, self._rules, **self._options)
