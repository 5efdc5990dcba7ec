"""What the operator's commands take: which paywall, addresses, times, pairs; and how they fail."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from taler_paywall.errors import BackendNonsense, BackendUnreachable, TalerPaywallError
from taler_paywall.local_sandbox import listens
from taler_paywall.operations import ORDER_ID
from taler_paywall.operator.target import REACH, Target, load

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT = "paywall.toml"
VARIABLE = "TALER_PAYWALL_CONFIG"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


# Arguments that are no UTF-8 reach Python so.
_RAW = "surrogateescape"
_METAVAR = "FILE.toml|MODULE:APP"


def of_target(command: F) -> F:
    """Add the option that says which paywall a command is about."""
    return click.option(
        *("--config", "--app", "name"),
        envvar=VARIABLE,
        default=DEFAULT,
        show_default=True,
        show_envvar=True,
        metavar=_METAVAR,
        help="Which paywall.",
    )(command)


def of_target_too(command: F) -> F:
    """Let a subcommand take the same option, behind its name as well as before it."""

    def chosen(context: click.Context, _option: click.Parameter, value: str | None) -> str:
        return value or str(context.obj)

    return click.option("--config", "--app", "name", metavar=_METAVAR, callback=chosen, help="Which paywall.")(command)


def loaded(name: str) -> Target:
    """Load a paywall; modules are looked for in the working directory too, as servers do."""
    if name.endswith(".toml") and not Path(name).exists():
        raise click.UsageError(f"there is no {name} here: name a file or module:app, or set {VARIABLE}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    # Whatever a site prints when it is loaded is no answer to a command.
    with redirect_stdout(sys.stderr):
        return load(name)


@contextmanager
def failures() -> Iterator[None]:
    """End a command with what went wrong, in one line or a few."""
    try:
        yield
    except TalerPaywallError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def standing(name: str) -> Iterator[Target]:
    """Load a paywall whose backend is there to stay: a sandbox that this command started would end with it."""
    with failures():
        target = loaded(name)
        port = target.settings.sandbox_port
        if port is not None and not listens(port):
            missing = f"no sandbox runs at port {port}: start `taler-paywall sandbox`, or the site, first"
            raise click.ClickException(missing)
        try:
            yield target
        except (BackendUnreachable, BackendNonsense) as error:
            unusable = f"{target.settings.backend} gives no answer that can be used ({error}); {REACH}"
            raise click.ClickException(unusable) from error


def _is_address(value: str) -> bool:
    try:
        url = urlsplit(value)
        return url.scheme in {"http", "https"} and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        return False


def read_site(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Refuse what is no address of a site."""
    if value and (not _is_address(value) or set("?#") & set(value)):
        raise click.BadParameter("is an address such as https://news.example, without a query")
    return value


def read_order_id(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    """Refuse what cannot be the ID of an order."""
    if not re.match(ORDER_ID, value):
        raise click.BadParameter("is the ID of an order, as `taler-paywall orders` lists it")
    return value


def read_address(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    """Refuse what is neither an address nor a path."""
    is_path = value.startswith("/") and not value.startswith("//")
    if not is_path and not _is_address(value):
        raise click.BadParameter("is an address such as https://news.example/x, or a path, which begins with one /")
    return value


def read_pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read names with their values."""
    pairs = [value.partition("=") for value in values]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.BadParameter("must be NAME=VALUE")
    return {name: value for name, _, value in pairs}


def read_headers(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[bytes, bytes], ...]:
    """Read headers of a request."""
    pairs = [value.partition(":") for value in values]
    if any(not name.strip() or not colon for name, colon, _ in pairs):
        raise click.BadParameter("must be 'Name: value'")
    stripped = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
    return tuple((name.encode(errors=_RAW), value.encode(errors=_RAW)) for name, value in stripped)


def read_since(_context: click.Context, _option: click.Parameter, value: str | None) -> float:
    """Read a date, a date with time, or a number of minutes, hours, days or weeks."""
    if value is None:
        return 0.0
    try:
        if value[-1:] in _UNITS:
            return (datetime.now(UTC) - timedelta(**{_UNITS[value[-1]]: float(value[:-1])})).timestamp()
        return datetime.fromisoformat(value).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter("is a date such as 2026-11-30, or a time until now: 90m, 12h, 7d, 2w") from error
