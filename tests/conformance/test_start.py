"""Starting."""

from __future__ import annotations

from pathlib import Path

from running import Process, free_port
from servers import BY_NAME

from .front import Front

MISTAKES = {"TALER_PAYWALL_TOKEN": "Bearer x", "TALER_PAYWALL_SECRET_KEY": "short"}


def test_a_wrong_configuration_does_not_start(front: Front, tmp_path: Path, processes: list[Process]) -> None:
    """A wrong configuration starts no site: every mistake is named with its fix, in one message."""
    settings = MISTAKES | {"TALER_PAYWALL_BACKEND": "ftp://x", "TALER_PAYWALL_PUBLIC_URL": "http://127.0.0.1"}
    app = f"tests.conformance.served_{front.protocol}:app"
    if front.process is None:
        started = Process(tmp_path, "runpy", app.partition(":")[0], **settings)
    else:
        started = BY_NAME[front.name].start(tmp_path, app, free_port(), **settings)
    processes.append(started)
    # Some servers end with status 0 all the same.
    started.popen.wait(60)
    for words in ("backend is no plain http or https URL", "secret-token:", "at least 32 random bytes"):
        assert words in started.output
