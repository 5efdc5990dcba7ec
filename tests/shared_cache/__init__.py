"""What workers and machines share through Redis, against a real redis-server."""

from __future__ import annotations
