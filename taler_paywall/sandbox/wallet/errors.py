"""What goes wrong in the play wallet."""

from __future__ import annotations

from taler_paywall.errors import TalerPaywallError


class WalletError(TalerPaywallError):
    """The wallet could not do what it was asked to; the message says why, for people.

    Args:
        status: HTTP status of the merchant's answer, if that is the reason.
        code: the GNU Taler error code in it, if it has one (merchant API, ErrorDetail).
    """

    def __init__(self, message: str, status: int | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class PurseError(TalerPaywallError):
    """The wallet's file cannot be used; the message says why."""
