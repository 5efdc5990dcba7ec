"""Long polls: requests that wait until something happens to an order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


class Bell:
    """Wakes the requests that wait for one of several topics.

    Topics are texts, so that a payment wakes only those whose answer it may change.
    """

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    def ring(self, *topics: str) -> None:
        """Wake all that listen to one of the topics."""
        for topic in topics:
            for event in self._listeners.get(topic, ()):
                event.set()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(set().union(*self._listeners.values()))

    def close(self) -> None:
        """Wake everybody for good: the server is about to end."""
        self._closed = True
        self.ring(*self._listeners)

    async def poll(self, look: Callable[[], T], done: Callable[[T], bool], topics: Sequence[str], seconds: float) -> T:
        """Look, and look again whenever a topic is rung, until it is done or the time is over.

        Args:
            look: what the answer would be now.
            done: whether that answer is worth to be given before the time is over.
            topics: what to listen to.
            seconds: how long to wait.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        with self._listen(topics) as rung:
            while True:
                found = look()
                if done(found) or self._closed or asyncio.get_running_loop().time() >= deadline:
                    return found
                rung.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await rung.wait()

    @contextmanager
    def _listen(self, topics: Sequence[str]) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        for topic in topics:
            self._listeners[topic].add(event)
        try:
            yield event
        finally:
            for topic in topics:
                self._listeners[topic].discard(event)
                if not self._listeners[topic]:
                    del self._listeners[topic]
