"""What the benchmark of streams serves, in `streams_asgi` and in `streams_wsgi`, and what of it is sold."""

from __future__ import annotations

from typing import Final

from taler_paywall.settings import RuleList

CHUNK: Final = b"x" * 65_536
CHUNKS: Final = 3052
SIZE: Final = CHUNKS * len(CHUNK)
EVENT: Final = b"data: " + b"x" * 92 + b"\n\n"
#: An event as it is sent, in a chunk of its own.
EVENT_SENT: Final = len(b"%x\r\n" % len(EVENT)) + len(EVENT) + len(b"\r\n")
#: The environment variable that names the file.
FILE: Final = "BENCHMARK_FILE"
RULES: Final[RuleList] = {"/paid/*": "KUDOS:1"}
#: Longer than the benchmark takes: the paid path is measured with its cache.
RECHECK_AFTER: Final = 3600
