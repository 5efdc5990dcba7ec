"""The sandbox as one test sees it: its faults and its clock, and what the site under test has done there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import httpx

from taler_paywall.settings import Options
from taler_paywall.testing.process import SandboxError, SandboxProcess

#: Seconds; faults that delay answers delay those to the test, too.
_TIMEOUT: Final = 30
#: Orders that are asked for at once.
PAGE = 1000


class TalerSandbox:
    """A running sandbox without faults, with the right time, and without orders that the test knows of.

    Every method raises `SandboxError` if the sandbox refuses. `orders` and `order_status` meet the fault that is on, as
    the site does: ask before or after.

    Args:
        process: shared by all tests of the run.

    Raises:
        SandboxError: the process has ended.
    """

    def __init__(self, process: SandboxProcess) -> None:
        process.require_running()
        self._process = process
        self._control = httpx.Client(base_url=process.control_url, trust_env=False, timeout=_TIMEOUT)
        owner = {"Authorization": f"Bearer {process.token}"}
        self._merchant = httpx.Client(base_url=process.url, headers=owner, trust_env=False, timeout=_TIMEOUT)
        self.reset()
        newest = self._list(-1)
        self._earlier: int = newest[0]["row_id"] if newest else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._merchant.close()

    @property
    def url(self) -> str:
        """Base URL of the merchant backend."""
        return self._process.url

    @property
    def control_url(self) -> str:
        """Base URL of its control endpoint."""
        return self._process.control_url

    @property
    def token(self) -> str:
        """Access token of the merchant."""
        return self._process.token

    @property
    def options(self) -> Options:
        """The keywords of ``PaywallMiddleware`` that make a site sell for this sandbox's play money."""
        return self._process.options

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables, for a site that is configured by them."""
        return self._process.environment

    def reset(self) -> None:
        """Lift the fault and set the clock right, as it is done before every test."""
        _body(self._control.delete("fault"))
        self._shift_clock(0)

    @property
    def state(self) -> Mapping[str, Any]:
        """What is switched on: ``fault`` (with its ``hits``, or None), ``clock_shift``; and how many polls wait."""
        return _body(self._control.get("/"))

    @contextmanager
    def fault(
        self, name: str, *, times: int | None = None, only: str | None = None, method: str | None = None
    ) -> Iterator[None]:
        """Switch a fault on until the end of the block.

        One at a time: where one is on already, `SandboxError` is raised.

        Args:
            name: see docs/testing.md.
            times: how many requests it hits, None for all.
            only: hit only paths that contain this, such as ``private/orders`` or ``/pay``.
            method: hit only requests with this method.
        """
        if (active := self.state["fault"]) is not None:
            raise SandboxError(f"the fault {active['name']} is on already; there is one at a time")
        limits = {"times": times, "only": only, "method": method}
        query = {limit: value for limit, value in limits.items() if value is not None}
        _body(self._control.put(f"fault/{name}", params=query))
        try:
            yield
        finally:
            _body(self._control.delete("fault"))

    @contextmanager
    def clock_shift(self, by: float | timedelta) -> Iterator[None]:
        """Let the sandbox's clock, not the site's, be ahead until the end of the block, then as it was before.

        Args:
            by: in whole seconds; negative if it is to be behind.
        """
        before = self.state["clock_shift"]
        self._shift_clock(int(by.total_seconds() if isinstance(by, timedelta) else by))
        try:
            yield
        finally:
            self._shift_clock(before)

    def claim(self, order_id: str) -> None:
        """Let a stranger's wallet claim an order."""
        _body(self._control.post(f"orders/{order_id}/claim"))

    def refund(self, order_id: str, amount: str | None = None, reason: str = "refunded by a test") -> str:
        """Give money back for an order, as the merchant and without regard to the deadlines of the contract.

        Args:
            order_id: of a paid order.
            amount: the new total, None for all that was paid.
            reason: for the reader.

        Returns:
            The taler://refund URI.
        """
        query = {"reason": reason} if amount is None else {"reason": reason, "amount": amount}
        return str(_body(self._control.post(f"orders/{order_id}/refund", params=query))["taler_refund_uri"])

    def order_status(self, order_id: str, session_id: str | None = None) -> Mapping[str, Any]:
        """Tell how an order stands (merchant API, GET private/orders/ID).

        Args:
            order_id: as in the list of orders.
            session_id: for whom it is to be paid, None for anybody.
        """
        query = {} if session_id is None else {"session_id": session_id}
        return _body(self._merchant.get(f"private/orders/{order_id}", params=query))

    def orders(self) -> list[Mapping[str, Any]]:
        """List the orders that were made since the test began, oldest first (merchant API, GET private/orders)."""
        found: list[Mapping[str, Any]] = []
        last = self._earlier
        # A backend that does not know where to begin would begin again and again.
        while page := [order for order in self._list(PAGE, last) if order["row_id"] > last]:
            found += page
            last = page[-1]["row_id"]
        return found

    def _list(self, limit: int, offset: int | None = None) -> list[Mapping[str, Any]]:
        # Under today's names and those of backends of 2022.
        query = {"limit": limit, "delta": limit}
        if offset is not None:
            query |= {"offset": offset, "start": offset}
        orders: list[Mapping[str, Any]] = _body(self._merchant.get("private/orders", params=query))["orders"]
        return orders

    def _shift_clock(self, seconds: int) -> None:
        _body(self._control.put("clock", params={"shift": seconds}))


def _body(answer: httpx.Response) -> Mapping[str, Any]:
    if answer.is_error:
        raise SandboxError(f"{answer.request.method} {answer.request.url} failed: {answer.status_code} {answer.text}")
    members: Mapping[str, Any] = answer.json() if answer.content else {}
    return members
