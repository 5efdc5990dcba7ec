"""The merchant's side of the tests: a sandbox whose faults can be switched on and which gives money back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from running import TLS, Process, Sandbox, SoldOrder, free_port


class Till(Sandbox):
    """The sandbox of all sites."""

    def __init__(self, home: Path) -> None:
        self._control = f"http://127.0.0.1:{free_port()}"
        super().__init__(home)

    def start(self) -> Process:
        """Start it with its control endpoint."""
        control_port = self._control.rpartition(":")[2]
        options = ["--port", str(self.port), "--state", str(self.state), "--control-port", control_port]
        self.process = Process(self.home, "taler_paywall", "sandbox", *options)
        self.process.wait_for(f"http://127.0.0.1:{self.port}/config")
        return self.process

    def orders_for(self, name: str) -> list[SoldOrder]:
        """Return the orders of a page with this name."""
        return [order for order in self.orders() if name in order.fulfillment_url]

    def give_back(self, order_id: str) -> None:
        """Give all money of an order back."""
        self._do("POST", f"/orders/{order_id}/refund?reason=test")

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Refuse all connections for a while."""
        self._do("PUT", "/fault/refuse")
        yield
        self._do("DELETE", "/fault")

    def _do(self, method: str, path: str) -> None:
        httpx.request(method, self._control + path, trust_env=False, verify=TLS, timeout=20).raise_for_status()
