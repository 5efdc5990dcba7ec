"""The commands `wallet …`, for people and, with `--json`, for programs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from taler_paywall.errors import TalerPaywallError
from taler_paywall.sandbox.wallet.purchase import Balance, Purchase
from taler_paywall.sandbox.wallet.purse import Purse, PurseError, open_purse
from taler_paywall.sandbox.wallet.wallet import Outcome, Wallet, WalletError, http_client
from taler_paywall.sandbox_secret import state_directory
from taler_paywall.timestamp import encode_timestamp

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


@click.group()
def wallet() -> None:
    """Pay with play money.

    URL is a taler://pay URI, an order status URL, or the address of a page that asks for a payment.
    """


@wallet.command()
@_db_option
@_json_option
def balance(*, db: Path | None, as_json: bool) -> None:
    """Show the play money; the wallet withdraws more as it needs it."""
    with _errors_shown(as_json=as_json):
        found = _with_purse(db, Purse.balances)
    if as_json:
        _print_json({"balances": [_balance_members(one) for one in found]})
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
    with _errors_shown(as_json=as_json):
        found = _with_purse(db, Purse.purchases)
    if as_json:
        _print_json({"purchases": [_purchase_members(one) for one in found]})
        return
    for one in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.paid_at or one.claimed_at or 0))
        click.echo(_printable(f"{when}  {one.status:<11}  {_price(one)}  {_summary(one)}"))
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
        refund = await opened.await_refund(outcome) if wait_for_refund else None
        # One JSON object only: the later one has all that the earlier one had.
        for one in [refund or outcome] if as_json or refund is None else [outcome, refund]:
            _report(one, as_json=as_json)

    with _errors_shown(as_json=as_json):
        _with_wallet(db, act)


@wallet.command()
@click.argument("url")
@_db_option
@_json_option
def claim(url: str, *, db: Path | None, as_json: bool) -> None:
    """Claim an order without paying it."""
    with _errors_shown(as_json=as_json):
        _report(_with_wallet(db, lambda opened: opened.claim(url)), as_json=as_json)


@wallet.command()
@click.argument("uri")
@_db_option
@_json_option
def refund(uri: str, *, db: Path | None, as_json: bool) -> None:
    """Collect a refund: URI is a taler://refund URI or an order status URL."""
    with _errors_shown(as_json=as_json):
        _report(_with_wallet(db, lambda opened: opened.collect(uri)), as_json=as_json)


@contextmanager
def _errors_shown(*, as_json: bool) -> Iterator[None]:
    """Say what is wrong, for people always, and end with status 1."""
    try:
        yield
    except TalerPaywallError as error:
        if as_json:
            given = {"status": error.status, "code": error.code} if isinstance(error, WalletError) else {}
            _print_json({"error": str(error), **{name: one for name, one in given.items() if one is not None}})
        raise click.ClickException(_printable(str(error))) from error


def _with_purse(db: Path | None, use: Callable[[Purse], T]) -> T:
    path = db or state_directory() / "wallet.sqlite"
    purse, connection = open_purse(path)
    with closing(connection):
        try:
            return use(purse)
        except sqlite3.Error as error:
            raise PurseError(f"the wallet's file {path} cannot be used: {error}") from error


def _with_wallet(db: Path | None, use: Callable[[Wallet], Coroutine[Any, Any, T]]) -> T:
    async def session(purse: Purse) -> T:
        async with http_client() as client:
            return await use(Wallet(purse, client))

    return _with_purse(db, lambda purse: asyncio.run(session(purse)))


def _report(outcome: Outcome, *, as_json: bool) -> None:
    bought = outcome.purchase
    if as_json:
        members = None if bought is None else _purchase_members(bought)
        _print_json({"how": outcome.how, "fulfillment_url": outcome.fulfillment_url, "purchase": members})
        return
    about = "" if bought is None else f": {_summary(bought)} ({_price(bought)})"
    if bought is not None and outcome.how in ("collected", "gone"):
        about += f", {bought.refunded} returned"
        about += "" if bought.gone is None or bought.gone.is_zero else f", {bought.gone} came too late"
    click.echo(_printable(f"{outcome.how}{about}"))
    if outcome.fulfillment_url:
        click.echo(_printable(outcome.fulfillment_url))


def _purchase_members(one: Purchase) -> dict[str, Any]:
    terms = one.contract_terms or {}
    merchant = terms.get("merchant")
    return {
        "order_id": one.order_id,
        "merchant_base_url": one.merchant_base_url,
        "merchant_name": merchant.get("name") if isinstance(merchant, dict) else None,
        "status": one.status,
        "summary": terms.get("summary"),
        "fulfillment_url": terms.get("fulfillment_url"),
        "amount": terms.get("amount") if one.amount is None else str(one.amount),
        "choice_index": one.choice_index,
        "refunded": None if one.refunded is None else str(one.refunded),
        "gone": None if one.gone is None else str(one.gone),
        "session_id": one.session_id,
        "h_contract": one.h_contract,
        "claimed_at": None if one.claimed_at is None else encode_timestamp(one.claimed_at),
        "paid_at": None if one.paid_at is None else encode_timestamp(one.paid_at),
    }


def _balance_members(one: Balance) -> dict[str, str]:
    return {
        "currency": one.withdrawn.currency,
        "available": str(one.available),
        "withdrawn": str(one.withdrawn),
        "spent": str(one.spent),
        "refunded": str(one.refunded),
    }


def _summary(one: Purchase) -> str:
    return str((one.contract_terms or {}).get("summary"))


def _price(one: Purchase) -> str:
    return str(one.amount or (one.contract_terms or {}).get("amount") or "price by choice")


def _printable(text: str) -> str:
    """Keep what merchants write from steering the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _print_json(members: dict[str, Any]) -> None:
    click.echo(json.dumps(members, indent=2))
