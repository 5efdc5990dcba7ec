"""What both transports take of httpcore, the connections that httpx stands on.

Of what httpx adds for programs in general nothing is used here: no redirects, no cookies, no proxies, no decompression;
and the paywall loads in three quarters of the time without it.
"""

from __future__ import annotations

import ssl
from typing import Final

import certifi
import httpcore

#: Whatever can go wrong with a connection.
FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    OSError,
    UnicodeError,  # a host name that cannot be one
)


def tls_context() -> ssl.SSLContext:
    """Return how backends are authenticated: by Mozilla's authorities. Reading them takes some 40 ms."""
    return ssl.create_default_context(cafile=certifi.where())
