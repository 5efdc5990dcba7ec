"""Fifty greenlets ask for a page while the backend hangs; run by a test, prints how they fared and for how long."""

from __future__ import annotations

from gevent import monkey  # type: ignore[import-untyped] # it ships no types

monkey.patch_all()

import sys  # noqa: E402 - patching comes first
import time  # noqa: E402

import gevent  # noqa: E402

from .wsgi_calls import asked, behind, call, hello  # noqa: E402

if __name__ == "__main__":
    site = behind(hello, sys.argv[1])
    started = time.monotonic()
    greenlets = [gevent.spawn(call, site, asked(f"/paid/{number}")) for number in range(50)]
    free = gevent.spawn(call, site, asked("/free"))
    free.join(timeout=2)
    print(free.value is not None and free.value.pieces)
    gevent.joinall(greenlets, raise_error=True)
    print({greenlet.value.status for greenlet in greenlets})
    print(time.monotonic() - started)
