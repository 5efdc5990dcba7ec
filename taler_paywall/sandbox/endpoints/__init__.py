"""The endpoints of the merchant API, by what they are for; routes.py has the table."""

from __future__ import annotations
