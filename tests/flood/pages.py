"""What the site shows."""

from __future__ import annotations


def text_of(path: str) -> bytes:
    """Return a page."""
    return f"<!doctype html><title>{path}</title><p>What stands at {path}</p>".encode()
