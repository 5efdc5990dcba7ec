"""The newspaper behind its paywall, from outside: real processes, real browsers, real wallets."""

from __future__ import annotations
