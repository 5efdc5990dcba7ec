"""The control endpoint of a sandbox, as a test uses it."""

from __future__ import annotations

import time
from typing import Any, Self

import httpx
from running import TLS


class Switch:
    """Faults and clock of one sandbox; in the end everything is as it was."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, verify=TLS, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lift()
        self.clock(0)
        self.http.close()

    @property
    def state(self) -> dict[str, Any]:
        return self._ok(self.http.get("/"))

    @property
    def hits(self) -> int:
        return int(self.state["fault"]["hits"])

    def fault(self, name: str, **limits: Any) -> None:
        self._ok(self.http.put(f"/fault/{name}", params=limits))

    def lift(self) -> None:
        self._ok(self.http.delete("/fault"))

    def clock(self, shift: int) -> None:
        self._ok(self.http.put("/clock", params={"shift": shift}))

    def wait_until(self, wanted: Any, look: Any) -> None:
        """Wait until what a function of the state returns is as wanted."""
        deadline = time.monotonic() + 20
        while look(self.state) != wanted:
            assert time.monotonic() < deadline, self.state
            time.sleep(0.02)

    def _ok(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state


def denied(answer: httpx.Response, status: int, code: int) -> None:
    """Check an error of the control endpoint; it is not recorded, because some paths are those of merchants too."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json().keys() >= {"hint", "detail"}
