"""What a forked worker does with what its parent made: run as ``python transport_fork.py URL fresh|used|locks``."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from urllib.parse import urlsplit

from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.cache import MemoryCache
from taler_paywall.errors import BackendUnreachable
from taler_paywall.local_sandbox import LocalSandbox
from taler_paywall.operations import BackendRequest, Payment, PaymentKey, SessionId

ASK = BackendRequest("GET", "config")
PAYMENT = Payment("ORDER", "/a", "KUDOS:0.5")
KEY = PaymentKey("ORDER", "/a", SessionId("S"))


def forked(check: Callable[[], None], held: AbstractContextManager[object]) -> int:
    """Fork while another thread holds something, and return the ID of the child, which checks and ends."""
    holds, over = threading.Event(), threading.Event()

    def hold() -> None:
        with held:
            holds.set()
            over.wait()

    threading.Thread(target=hold).start()
    holds.wait()
    child = os.fork()
    if not child:
        check()
        sys.exit(0)
    over.set()
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


def connections(url: str, *, used: bool) -> None:
    """Be in the middle of a request, as far as locks show it, if the client was used before."""
    backend = HttpBackend(url, url, "secret-token:x", Breaker(lambda: False))

    def ask() -> None:
        assert backend.send(ASK).status == 200

    @contextmanager
    def held() -> Iterator[None]:
        with backend._pools[os.getpid()].connections._optional_thread_lock:
            yield

    if used:
        ask()
    wait_for(forked(ask, held() if used else nullcontext()))
    ask()


def locks(url: str) -> None:
    """Be in the middle of a look into the cache, and of waiting for the sandbox."""
    cache, sandbox = MemoryCache(), LocalSandbox(urlsplit(url).port or 0)

    def use() -> None:
        cache.put(KEY, PAYMENT, 60)
        assert cache.get((KEY,)) == (KEY, PAYMENT)
        cache.forget("another")
        try:
            sandbox.token()
        except BackendUnreachable as error:
            # Another program has the port; that is found out without the parent's lock.
            if "in time" in str(error):
                sys.exit(str(error))

    @contextmanager
    def held() -> Iterator[None]:
        with cache._lock.own, sandbox._lock.own:
            yield

    use()
    wait_for(forked(use, held()))
    use()


if __name__ == "__main__":
    if sys.argv[2] == "locks":
        locks(sys.argv[1])
    else:
        connections(sys.argv[1], used=sys.argv[2] == "used")
