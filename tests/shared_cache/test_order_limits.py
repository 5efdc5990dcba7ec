"""The budgets of new orders: exact, bounded, and shared by all workers where there is Redis."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import ROOT

from taler_paywall.order_limits import OrderLimits

from .redis_server import RedisServer
from .shelf import FORMS, SOON, Shelf, seconds_of, shelf

Take = Callable[[str], float]
Limited = Callable[[int | None, int | None], Take]

#: Of the budgets in Redis, whose time goes on: in so many seconds a test has taken what it takes at once.
SLOW = 15.0


@pytest.fixture(params=["memory", *FORMS])
def limited(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Limited]:
    """Make budgets in memory, where the time stands still, or in Redis."""
    with ExitStack() as stack:

        def make(per_client: int | None, total: int | None) -> Take:
            if request.param == "memory":
                limits = OrderLimits(per_client, total)
                return lambda client: limits.take(client, 1000.0)
            return stack.enter_context(shelf(request.param, server.url, limits=(per_client, total))).take

        yield make


def test_each_client(limited: Limited) -> None:
    """Each client has as many as are in a minute, at once, and the next when it has come in."""
    take = limited(3, None)
    assert [take(client) for client in "aaabbb"] == [0.0] * 6
    assert all(20 - SLOW < take(client) <= 20 for client in "aabb")
    assert take("c") == 0.0


def test_all_together(limited: Limited) -> None:
    """All clients together have as many, those included whom nobody knows."""
    take = limited(None, 4)
    assert [take(client) for client in ("a", "b", "", "")] == [0.0] * 4
    assert all(15 - SLOW < take(client) <= 15 for client in ("a", "", "c"))


def test_who_is_unknown(limited: Limited) -> None:
    """Clients whom nobody knows are not taken for one."""
    take = limited(1, 3)
    assert [take("") for _ in range(3)] == [0.0] * 3
    assert 20 - SLOW < take("") <= 20


def test_from_both_or_from_none(limited: Limited) -> None:
    """Who is refused uses up nobody's, and who cannot have one because of the others keeps her own."""
    take = limited(2, 3)
    assert [take("a") == 0.0 for _ in range(50)] == [True] * 2 + [False] * 48
    assert take("b") == 0.0
    assert all(0 < take("c") <= 20 for _ in range(50))
    assert 20 - SLOW < take("a") <= 30


def test_without_limits(limited: Limited, server: RedisServer) -> None:
    """Where there are none, nobody is counted and Redis is not asked."""
    take = limited(None, None)
    assert {take(client) for client in ("a", "") for _ in range(100)} == {0.0}
    assert server.calls("eval") == 0
    assert limited(1, None)("") == 0.0
    assert server.calls("eval") == 0


def test_in_redis(opened: Callable[..., Shelf], server: RedisServer) -> None:
    """What is counted ends by itself after a minute, and shows no address; who is refused leaves no trace."""
    held = opened(limits=(1, 50))
    for client in ("192.0.2.7", "192.0.2.8", "192.0.2.7", ""):
        held.take(client)

    names = server.admin.keys("*")
    assert len(names) == 3
    assert all(0 < server.admin.pttl(name) <= 60_000 for name in names)
    assert b"192" not in b"".join(names)
    # Nor could somebody find one out who tries all addresses.
    opened(limits=(1, 50), secrets=[b"another"]).take("192.0.2.7")
    assert len(server.admin.keys("*")) == 4


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300", "99999999999999999", "-5", "x", "", "0x10", None])
def test_foreign_budgets(opened: Callable[..., Shelf], server: RedisServer, value: str | None) -> None:
    """What somebody else writes there is as good as nothing."""
    held = opened(limits=(None, 2))
    assert held.take() == 0.0
    (name,) = server.admin.keys("*")
    server.admin.delete(name)
    if value is None:
        server.admin.rpush(name, "1", "2")
    else:
        server.admin.set(name, value)
    assert [held.take() == 0.0 for _ in range(3)] == [True, True, False]
    assert held.told == []


def test_while_redis_is_away(opened: Callable[..., Shelf], tmp_path: Path) -> None:
    """Meanwhile each process counts by itself, without waiting."""
    server = RedisServer(tmp_path)
    try:
        held = opened(server.url, limits=(2, 5))
        server.kill()
        assert seconds_of(lambda: held.take("a", 1000.0)) < SOON
        assert [held.take("a", 1000.0) for _ in range(3)] == [0.0, 30.0, 30.0]
        assert [held.take("", 1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 12.0]
    finally:
        server.close()


_TAKER = """
import sys
from tests.shared_cache.shelf import be_patient, shelf
be_patient()
with shelf(sys.argv[1], sys.argv[2], limits=(None, 30)) as held:
    print(sum(held.take(str(client)) == 0.0 for client in range(100)))
"""


def test_workers_share_the_total(server: RedisServer) -> None:
    """However many processes there are, all together make no more."""
    takers = [
        Popen([sys.executable, "-c", _TAKER, form, server.url], cwd=ROOT, stdout=PIPE, text=True, env=_environment())
        for form in FORMS
    ]
    taken = [int(taker.communicate(timeout=120)[0]) for taker in takers]
    assert [taker.returncode for taker in takers] == [0, 0]
    # One comes in every two seconds.
    assert 30 <= sum(taken) <= 30 + SLOW


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


def test_time_fills_the_bucket() -> None:
    """One comes in after the other; more than a minute's are never there."""
    limits = OrderLimits(6, None)
    assert [limits.take("a", 0.0) for _ in range(6)] == [0.0] * 6
    assert limits.take("a", 0.0) == 10.0
    assert limits.take("a", 9.0) == 1.0
    assert limits.take("a", 10.0) == 0.0
    assert limits.take("a", 10.0) == 10.0
    assert [limits.take("a", 10_000.0) for _ in range(7)] == [0.0] * 6 + [10.0]


@given(st.integers(1, 50), st.lists(st.floats(0, 20), min_size=1, max_size=100))
def test_never_more(limit: int, pauses: list[float]) -> None:
    """In no stretch of time there are more than at once and come in meanwhile, and who waits as told gets one."""
    limits, now, taken = OrderLimits(limit, None), 0.0, []
    for pause in pauses:
        now += pause
        late = limits.take("a", now)
        if late:
            assert limits.take("a", now + late * 0.99 - 0.001) > 0
            now += late + 0.000_002
            assert limits.take("a", now) == 0.0
        taken.append(now)
    for first, start in enumerate(taken):
        for number, end in enumerate(taken[first:], 1):
            assert number <= limit * (1 + (end - start + 0.001) / 60) + 1e-6


def test_many_clients_take_little_room() -> None:
    """However many clients come, only the newest are remembered, and who came just now is among them."""
    limits = OrderLimits(1, None, size=1000)
    for number in count():
        limits.take(str(number), 0.0)
        if number == 200_000:
            break
    assert len(limits._clients) <= 1000
    assert limits.take("200000", 0.0) == 60.0
    assert limits.take("199600", 0.0) == 60.0
    assert limits.take("0", 0.0) == 0.0
