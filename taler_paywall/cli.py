"""The command ``taler-paywall``."""

from __future__ import annotations

import io
import sys

import click

from taler_paywall.sandbox.commands import sandbox
from taler_paywall.sandbox.wallet.commands import wallet

_OPERATOR = ("check", "explain", "orders", "webhooks")


class _Commands(click.Group):
    """Loads what the operator's commands need when one of them is run: the sandbox starts sooner."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_OPERATOR])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _OPERATOR:
            return super().get_command(ctx, cmd_name)
        from taler_paywall.operator import commands  # noqa: PLC0415

        command: click.Command = getattr(commands, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="taler-paywall")
def main() -> None:
    """A paywall for existing Python web sites, paid with GNU Taler."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show is no reason to stop half-way.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


main.add_command(sandbox)
main.add_command(wallet)
