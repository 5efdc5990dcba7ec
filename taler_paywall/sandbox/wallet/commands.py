"""The commands `wallet …`, for people and, with `--json`, for programs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import click

from taler_paywall.sandbox.wallet.errors import PurseError, WalletError
from taler_paywall.sandbox.wallet.purse import Purse, open_purse
from taler_paywall.sandbox.wallet.report import (
    JsonGroup,
    PaidOnlyError,
    balance_members,
    outcome_members,
    price_of,
    print_json,
    printable,
    purchase_members,
    say,
    summary_of,
)
from taler_paywall.sandbox.wallet.wallet import Outcome, Wallet, http_client
from taler_paywall.sandbox_secret import state_directory

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., None])


def _db_option(command: Command) -> Command:
    option = click.option(
        "--db",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The wallet's file.  [default: wallet.sqlite in the user's state directory]",
    )
    return option(command)


def _json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


@click.group(cls=JsonGroup)
def wallet() -> None:
    """Pay with play money.

    URL is a taler://pay URI, an order status URL, or the address of a page that asks for a payment.
    """


@wallet.command()
@_db_option
@_json_option
def balance(*, db: Path | None, as_json: bool) -> None:
    """Show the play money; the wallet withdraws more as it needs it."""
    found = _look(db, Purse.balances)
    if as_json:
        print_json({"balances": [balance_members(one) for one in found]})
        return
    if not found:
        click.echo("nothing yet: play money is withdrawn when it is needed")
    for one in found:
        click.echo(f"{one.available} (withdrawn {one.withdrawn}, spent {one.spent}, refunded {one.refunded})")


@wallet.command("list")
@_db_option
@_json_option
def list_purchases(*, db: Path | None, as_json: bool) -> None:
    """List what was claimed and bought, newest first."""
    found = _look(db, Purse.purchases)
    if as_json:
        print_json({"purchases": [purchase_members(one) for one in found]})
        return
    for one in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.paid_at or one.claimed_at or 0))
        click.echo(printable(f"{when}  {one.status:<11}  {price_of(one)}  {summary_of(one)}"))
        click.echo(f"    {one.order_id} at {one.merchant_base_url}")


@wallet.command()
@click.argument("url")
@click.option("--choice", type=click.IntRange(min=0), help="Which choice of the contract to pay, from 0.")
@click.option("--wait-for-refund", is_flag=True, help="Collect the refund that the contract announces (auto_refund).")
@_db_option
@_json_option
def pay(url: str, *, choice: int | None, wait_for_refund: bool, db: Path | None, as_json: bool) -> None:
    """Pay an order, or prove that it was paid."""

    async def act(opened: Wallet) -> None:
        outcome = await opened.pay(url, choice)
        # One JSON object only: the later outcome has all that the earlier one had.
        if not (wait_for_refund and as_json):
            _report(outcome, as_json=as_json)
        if wait_for_refund:
            refund = await _awaited(opened, outcome)
            if refund or as_json:
                _report(refund or outcome, as_json=as_json)

    _with_wallet(db, act)


async def _awaited(opened: Wallet, paid: Outcome) -> Outcome | None:
    """Wait for the refund of what is paid."""
    try:
        return await opened.await_refund(paid)
    except WalletError as error:
        raise PaidOnlyError(paid, error) from error
    except asyncio.CancelledError as error:
        # Of Ctrl-C, which must not hide the payment.
        raise PaidOnlyError(paid, WalletError("interrupted")) from error


@wallet.command()
@click.argument("url")
@_db_option
@_json_option
def claim(url: str, *, db: Path | None, as_json: bool) -> None:
    """Claim an order without paying it."""
    _report(_with_wallet(db, lambda opened: opened.claim(url)), as_json=as_json)


@wallet.command()
@click.argument("uri")
@_db_option
@_json_option
def refund(uri: str, *, db: Path | None, as_json: bool) -> None:
    """Collect a refund: URI is a taler://refund URI or an order status URL."""
    _report(_with_wallet(db, lambda opened: opened.collect(uri)), as_json=as_json)


def _report(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print_json(outcome_members(outcome))
    else:
        say(outcome)


def _look(db: Path | None, use: Callable[[Purse], list[T]]) -> list[T]:
    """Look something up; a wallet that is not there yet is an empty one, and is not made for that."""
    try:
        _file(db).stat()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PurseError(f"the wallet's file {_file(db)} cannot be used: {error}") from error
    return _with_purse(db, use)


def _with_purse(db: Path | None, use: Callable[[Purse], T]) -> T:
    purse, connection = open_purse(_file(db))
    with closing(connection):
        try:
            return use(purse)
        except sqlite3.Error as error:
            raise PurseError(f"the wallet's file {_file(db)} cannot be used: {error}") from error


def _with_wallet(db: Path | None, use: Callable[[Wallet], Coroutine[Any, Any, T]]) -> T:
    async def session(purse: Purse) -> T:
        async with http_client() as client:
            return await use(Wallet(purse, client))

    return _with_purse(db, lambda purse: asyncio.run(session(purse)))


def _file(db: Path | None) -> Path:
    return db or state_directory() / "wallet.sqlite"
