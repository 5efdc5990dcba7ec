"""A lock that a fork does not inherit."""

from __future__ import annotations

import os
import threading


class ProcessLock:
    """A lock among the threads or greenlets of one process, made when that process first uses it.

    A forked worker must not inherit one that another thread held, and gevent replaces what locks are made of after
    the application was loaded.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    @property
    def own(self) -> threading.Lock:
        """The lock of this process."""
        return self._locks.get(os.getpid()) or self._locks.setdefault(os.getpid(), threading.Lock())
