"""The merchant behind the endpoints: instances with their keys, the state, the clock."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from taler_paywall import contract, crockford
from taler_paywall.sandbox.bell import Bell
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.generations.generation import CURRENT, Generation
from taler_paywall.sandbox.state.database import Database
from taler_paywall.sandbox.state.ledger import Ledger
from taler_paywall.sandbox.state.logins import Logins
from taler_paywall.sandbox.state.outbox import Outbox
from taler_paywall.sandbox.state.store import Store
from taler_paywall.sandbox.state.templates import Templates

#: The instance that is served without a prefix.
DEFAULT_INSTANCE: Final = "default"
#: What it is or was called; with these as a prefix it is reached by a redirect only.
NAMES_OF_DEFAULT: Final = (DEFAULT_INSTANCE, "admin")

#: There is no exchange, but contracts must name one. The domain can never exist (RFC 2606), and the key
#: is no secret: nothing depends on what it signs.
EXCHANGE_URL: Final = "https://exchange.sandbox.invalid/"
EXCHANGE_SEED: Final = hashlib.sha256(b"taler_paywall sandbox: play exchange").digest()
EXCHANGE_PUB: Final = crockford.encode(contract.public_key(EXCHANGE_SEED))


@dataclass(frozen=True)
class Instance:
    """One merchant of the backend (merchant API, instances).

    Args:
        seed: its private key.
        token: what its owner sends as bearer token.
    """

    name: str
    seed: bytes = field(repr=False)
    token: str = field(repr=False)

    @property
    def public_key(self) -> str:
        """The merchant_pub of its contracts."""
        return crockford.encode(contract.public_key(self.seed))

    @property
    def path(self) -> str:
        """Its part of URLs below the root."""
        return "" if self.name == DEFAULT_INSTANCE else f"instances/{self.name}/"


class Backend:
    """All that the endpoints share.

    Args:
        database: the state.
        currency: the only one.
        tokens: the bearer token of each instance.
        generation: the one to speak like.
        now: the clock, in seconds since 1970.

    Raises:
        StateError: the state file cannot be used, or is of another currency.
    """

    def __init__(
        self,
        database: Database,
        *,
        currency: str,
        tokens: dict[str, str],
        generation: Generation = CURRENT,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.store = Store(database, currency)
        self.ledger = Ledger(database)
        self.logins = Logins(database)
        self.outbox = Outbox(database)
        self.templates = Templates(database)
        self.currency = currency
        self.generation = generation
        self.instances = {name: Instance(name, self.store.instance_seed(name), token) for name, token in tokens.items()}
        self.bell = Bell()
        #: Seconds by which the clock is ahead, for tests.
        self.clock_shift = 0
        self._now = now

    def now(self) -> int:
        """Return the time in whole seconds since 1970."""
        return int(self._now()) + self.clock_shift

    def instance(self, name: str) -> Instance:
        """Return one of the instances.

        Raises:
            ApiError: there is none of that name (2000).
        """
        if name not in self.instances:
            raise ApiError(Code.MERCHANT_GENERIC_INSTANCE_UNKNOWN, "there is no such instance")
        return self.instances[name]


def backend_of(request: Request) -> Backend:
    """Return the backend that a request was sent to."""
    backend: Backend = request.app.state.backend
    return backend


def instance_of(request: Request) -> Instance:
    """Return the instance that a request names.

    Raises:
        ApiError: there is no such instance (2000).
    """
    return backend_of(request).instance(request.path_params.get("instance", DEFAULT_INSTANCE))
