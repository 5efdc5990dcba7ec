"""A merchant backend and a wallet for play money: all that is needed to try, develop and test a paywall.

The backend speaks the HTTP API of GNU Taler's merchant backend. What it does not have is an exchange:
coins are checked for their form, their sum and for being spent once, but the signatures on them are
not, so anybody can mint them. It must never guard anything of value.
"""

from __future__ import annotations
