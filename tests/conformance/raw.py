"""Requests byte by byte."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def connect(url: str) -> socket.socket:
    """Connect to a site."""
    return socket.create_connection(("127.0.0.1", urlsplit(url).port or 80), timeout=30)


def exchange(url: str, request: bytes) -> bytes:
    """Send a request that ends its connection, and return all that comes back."""
    answer = b""
    with connect(url) as connection:
        connection.sendall(request)
        while part := connection.recv(65_536):
            answer += part
    return answer
