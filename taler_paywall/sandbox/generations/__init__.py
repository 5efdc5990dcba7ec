"""How the sandbox speaks like merchant backends of earlier years."""

from __future__ import annotations
