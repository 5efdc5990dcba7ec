"""What the origin application sells."""

from __future__ import annotations

from typing import Final

from taler_paywall import Rule

RULES: Final = [
    Rule("/paid/{name}/*", price="KUDOS:0.5"),
]
