"""The command ``taler-paywall``."""

from __future__ import annotations

import click

from taler_paywall.sandbox.commands import sandbox
from taler_paywall.sandbox.wallet.commands import wallet


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="taler-paywall")
def main() -> None:
    """A paywall for existing Python web sites, paid with GNU Taler."""


main.add_command(sandbox)
main.add_command(wallet)
