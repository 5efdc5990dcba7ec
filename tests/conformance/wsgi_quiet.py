"""What the WSGI adapter starts: nothing; run by a test against a backend that answers."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from .wsgi_calls import asked, behind, call, hello

loops: list[object] = []


class Watched(asyncio.DefaultEventLoopPolicy):
    """Notes every event loop that anybody makes."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loops.append(self)
        return super().new_event_loop()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


if __name__ == "__main__":
    asyncio.set_event_loop_policy(Watched())
    files = open_files()
    site = behind(hello, sys.argv[1])
    assert open_files() == files, "nothing is opened before the first request"
    assert call(site, asked("/free")).status == 200
    assert open_files() == files, "a free request opens nothing"
    assert call(site, asked("/paid/quiet")).status == 402
    assert threading.enumerate() == [threading.main_thread()]
    assert loops == []
