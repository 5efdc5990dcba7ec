"""The commands `sandbox` and `wallet`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
import httpx

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError, TalerPaywallError
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, Backend
from taler_paywall.sandbox.database import Database
from taler_paywall.sandbox.purse import open_purse
from taler_paywall.sandbox.server import create_app, listen, run
from taler_paywall.sandbox.wallet import Outcome, Wallet, http_client
from taler_paywall.sandbox_secret import SandboxSecret, SecretFileError, secret_path, state_directory

#: The bearer token of a sandbox that was not given another.
DEFAULT_TOKEN = "secret-token:sandbox"  # noqa: S105 - guards play money only
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _currency(_context: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        return Amount.zero(value).currency
    except CodecError as error:
        raise click.BadParameter(str(error)) from error


@click.group(invoke_without_command=True)
@click.option("--port", default=9966, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--token", help=f"What the merchant sends as bearer token.  [default: {DEFAULT_TOKEN}]")
@click.option("--currency", default="KUDOS", show_default=True, callback=_currency)
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Remember everything in this file.")
@click.option("--secret-file", type=click.Path(path_type=Path), hidden=True)
@click.option("--exit-with-stdin", is_flag=True, hidden=True)
@click.pass_context
def sandbox(
    context: click.Context,
    *,
    port: int,
    host: str,
    token: str | None,
    currency: str,
    state: Path | None,
    secret_file: Path | None,
    exit_with_stdin: bool,
) -> None:
    """Run a merchant backend for play money, until Ctrl-C."""
    if context.invoked_subcommand:
        return
    try:
        known = SandboxSecret.read(secret_file) if secret_file else SandboxSecret.fresh(token or DEFAULT_TOKEN)
        with closing(listen(host, port)) as listener, closing(Database(state)) as database:
            port = listener.getsockname()[1]
            backend = Backend(database, currency=currency, tokens={DEFAULT_INSTANCE: token or known.token})
            written = None if secret_file else _write_secrets(known, port)
            address = f"[{host}]" if ":" in host else host
            run(
                create_app(backend, known),
                listener,
                announce=lambda: click.echo(f"Play money sandbox ready at http://{address}:{port}/"),
                exit_with_stdin=exit_with_stdin,
            )
            if written:
                written.unlink(missing_ok=True)
    except TalerPaywallError as error:
        raise click.ClickException(str(error)) from error


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


def _db_option(command: Callable[..., None]) -> Callable[..., None]:
    option = click.option(
        "--db",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The wallet's file.  [default: wallet.sqlite in the user's state directory]",
    )
    return option(command)


@click.group()
def wallet() -> None:
    """Pay with play money."""


@wallet.command()
@click.argument("url")
@_db_option
def pay(url: str, db: Path | None) -> None:
    """Pay an order, or prove that it was paid: URL is a taler://pay URI or an order status URL."""
    _report(_with_wallet(db, lambda opened: opened.pay(url)))


@wallet.command()
@click.argument("url")
@_db_option
def claim(url: str, db: Path | None) -> None:
    """Claim an order without paying it: URL is a taler://pay URI or an order status URL."""
    _report(_with_wallet(db, lambda opened: opened.claim(url)))


def _with_wallet(db: Path | None, use: Callable[[Wallet], Coroutine[Any, Any, Outcome]]) -> Outcome:
    async def session() -> Outcome:
        async with http_client() as client:
            return await use(Wallet(purse, client))

    try:
        purse, connection = open_purse(db or state_directory() / "wallet.sqlite")
        with closing(connection):
            return asyncio.run(session())
    except TalerPaywallError as error:
        raise click.ClickException(str(error)) from error


def _report(outcome: Outcome) -> None:
    terms = outcome.contract_terms
    click.echo(f"{outcome.how}: {terms['summary']} ({terms['amount']})" if terms else outcome.how)
    if outcome.fulfillment_url:
        click.echo(outcome.fulfillment_url)
