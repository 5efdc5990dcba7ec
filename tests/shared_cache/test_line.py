"""When Redis is asked, and what it is told first."""

from __future__ import annotations

import time

import pytest

from taler_paywall.redis_commands import Commands
from taler_paywall.redis_line import FINDS_OUT, MAX_OWED, OWED_AT_ONCE, Exchange, Line

from .shelf import SECRET, SITE

PING = (("PING",),)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def line(told: list[str]) -> Line:
    return Line(Commands([SECRET], SITE, 0, 60), told.append)


def begun(line: Line, *, urgent: bool = False) -> Exchange:
    exchange = line.begin(PING, urgent=urgent)
    assert exchange is not None
    return exchange


def test_one_finds_out(line: Line, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure nobody asks for a while, then one does, and the others only when that one was answered."""
    line.failed(begun(line), ConnectionError("secret"))
    assert line.begin(PING, urgent=False) is None
    line._ask_again = 0.0
    again, now = begun(line), time.monotonic()
    # However long that takes, as where a name is looked up in vain.
    monkeypatch.setattr("taler_paywall.redis_line.time.monotonic", lambda: now + 0.9 * FINDS_OUT)
    assert line.begin(PING, urgent=False) is None
    line.answered(again, [b"PONG"])
    begun(line)
    begun(line)
    assert told == ["ConnectionError"]


def test_too_many_at_once(line: Line) -> None:
    """Whoever waited in vain while others were answered does not keep the others from asking."""
    slow, quick = begun(line), begun(line)
    line.answered(quick, [b"PONG"])
    line.failed(slow, TimeoutError())
    begun(line)


def test_each_kind_is_told_once(line: Line, told: list[str]) -> None:
    """However often Redis fails, each kind of failure is told once, and nothing else of it."""
    for _ in range(10):
        line.failed(begun(line, urgent=True), ConnectionError("secret"))
        line.answered(begun(line, urgent=True), [ValueError("secret")])
    assert told == ["ConnectionError", "ValueError"]


def test_what_is_owed_goes_first(line: Line) -> None:
    """The newest first, not all at once, and each until Redis has done it."""
    for number in range(OWED_AT_ONCE + 2):
        line.owe(str(number), lasting=False)
    exchange = begun(line)
    assert len(exchange.commands) == OWED_AT_ONCE + 1
    assert exchange.commands[-1:] == [*PING]
    assert exchange.owed[0] == (str(OWED_AT_ONCE + 1), False)

    assert line.answered(exchange, [1, OSError(), *[1] * (OWED_AT_ONCE - 2), b"PONG"]) == [b"PONG"]
    assert [order_id for order_id, _ in begun(line).owed] == [str(OWED_AT_ONCE), "1", "0"]
    assert line.owes("0")
    assert not line.owes(str(OWED_AT_ONCE + 1))


def test_refunded_meanwhile(line: Line) -> None:
    """An order that is forgotten for good while it is forgotten for now stays owed; and not the other way round."""
    line.owe("A", lasting=False)
    exchange = begun(line)
    line.owe("A", lasting=True)
    line.answered(exchange, [1, b"PONG"])
    assert begun(line).owed == [("A", True)]
    line.owe("A", lasting=False)
    assert begun(line).owed == [("A", True)]


def test_what_is_owed_is_bounded(line: Line) -> None:
    """However long Redis is away, only so many are remembered, the newest."""
    for number in range(MAX_OWED + 10):
        line.owe(str(number), lasting=True)
    assert [line.owes(str(number)) for number in (0, 9, 10, MAX_OWED + 9)] == [False, False, True, True]
