"""What the operator of a paywalled site asks and does on the command line: check, explain, orders, webhooks."""

from __future__ import annotations
