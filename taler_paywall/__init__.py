"""A paywall for Python web sites, paid with GNU Taler."""

from __future__ import annotations
