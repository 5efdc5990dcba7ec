"""A WSGI site whose backend has a certificate of the authority in the environment, as servers import it."""

from __future__ import annotations

import os

import certifi

certifi.where = lambda: os.environ["AUTHORITY"]

from .wsgi_served import app  # noqa: E402, F401 - the authority comes first
