"""How the wallet's commands tell what was done, and what went wrong: to people and, with `--json`, to programs."""

from __future__ import annotations

import json
from typing import Any

import click

from taler_paywall.errors import TalerPaywallError
from taler_paywall.sandbox.wallet.errors import WalletError
from taler_paywall.sandbox.wallet.purchase import Balance, Purchase
from taler_paywall.sandbox.wallet.wallet import Outcome
from taler_paywall.timestamp import encode_timestamp


class PaidOnlyError(TalerPaywallError):
    """A payment succeeded, and what was to follow did not.

    Args:
        paid: the payment.
        reason: what went wrong then.
    """

    def __init__(self, paid: Outcome, reason: TalerPaywallError) -> None:
        super().__init__(f"it is paid, but its refund cannot be collected: {reason}")
        self.paid = paid
        self.reason = reason


class JsonGroup(click.Group):
    """Commands of which each, with `--json`, prints one JSON object whatever happens."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what fails ends with an exit status that is not 0."""
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except (TalerPaywallError, click.ClickException, KeyboardInterrupt) as error:
            if as_json:
                print_json(failure_members(error))
            if isinstance(error, TalerPaywallError):
                raise click.ClickException(printable(str(error))) from error
            raise


def failure_members(error: BaseException) -> dict[str, Any]:
    """Return what programs are told of a failure."""
    if isinstance(error, PaidOnlyError):
        return {**outcome_members(error.paid), "refund_error": failure_members(error.reason)}
    if isinstance(error, KeyboardInterrupt):
        return {"error": "interrupted"}
    if isinstance(error, click.ClickException):
        return {"error": error.format_message()}
    given = {"status": error.status, "code": error.code} if isinstance(error, WalletError) else {}
    return {"error": str(error), **{name: one for name, one in given.items() if one is not None}}


def outcome_members(outcome: Outcome) -> dict[str, Any]:
    """Return what programs are told of what the wallet did."""
    bought = None if outcome.purchase is None else purchase_members(outcome.purchase)
    return {"how": outcome.how, "fulfillment_url": outcome.fulfillment_url, "purchase": bought}


def purchase_members(one: Purchase) -> dict[str, Any]:
    """Return what programs are told of a purchase."""
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
        "pending": None if one.pending is None else str(one.pending),
        "gone": None if one.gone is None else str(one.gone),
        "session_id": one.session_id,
        "h_contract": one.h_contract,
        "claimed_at": None if one.claimed_at is None else encode_timestamp(one.claimed_at),
        "paid_at": None if one.paid_at is None else encode_timestamp(one.paid_at),
    }


def balance_members(one: Balance) -> dict[str, str]:
    """Return what programs are told of the play money of one currency."""
    return {
        "currency": one.currency,
        "available": str(one.available),
        "withdrawn": str(one.withdrawn),
        "spent": str(one.spent),
        "refunded": str(one.refunded),
    }


def say(outcome: Outcome) -> None:
    """Tell people what the wallet did."""
    bought = outcome.purchase
    how = "nothing new to collect" if outcome.how == "nothing new" else outcome.how
    about = "" if bought is None else f": {summary_of(bought)} ({price_of(bought)})"
    if bought is not None and outcome.how in ("collected", "pending", "gone", "nothing new"):
        about += f", {bought.refunded} returned"
        about += "" if bought.pending is None or bought.pending.is_zero else f", {bought.pending} not paid yet"
        about += "" if bought.gone is None or bought.gone.is_zero else f", {bought.gone} came too late"
    click.echo(printable(f"{how}{about}"))
    if outcome.fulfillment_url:
        click.echo(printable(outcome.fulfillment_url))


def summary_of(one: Purchase) -> str:
    """Return what was bought."""
    return str((one.contract_terms or {}).get("summary"))


def price_of(one: Purchase) -> str:
    """Return what it costs, as far as that is known."""
    return str(one.amount or (one.contract_terms or {}).get("amount") or "price by choice")


def printable(text: str) -> str:
    """Keep what merchants write from steering the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def print_json(members: dict[str, Any]) -> None:
    """Print the one JSON object of a command."""
    click.echo(json.dumps(members, indent=2))
