"""What a forked worker does with the blocking client: run as ``python transport_fork.py URL [used]`` by a test."""

from __future__ import annotations

import os
import sys
import threading
import time

from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.operations import BackendRequest

ASK = BackendRequest("GET", "config")


def hold(backend: HttpBackend, *, held: threading.Event, forked: threading.Event) -> None:
    """Be in the middle of a request, as far as locks show it, while another thread forks."""
    with backend._pools[os.getpid()].connections._optional_thread_lock:
        held.set()
        forked.wait()


def fork(backend: HttpBackend) -> int:
    """Return the child's process ID after a fork; the child asks the backend and ends as processes do."""
    child = os.fork()
    if not child:
        assert backend.send(ASK).status == 200
        sys.exit(0)
    return child


def wait_for(child: int) -> None:
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            sys.exit("the child does not end")
        time.sleep(0.01)
    if ended[1]:
        sys.exit("the child failed")


def main(url: str, *, used: bool) -> None:
    backend = HttpBackend(url, url, "secret-token:x")
    held, forked = threading.Event(), threading.Event()
    if used:
        assert backend.send(ASK).status == 200
        threading.Thread(target=hold, args=(backend,), kwargs={"held": held, "forked": forked}).start()
        held.wait()
    child = fork(backend)
    forked.set()
    wait_for(child)
    assert backend.send(ASK).status == 200


if __name__ == "__main__":
    main(sys.argv[1], used="used" in sys.argv[2:])
