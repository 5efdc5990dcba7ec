"""Sites as their owners write them, for mypy to read; nobody runs them."""

from __future__ import annotations
