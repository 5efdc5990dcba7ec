"""What keeps readers from waiting for a backend that does not answer: a circuit breaker, and a bound on calls."""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Literal

from taler_paywall.errors import SERVER_ERROR, BackendBusy, BackendError, CircuitOpen
from taler_paywall.operations import BackendResponse
from taler_paywall.process_lock import ProcessLock

Change = Literal["backend-down", "backend-up"]

#: After so many failures in a row the backend is not asked any more.
MAX_FAILURES = 5
#: In about so many seconds it is then asked whether it is there again.
PROBE_SECONDS = 2.0
#: When no probe has been sent for so many seconds, as where a server stops all threads between requests, a request is.
UNPROBED_SECONDS = 10.0


def answered(outcome: BackendResponse | BackendError | None) -> bool:
    """Tell whether the backend has answered; with an error of its own it has not."""
    return isinstance(outcome, BackendResponse) and outcome.status < SERVER_ERROR


class Breaker:
    """Open after several failures in a row: then nobody asks but a probe, by itself, until the backend answers.

    Args:
        probe: asks the backend something harmless, blocking, and tells whether it answers.
        tell: called each time that this changes.
    """

    def __init__(self, probe: Callable[[], bool], tell: Callable[[Change], object] = lambda _: None) -> None:
        self._probe = probe
        self._tell = tell
        self._failures = 0
        # By process: a forked worker has no thread that would close it again.
        self._open_in = 0
        self._probed = 0.0
        self._lock = ProcessLock()

    def check(self) -> None:
        """Refuse a call while the circuit is open.

        Raises:
            CircuitOpen: it is.
        """
        if self._is_open:
            if time.monotonic() > self._probed + UNPROBED_SECONDS:
                self._probed = time.monotonic()
                return
            raise CircuitOpen("the backend failed several times in a row and is not asked until it answers a probe")

    def heard(self, outcome: BackendResponse | BackendError) -> None:
        """Take note of what has become of an exchange; an answer with the backend's own error is none.

        What had no time says nothing.
        """
        if answered(outcome):
            self._failures = 0
            self._close()
            return
        if isinstance(outcome, BackendBusy):
            return
        with self._lock.own:
            self._failures += 1
            if self._failures < MAX_FAILURES or self._is_open:
                return
            try:
                threading.Thread(target=_probe_until_closed, args=(weakref.ref(self),), daemon=True).start()
            except RuntimeError:
                # The system gives no more threads: each request has to find out for itself.
                return
            self._open_in, self._probed = os.getpid(), time.monotonic()
        self._tell("backend-down")
        if not self._is_open:
            # It was closed while that was told, and what is told last has to be so.
            self._tell("backend-up")

    def probe(self) -> bool:
        """Ask whether the backend is there, unless that is known by now, and tell whether the circuit is closed."""
        if self._is_open:
            self._probed = time.monotonic()
            # Whatever goes wrong with a probe, the next one is sent.
            with suppress(Exception):
                if self._probe():
                    self._failures = 0
                    self._close()
        return not self._is_open

    @property
    def _is_open(self) -> bool:
        return self._open_in != 0 and self._open_in == os.getpid()

    def _close(self) -> None:
        with self._lock.own:
            was_open, self._open_in = self._is_open, 0
        if was_open:
            self._tell("backend-up")


def _probe_until_closed(reference: weakref.ref[Breaker]) -> None:
    """Probe now and then, as long as there is somebody who wants to know."""
    while True:
        # Spread, so that the workers of a site do not ask in the same moment.
        time.sleep(PROBE_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load only
        breaker = reference()
        if breaker is None or breaker.probe():
            return
        del breaker


class Places:
    """Since when calls are on their way, and how long it makes sense to wait until one of them has ended.

    Args:
        number: of calls that may be on their way at once.
        slow: after how many seconds one of them is slow.
    """

    def __init__(self, number: int, slow: float) -> None:
        self._slow = slow
        self._middle = (number - 1) // 2
        self._since: dict[object, float] = {}

    def taken(self) -> object:
        """Begin a call, and return what ends it."""
        call = object()
        self._since[call] = time.monotonic()
        return call

    def left(self, call: object) -> None:
        """End a call."""
        del self._since[call]

    def patience(self, deadline: float) -> float:
        """Return for how many seconds to wait for a place, before asking once more.

        Args:
            deadline: of who waits, on the monotonic clock.

        Raises:
            BackendBusy: half of the places are held by slow calls, or the time is up.
        """
        now = time.monotonic()
        # Calls begin in the order of the row; a copy, for other threads begin and end some meanwhile.
        held = next(islice(tuple(self._since.values()), self._middle, None), now)
        seconds = min(held + self._slow, deadline) - now
        if seconds <= 0:
            raise BackendBusy("too many requests wait for the backend already")
        return seconds
