"""What this process has learnt of the backend, and would learn again."""

from __future__ import annotations

import time

#: For so long it is believed that the backend still makes its links as it did.
LINKS_SECONDS = 600.0


class Learnt:
    """The backend's key, and whether its links are as we would make them: nothing at first."""

    def __init__(self) -> None:
        self._merchant_pub: str | None = None
        self._links_until = 0.0

    @property
    def merchant_pub(self) -> str | None:
        """The instance's public key, None until a payment has told it."""
        return self._merchant_pub

    def learn_key(self, merchant_pub: str | None) -> None:
        """Learn the key that a contract names, if it names one."""
        self._merchant_pub = merchant_pub or self._merchant_pub

    @property
    def links_as_built(self) -> bool:
        """Whether the backend has told lately, and since then nothing else, links as we would make them ourselves."""
        return time.monotonic() < self._links_until

    def learn_links(self, *, as_built: bool) -> None:
        """Learn whether they were."""
        self._links_until = time.monotonic() + LINKS_SECONDS if as_built else 0.0
