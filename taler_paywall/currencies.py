"""How the merchant backend wants its currencies to be written, asked now and then. No I/O here.

Source: GNU Taler merchant API, ``GET config``.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from typing import Any

import msgspec

from taler_paywall.answers import CurrencySpecification
from taler_paywall.errors import BackendError
from taler_paywall.merchant import get_config
from taler_paywall.operations import Op

#: Seconds until the backend is asked again, after an answer and after a failure.
KEPT, RETRIED = 3600, 60

_log = logging.getLogger("taler_paywall")


class Currencies:
    """What is known of the backend's currencies: nothing at first; shared by threads."""

    def __init__(self) -> None:
        self._known: Mapping[str, Any] = {}
        self._asked, self._pause = 0, 0

    def learn(self, currency: str, now: int) -> Generator[Op[Any], Any, None]:
        """Ask the backend, if the time has come; what it does not tell is no reason not to answer a reader.

        Args:
            currency: what has to be written, for the log.
            now: seconds since 1970.
        """
        # A clock that was set back must not stop the questions for as long.
        if 0 <= now - self._asked < self._pause:
            return
        # Before the question: other requests do not wait, and do not ask as well.
        self._asked, self._pause = now, RETRIED
        try:
            config = yield from get_config()
        except BackendError as exc:
            _log.info("prices in %s may be written plainly: %s", currency, exc)
            return
        self._known, self._pause = config.currencies, KEPT
        if not self.specification(currency):
            _log.info("prices in %s are written plainly: the backend does not say how to", currency)

    def specification(self, currency: str) -> CurrencySpecification | None:
        """Return how a currency is written, None where that is unknown or unfit to be shown."""
        try:
            return msgspec.convert(self._known.get(currency), CurrencySpecification)
        except (msgspec.ValidationError, UnicodeEncodeError):
            return None
