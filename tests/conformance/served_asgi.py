"""The origin application as servers import it, configured by the environment."""

from __future__ import annotations

from .origin_asgi import create

app = create()
