"""A backend that hangs holds no thread of a WSGI server longer than a visit may take."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from running import SECRET_KEY, TLS, TOKEN, Process
from servers import BY_NAME, serve

from taler_paywall.transport import TOTAL_TIMEOUT

from .wsgi_backends import DRIPS, hanging, not_accepting

THREADS = 8
SLACK = 3


@pytest.mark.parametrize("how", [*DRIPS, "does not accept"])
def test_a_hanging_backend_is_given_up_in_time(how: str, tmp_path: Path, processes: list[Process]) -> None:
    """All threads of gunicorn answer 503 within the deadline, at the same time, and are free again."""
    with hanging(how) if how in DRIPS else not_accepting() as backend:
        settings = {
            "TALER_PAYWALL_BACKEND": backend,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
        }
        server = BY_NAME["gunicorn threads"]
        process, url = serve(server, tmp_path, "tests.conformance.wsgi_served:app", **settings)
        processes.append(process)
        started = time.monotonic()

        def read(number: int) -> httpx.Response:
            return httpx.get(f"{url}/paid/{number}", trust_env=False, verify=TLS, timeout=60)

        with ThreadPoolExecutor(THREADS) as readers:
            answers = list(readers.map(read, range(THREADS)))
        assert time.monotonic() - started < SLACK * TOTAL_TIMEOUT
        assert [answer.status_code for answer in answers] == [503] * THREADS
        assert httpx.get(f"{url}/free", trust_env=False, verify=TLS).text == "origin at  sees /free"
