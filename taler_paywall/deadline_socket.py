"""Sockets that keep the deadline of a whole exchange.

A client that knows time-outs for single reads alone waits for hours where an answer drips.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_ends: ContextVar[float] = ContextVar("taler_paywall.deadline", default=math.inf)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let nothing that this thread or greenlet does with a `DeadlineSocket` last longer, all in all."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


class DeadlineSocket:
    """A connected socket that waits as long as its time-out says, but never beyond the `deadline`.

    Args:
        connected: the socket itself; it may speak TLS.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._timeout = connected.gettimeout()

    def __getattr__(self, name: str) -> Any:
        """Be the socket in everything else."""
        return getattr(self._socket, name)

    def settimeout(self, seconds: float | None) -> None:
        """Set how long a single call waits."""
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        """Read some bytes, as a socket does."""
        self._hurry()
        return self._socket.recv(size)

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Read some bytes into a buffer."""
        self._hurry()
        return self._socket.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        """Write bytes."""
        self._hurry()
        self._socket.sendall(data)

    def _hurry(self) -> None:
        left = _ends.get() - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        timeout = left if self._timeout is None else min(left, self._timeout)
        self._socket.settimeout(None if timeout == math.inf else timeout)
