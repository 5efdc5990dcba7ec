"""Merchant backends that hang, each in a way of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

#: What is said at once, and what is said every second after that; empty for silence.
DRIPS: Final = {
    "says nothing": (b"", b""),
    "drips headers": (b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
    "drips a body": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{", b" "),
}


@contextmanager
def hanging(how: str) -> Iterator[str]:
    """Run a backend that hangs like this, and return its base URL."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threads: list[threading.Thread] = []

    def drip(connection: socket.socket) -> None:
        head, drop = DRIPS[how]
        with connection:
            try:
                connection.recv(65_536)
                connection.sendall(head)
                while not over.wait(1):
                    connection.sendall(drop)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=drip, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        over.set()
        # Closing alone would leave the thread in accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for thread in threads:
            thread.join()


@contextmanager
def not_accepting() -> Iterator[str]:
    """Listen at a port with a full queue, so that nobody who connects hears anything."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
