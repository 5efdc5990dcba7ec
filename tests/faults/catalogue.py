"""All faults, and those of the short run."""

from __future__ import annotations

import signal
from typing import Final

from .strikes import (
    Fault,
    backend_answers,
    backend_killed,
    backend_stopped,
    clock_off,
    disk_full,
    files_exhausted,
    nothing,
    redis_flushed,
    redis_killed,
    redis_stopped,
    restarted,
    workers_hit,
)

NOTHING: Final = Fault("nothing", nothing)
#: Answers of servers that are in trouble, and answers that no backend gives.
TROUBLE: Final = ("error-html", "error-json", "unavailable")
NONSENSE: Final = ("truncated", "wrong-types", "redirect", "unauthorized")
BACKEND_KILLED: Final = Fault("backend killed", backend_killed, outage=True, known=True)
WORKER_KILLED: Final = Fault("worker killed", workers_hit(signal.SIGKILL), loses=True)
SHORT: Final = (
    Fault("bad answers", backend_answers(*TROUBLE, "broken", *NONSENSE), outage=True),
    Fault("backend hangs", backend_answers("hang"), outage=True, known=True, seconds=14),
    BACKEND_KILLED,
    WORKER_KILLED,
    Fault("worker ended", workers_hit(signal.SIGTERM), loses=True),
    Fault("rolling restart", restarted, loses=True),
    Fault("Redis killed", redis_killed),
    Fault("Redis flushed", redis_flushed),
    Fault("no file descriptors", files_exhausted, outage=True, loses=True),
    Fault("clock an hour ahead", clock_off(3600), expires=True),
    Fault("clock an hour behind", clock_off(-3600), expires=True),
    Fault("disk full", disk_full),
)
FULL: Final = (
    *SHORT,
    *(Fault(name, backend_answers(name), outage=True, known=True) for name in (*TROUBLE, "broken", "refuse")),
    *(Fault(name, backend_answers(name), outage=True) for name in NONSENSE),
    Fault("slow", backend_answers("slow"), outage=True, known=True, seconds=14),
    Fault("backend stopped", backend_stopped, outage=True, known=True, seconds=14),
    Fault("Redis stopped", redis_stopped),
)
