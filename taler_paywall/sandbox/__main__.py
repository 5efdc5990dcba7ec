"""`python -m taler_paywall.sandbox sandbox` and `… wallet`, for use without the rest of the package."""

from __future__ import annotations

import click

from taler_paywall.sandbox.commands import sandbox, wallet

main = click.Group("taler_paywall.sandbox", commands={"sandbox": sandbox, "wallet": wallet})

if __name__ == "__main__":
    main()
