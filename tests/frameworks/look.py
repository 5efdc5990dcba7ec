"""Looks at a site without ordering anything: run with a block of docs/frameworks.md in front of it."""

from __future__ import annotations

from typing import Any

import httpx

from taler_paywall.testing.client import serving


def look(app: Any, *mounted: str) -> None:
    """Require that articles are asked money for, and the front page is not."""
    prefix = "".join(mounted)
    with serving(app) as transport, httpx.Client(transport=transport, base_url="http://127.0.0.1:8000") as client:
        assert client.head(f"{prefix}/articles/bees").status_code == 402
        assert client.head("/").status_code != 402
