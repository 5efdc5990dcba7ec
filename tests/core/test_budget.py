"""How often somebody may do something: so many in a window, for each key, in bounded memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from taler_paywall.budget import Budget


def test_so_many_in_a_window() -> None:
    """The window begins with the first; what is refused does not prolong it."""
    budget = Budget(3, 60)

    assert [budget.take("a", now) for now in (100, 110, 159, 159.5, 159.9)] == [True, True, True, False, False]
    assert [budget.take("a", now) for now in (160, 161, 219, 219.5, 220)] == [True, True, True, False, True]


def test_each_key_has_its_own() -> None:
    """Who has used up a budget takes nothing from others."""
    budget = Budget(1, 60)

    assert [budget.take(key, 0) for key in ("a", "b", "a", "b", "c")] == [True, True, False, False, True]


def test_the_oldest_window_makes_room() -> None:
    """A window that was begun anew is not the oldest."""
    budget = Budget(1, 60, size=3)
    assert all(budget.take(key, now) for key, now in (("a", 0), ("b", 30), ("a", 60), ("c", 61), ("d", 62)))

    assert len(budget._spent) == 3
    assert not budget.take("a", 63)
    assert budget.take("b", 63), "it made room"


class Slow:
    """A key that lets other threads in whenever it is looked up."""

    def __hash__(self) -> int:
        time.sleep(0.0005)
        return 1


def test_threads_share_it() -> None:
    """Several at once take no more than there is."""
    budget, key, start = Budget(20, 60), Slow(), threading.Barrier(4)

    def spend(_: int) -> int:
        start.wait()
        return sum(budget.take(key, 0) for _ in range(15))

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(spend, range(4))) == 20
