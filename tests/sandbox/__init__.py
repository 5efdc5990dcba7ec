"""The sandbox backend and the play wallet, over real HTTP."""

from __future__ import annotations
