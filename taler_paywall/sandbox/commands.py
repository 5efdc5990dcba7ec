"""The command `sandbox`."""

from __future__ import annotations

import re
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from socket import gethostname, socket
from urllib.parse import quote, urlsplit

import click
import httpx

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError, TalerPaywallError
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, NAMES_OF_DEFAULT, Backend
from taler_paywall.sandbox.generations.generation import CURRENT, GENERATIONS
from taler_paywall.sandbox.process import listen, run
from taler_paywall.sandbox.server import create_app
from taler_paywall.sandbox.state.database import Database
from taler_paywall.sandbox_secret import SandboxSecret, SecretFileError, secret_path

#: The bearer token of a sandbox that was not given another.
DEFAULT_TOKEN = "secret-token:sandbox"  # noqa: S105 - guards play money only
_INSTANCE_NAME = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.-]+")
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared with only
# What fits into an Authorization header.
_TOKEN = re.compile(r"[!-~]+")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _token(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _TOKEN.fullmatch(value):
        raise click.BadParameter("must be visible ASCII characters, and at least one")
    return value


def _currency(_context: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        return Amount.zero(value).currency
    except CodecError as error:
        raise click.BadParameter(str(error)) from error


def _instances(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for value in values:
        name, _, token = value.partition("=")
        if not _INSTANCE_NAME.fullmatch(name) or not _TOKEN.fullmatch(token):
            detail = "must be NAME=TOKEN; a name has letters, digits and _ . - only, a token visible ASCII characters"
            raise click.BadParameter(detail)
        if name in (*tokens, *NAMES_OF_DEFAULT):
            raise click.BadParameter(f"the name {name} is taken")
        tokens[name] = token
    return tokens


@click.group(invoke_without_command=True)
@click.option("--port", default=9966, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--allow-remote", is_flag=True, help="Let the host be any address of this machine.")
@click.option("--token", callback=_token, help=f"What the merchant sends as bearer token.  [default: {DEFAULT_TOKEN}]")
@click.option(
    *("--instance", "instances"),
    metavar="NAME=TOKEN",
    multiple=True,
    callback=_instances,
    help="Another merchant, at /instances/NAME/; can be repeated.",
)
@click.option(
    "--generation",
    default=CURRENT.name,
    show_default=True,
    type=click.Choice(list(GENERATIONS)),
    help="Speak as merchant backends did in that year.",
)
@click.option("--currency", default="KUDOS", show_default=True, callback=_currency)
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Remember everything in this file.")
@click.option("--control", is_flag=True, help="Let tests switch faults on, at a port of its own.")
@click.option("--control-port", type=click.IntRange(0, 65535), help="Implies --control.  [default: a free port]")
@click.option("--secret-file", type=click.Path(path_type=Path), hidden=True)
@click.option("--exit-with-stdin", is_flag=True, hidden=True)
@click.pass_context
def sandbox(
    context: click.Context,
    *,
    port: int,
    host: str,
    allow_remote: bool,
    token: str | None,
    instances: dict[str, str],
    generation: str,
    currency: str,
    state: Path | None,
    control: bool,
    control_port: int | None,
    secret_file: Path | None,
    exit_with_stdin: bool,
) -> None:
    """Run a merchant backend for play money, until Ctrl-C."""
    if context.invoked_subcommand:
        return
    control = control or control_port is not None
    if allow_remote:
        _check_remote(control=control, tokens=[token or DEFAULT_TOKEN, *instances.values()])
    try:
        known = SandboxSecret.read(secret_file) if secret_file else SandboxSecret.fresh(token or DEFAULT_TOKEN)
        with ExitStack() as stack:
            listener = stack.enter_context(closing(listen(host, port, allow_remote=allow_remote)))
            controls = stack.enter_context(closing(listen("127.0.0.1", control_port or 0))) if control else None
            database = stack.enter_context(closing(Database(state)))
            instances[DEFAULT_INSTANCE] = token or known.token
            backend = Backend(database, currency=currency, tokens=instances, generation=GENERATIONS[generation])
            written = None if secret_file else _write_secrets(known, listener.getsockname()[1])
            run(
                *(create_app(backend, known, allow_remote=allow_remote), listener),
                announce=lambda: _announce(host, listener, controls),
                exit_with_stdin=exit_with_stdin,
                control_listener=controls,
            )
            if written:
                written.unlink(missing_ok=True)
    except (TalerPaywallError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error


def _check_remote(*, control: bool, tokens: list[str]) -> None:
    if control:
        raise click.UsageError("--control is for this machine alone: it cannot be had with --allow-remote")
    if DEFAULT_TOKEN in tokens:
        click.echo(f"warning: everybody knows the token {DEFAULT_TOKEN}; choose another with --token", err=True)


def _announce(host: str, listener: socket, controls: socket | None) -> None:
    port = listener.getsockname()[1]
    address = f"[{host}]" if ":" in host else host
    click.echo(f"Play money sandbox ready at http://{address}:{port}/")
    if host in _ALL_ADDRESSES:
        click.echo(f"Other machines may find it at http://{gethostname()}:{port}/")
    if controls:
        click.echo(f"Control endpoint at http://127.0.0.1:{controls.getsockname()[1]}/")


def _write_secrets(known: SandboxSecret, port: int) -> Path | None:
    """Let this user's own programs recognise the sandbox; without the file it is just not recognised."""
    path = secret_path(port)
    try:
        known.write(path)
    except SecretFileError as error:
        click.echo(f"warning: paywalls cannot join this sandbox: {error}", err=True)
        return None
    return path


@sandbox.command()
@click.argument("order_id")
@click.option("--amount", required=True, help="The new total, such as KUDOS:0.5.")
@click.option("--reason", default="refunded by hand", show_default=True)
@click.option("--url", default="http://127.0.0.1:9966/", show_default=True, help="Of the running sandbox.")
@click.option("--token", help="Of the running sandbox.  [default: what its secret file says]")
def refund(order_id: str, amount: str, reason: str, url: str, token: str | None) -> None:
    """Give money back for an order, as the merchant."""
    address = f"{url.rstrip('/')}/private/orders/{quote(order_id, safe='')}/refund"
    headers = {"Authorization": f"Bearer {token or _token_of(url)}"}
    try:
        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.post(address, json={"refund": amount, "reason": reason}, headers=headers)
            body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise click.ClickException(f"the sandbox at {url} cannot be asked: {error}") from error
    if answer.is_error:
        raise click.ClickException(f"{body.get('detail')} (status {answer.status_code}, code {body.get('code')})")
    click.echo(body["taler_refund_uri"])


def _token_of(url: str) -> str:
    """Look up the token of this user's own sandbox; another would not get it."""
    try:
        parts = urlsplit(url)
        if parts.hostname in _LOOPBACK:
            return SandboxSecret.read(secret_path(parts.port or 80)).token
    except (SecretFileError, ValueError):
        # No file: it was started in another way, and will refuse the default and say so if it has another.
        return DEFAULT_TOKEN
    return DEFAULT_TOKEN
