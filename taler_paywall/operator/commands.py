"""The commands `check`, `explain`, `orders` and `webhooks`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click
import msgspec

from taler_paywall.errors import ConfigError
from taler_paywall.facts import one_line
from taler_paywall.operator import backend_findings, request_findings, site_findings
from taler_paywall.operator import webhooks as hooks
from taler_paywall.operator.explain import explain as explained
from taler_paywall.operator.finding import Finding
from taler_paywall.operator.orders import Listed, Wanted, grant, listed, plan_refund
from taler_paywall.operator.parameters import (
    DEFAULT,
    VARIABLE,
    failures,
    loaded,
    of_target,
    of_target_too,
    read_address,
    read_headers,
    read_order_id,
    read_pairs,
    read_since,
    read_site,
    standing,
)
from taler_paywall.operator.samples import Samples
from taler_paywall.operator.target import Target
from taler_paywall.resource import Rule


@click.command()
@click.argument("target", envvar=VARIABLE, default=DEFAULT)
@click.option(
    "--url",
    default="",
    callback=read_site,
    help="Ask the running site here, not the application.",
)
@click.option("--sample", multiple=True, metavar="NAME=VALUE", callback=read_pairs, help="What {NAME} may be.")
@click.option("--try", "tried", multiple=True, metavar="/PATH", help="A further address that has to be paid for.")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
@click.pass_context
def check(
    context: click.Context, *, target: str, url: str, sample: dict[str, str], tried: tuple[str, ...], as_json: bool
) -> None:
    """Look whether a paywall can work: its configuration, its backend, and what answers for its site.

    TARGET is a TOML file or MODULE:APP. Nothing is changed, and no order is made. The exit status is 1 if there are
    errors.
    """
    found: list[Finding] = []
    output = sys.stdout
    # Whatever a site prints is no finding.
    with redirect_stdout(sys.stderr):
        for finding in _findings(target, url, sample, tried):
            found.append(finding)
            if not as_json:
                click.echo(one_line(str(finding)), file=output)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=1))
    context.exit(any(finding.level == "error" for finding in found))


def _findings(name: str, url: str, sample: dict[str, str], tried: tuple[str, ...]) -> Iterator[Finding]:
    try:
        target = loaded(name)
    except ConfigError as error:
        fix = "docs/configuration-file.md and the README say what can be written"
        yield from (Finding("error", "configuration", problem, fix) for problem in error.problems)
        return
    yield Finding("ok", "configuration", f"{name} has {len(target.settings.rules)} rules")
    yield from site_findings.findings(target, url)
    yield from backend_findings.findings(target)
    yield from request_findings.findings(target, url, Samples(target.settings.rules, sample), tried)


@click.command()
@click.argument("method")
@click.argument("url", callback=read_address)
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", callback=read_headers)
@of_target
def explain(*, method: str, url: str, headers: tuple[tuple[bytes, bytes], ...], name: str) -> None:
    """Say what the paywall makes of a request: which rule, which resource, what price, and why.

    URL is an address of the site, or the path alone.
    """
    with failures():
        for label, text in explained(loaded(name).settings, method, url, headers):
            click.echo(f"{label:<9} {one_line(text)}")


@click.group(invoke_without_command=True)
@of_target
@click.option("--paid", "state", flag_value="paid", help="Those that are paid.")
@click.option("--unpaid", "state", flag_value="unpaid", help="Those that are not.")
@click.option("--refunded", "state", flag_value="refunded", help="Those with a refund.")
@click.option("--since", callback=read_since, metavar="TIME", help="A date, or 90m, 12h, 7d, 2w.")
@click.option("--resource", help="Those for one resource, by its name.")
@click.option("--rule", "rule_name", help="Those for the resources of a rule, by its number or pattern.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON.")
@click.pass_context
def orders(
    context: click.Context,
    *,
    name: str,
    state: str | None,
    since: float,
    resource: str | None,
    rule_name: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the orders of the instance, the newest first."""
    context.obj = name
    if context.invoked_subcommand:
        return
    traits = {"paid": {"paid": "yes"}, "unpaid": {"paid": "no"}, "refunded": {"refunded": "yes"}}
    with standing(name) as target:
        rule = None if rule_name is None else _rule(target, rule_name)
        wanted = Wanted(traits[state] if state else {}, since, resource, rule)
        found = list(islice(listed(target, wanted), limit))
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=1))
    else:
        for each in found:
            click.echo(_as_line(each))


def _rule(target: Target, name: str) -> Rule:
    rules = {str(number): rule for number, rule in enumerate(target.settings.rules, 1)}
    rules |= {rule.text: rule for rule in target.settings.rules}
    if name not in rules:
        raise click.UsageError(f"there is no rule {name!r}: name its number or its pattern")
    return rules[name]


def _state(each: Listed) -> str:
    refunded = each.entry.refund_amount or ""
    if refunded.partition(":")[2].strip("0."):
        return f"refunded {refunded}"
    return "paid" if each.entry.paid else "unpaid"


def _time(each: Listed) -> str:
    try:
        return datetime.fromtimestamp(each.entry.timestamp.seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):  # beyond the years that Python knows
        return "-"


def _as_json(each: Listed) -> dict[str, Any]:
    entry = each.entry
    members = {"order_id": entry.order_id, "time": _time(each), "amount": entry.amount, "summary": entry.summary}
    members |= {"state": _state(each).partition(" ")[0]}
    members |= {"refund_amount": entry.refund_amount} if entry.refund_amount else {}
    return members | ({"resource": each.resource} if each.resource else {})


def _as_line(each: Listed) -> str:
    entry = each.entry
    return one_line(
        f"{_time(each)}  {entry.order_id}  {entry.amount}  {_state(each)}  {each.resource or entry.summary}"
    )


@orders.command()
@click.argument("order_id", callback=read_order_id)
@click.option("--amount", help="What is given back in all, such as KUDOS:0.5.  [default: the whole price]")
@click.option("--reason", default="refunded by the site", show_default=True, help="Shown to the reader.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@of_target_too
def refund(*, name: str, order_id: str, amount: str | None, reason: str, yes: bool) -> None:
    """Give money back for an order."""
    with standing(name) as target:
        plan = plan_refund(target, order_id, amount)
        if plan.is_done:
            click.echo(f"{plan.before} of {plan.price} were refunded already: there is nothing left to do")
            return
        question = f"Refund {plan.total} of {plan.price} for order {order_id} ({plan.before} were refunded before)?"
        if not yes:
            click.confirm(question, abort=True)
        uri = grant(target, plan, reason)
    click.echo(f"refunded {plan.total} of {plan.price}; the reader's wallet collects it at {uri}")


@click.group()
@of_target
@click.pass_context
def webhooks(context: click.Context, *, name: str) -> None:
    """Let the backend tell the site of payments and refunds at once."""
    context.obj = name


@webhooks.command()
@of_target_too
def install(name: str) -> None:
    """Register the webhooks at the backend, or bring them up to date."""
    _echo(name, hooks.install)


@webhooks.command(name="list")
@of_target_too
def list_(name: str) -> None:
    """List the webhooks of paywalls at the instance."""
    with standing(name) as target:
        for hook in hooks.installed(target):
            whose = "this site's" if hooks.is_own(target, hook) else "another site's"
            click.echo(one_line(f"{hook.event_type}: to {hook.url} ({hook.webhook_id}), {whose}"))


@webhooks.command()
@of_target_too
def remove(name: str) -> None:
    """Take this site's webhooks away."""
    _echo(name, hooks.remove)


def _echo(name: str, act: Callable[[Target], Iterator[str]]) -> None:
    with standing(name) as target:
        for line in act(target):
            click.echo(line)
