"""What answers as no Redis should: too slowly, or strangely."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from threading import Event, Thread

import pytest

from .shelf import SOON, Shelf, key, seconds_of, use

Open = Callable[..., Shelf]


@contextmanager
def canned(answer: bytes, *, pause: float = 0.0) -> Iterator[str]:
    """Serve the same bytes to whoever connects, again and again, one at a time if there is a pause."""
    ended = Event()

    def talk(client: socket.socket) -> None:
        with client, suppress(OSError):
            for piece in [answer[i : i + 1] for i in range(len(answer))] if pause else repeat(answer * 20, 1000):
                if ended.wait(pause) or (not pause and not client.recv(65_536)):
                    return
                client.sendall(piece)

    def accept() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                client, _ = listener.accept()
                client.settimeout(1)
                talks.append(Thread(target=talk, args=(client,)))
                talks[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        talks: list[Thread] = []
        accepting = Thread(target=accept)
        accepting.start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        finally:
            ended.set()
            accepting.join()
            for one in talks:
                one.join()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "answer",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-ERR\r\n",
        b"-\r\n",
        b"+OK\r\n",
        b":1\r\n",
        b":one\r\n",
        b"$-1\r\n",
        b"$ten\r\n",
        b"$3\r\nabc\r\n",
        b"$99999999999\r\nabc",
        b"*-1\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n" * 5000,
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01",
        b"\r\n",
    ],
    ids=lambda answer: repr(answer[:12]),
)
def test_strange_answers(opened: Open, answer: bytes) -> None:
    """What answers as no Redis should opens nothing and breaks nothing."""
    with canned(answer) as url:
        held = opened(url, limits=(1, 1))
        assert seconds_of(lambda: use(held)) < 3 * SOON
        held.take()
        for failure in held.told:
            assert failure.isidentifier()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "answer",
    [b"$400\r\n" + b"x" * 400, b"+OK\r\n" * 2 + b"$400\r\n" + b"x" * 400, b"+OK\r\n" * 100],
    ids=["handshake", "reply", "many replies"],
)
@pytest.mark.usefixtures("hasty")
def test_dripping(opened: Open, answer: bytes) -> None:
    """An answer that comes byte by byte is not waited for, however soon each of them comes."""
    with canned(answer, pause=0.015) as url:
        held = opened(url)
        assert seconds_of(lambda: held.get(*map(key, range(8)))) < SOON
        assert held.told == ["TimeoutError"]
