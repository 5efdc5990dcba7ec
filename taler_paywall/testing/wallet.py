"""The play wallet for tests that are not asynchronous."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from anyio.from_thread import start_blocking_portal

from taler_paywall.amount import Amount
from taler_paywall.sandbox.wallet.purchase import Purchase
from taler_paywall.sandbox.wallet.purse import open_purse
from taler_paywall.sandbox.wallet.wallet import Outcome, Wallet, WalletError, http_client

__all__ = ["Outcome", "TalerWallet", "WalletError"]


class TalerWallet:
    """A wallet full of play money with a file of its own; a context manager.

    Every method raises `WalletError` if the wallet cannot do what it says.

    Args:
        file: what it remembers; made if need be.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # A thread of its own, so that tests can use it from within an event loop, too.
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._purse, connection = self._portal.call(open_purse, self._file)
        self._stack.callback(self._portal.call, connection.close)
        client = self._stack.enter_context(self._portal.wrap_async_context_manager(http_client()))
        self._wallet = Wallet(self._purse, client)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def pay(self, url: str, choice: int | None = None) -> Outcome:
        """Pay an order, or prove that what it sells was bought before.

        Args:
            url: a taler://pay URI or an order status URL.
            choice: which of its choices to pay, where the contract offers some.
        """
        return self._portal.call(self._wallet.pay, url, choice)

    def claim(self, url: str) -> Outcome:
        """Claim an order without paying it.

        Args:
            url: a taler://pay URI or an order status URL.
        """
        return self._portal.call(self._wallet.claim, url)

    def refund(self, uri: str) -> Outcome:
        """Collect the refunds of an order that this wallet has paid.

        Args:
            uri: a taler://refund URI.
        """
        return self._portal.call(self._wallet.collect, uri)

    @property
    def purchases(self) -> list[Purchase]:
        """What was claimed and bought, newest first."""
        return self._portal.call(self._purse.purchases)

    @property
    def balance(self) -> dict[str, Amount]:
        """What is left of the play money that the wallet has withdrawn so far, by currency."""
        balances = self._portal.call(self._purse.balances)
        return {balance.withdrawn.currency: balance.available for balance in balances}
