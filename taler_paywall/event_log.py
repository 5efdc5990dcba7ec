"""The log: what happens, one line each, on the logger ``taler_paywall``."""

from __future__ import annotations

import logging

from taler_paywall.events import Event

#: What is not listed here is a fault of somebody, and a warning.
_LEVELS = {
    "delivered": logging.DEBUG,
    "order": logging.DEBUG,
    "paid": logging.DEBUG,
    "refunded": logging.INFO,
    "refused": logging.INFO,
}

_log = logging.getLogger("taler_paywall")


def write(event: Event) -> None:
    """Write one line: the kind, then what is known of it."""
    level = _LEVELS.get(event.kind, logging.WARNING)
    if not _log.isEnabledFor(level):
        return
    # Whatever comes from outside is quoted: nobody writes lines of their own into the log.
    said = {
        "reason": event.reason,
        "resource": repr(event.resource) if event.resource else "",
        "order": event.order_id,
        "detail": repr(event.detail) if event.detail else "",
    }
    line = " ".join([event.kind, *(f"{name}={value}" for name, value in said.items() if value)])
    _log.log(level, "%s", line)
