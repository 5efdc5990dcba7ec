"""The origin application as servers import it, configured by the environment."""

from __future__ import annotations

import os

from .origin_asgi import Several

app = Several(os.environ["TALER_PAYWALL_PUBLIC_URL"])
