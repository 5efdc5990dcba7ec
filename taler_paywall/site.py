"""What one paywalled site is made of, whatever protocol its server speaks."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker, Change
from taler_paywall.cache import MemoryCache
from taler_paywall.config import resolve
from taler_paywall.errors import ConfigError
from taler_paywall.event_log import write
from taler_paywall.events import Event, Events
from taler_paywall.memory import Memory
from taler_paywall.order_limits import OrderLimits
from taler_paywall.paywall import SitePaywall
from taler_paywall.process_lock import ProcessLock
from taler_paywall.routes import complaints
from taler_paywall.settings import Options, RuleList
from taler_paywall.transport import Token

if TYPE_CHECKING:
    from taler_paywall.redis_store import RedisStore

#: How many addresses of its own a site on play money may have: localhost, 127.0.0.1, ::1, each where it is mounted.
_ADDRESSES = 16

_UNREAD = "the routes of the application cannot be read, so that no rule can be held against them"
_STRICT = "because of strict=True the site does not start; routes have to be registered before, or leave strict out"

_log = logging.getLogger("taler_paywall")


class Site:
    """The checked options of a site, its paywall, and what lasts longer than a request.

    Args:
        rules: what is sold.
        options: see `taler_paywall.config.Options`.
        long_polls: whether a poll may wait for its answer.

    Raises:
        ConfigError: every mistake in the configuration, each with its fix.
    """

    def __init__(self, rules: RuleList, options: Options, *, long_polls: bool = True) -> None:
        self._long_polls = long_polls
        self.settings = settings = resolve(rules, options)
        self.enabled = settings.enabled
        self.events = Events([write, *settings.on_event], deliveries=bool(settings.on_event))
        self.token: Token = settings.token or ""
        self._keys = settings.secret_keys
        if settings.sandbox_port is not None:
            # It brings subprocess and http.client along, which no site with a backend of its own needs.
            from taler_paywall.local_sandbox import LocalSandbox, play_key  # noqa: PLC0415

            currencies = (rule.fixed_price.currency for rule in settings.rules if rule.fixed_price)
            self.token = LocalSandbox(settings.sandbox_port, next(currencies, "KUDOS")).token
            if settings.enabled:
                self._keys = settings.secret_keys or (play_key(),)
                _log.warning("play money: backend='sandbox:' asks for money that costs nothing; for development only")
        self.breaker = Breaker(self._probe, self._tell_of_backend)
        self._prober = HttpBackend(settings.backend, settings.backend_public_url, self.token, self.breaker, max_calls=1)
        self.memory = self._memory()
        self._at = lru_cache(maxsize=_ADDRESSES)(self._open)
        self._paywall = self._open(settings.public_url) if settings.public_url and settings.enabled else None
        #: None until `check`; and for a site on play money that was not told its address: see `on_loopback`.
        self.paywall: SitePaywall | None = None
        self._checking = ProcessLock()
        self._checked = not settings.enabled
        if not settings.enabled:
            _log.warning("the paywall is switched off: everything is free (enabled=False)")

    def check(self, app: object, root_path: str) -> None:
        """Hold the rules against the routes of the application, once.

        Args:
            app: what the paywall is around.
            root_path: where it is mounted, as far as the server says.

        Raises:
            ConfigError: with `strict`, rules that match no route.
        """
        if self._checked:
            return
        with self._checking.own:
            if not self._checked:
                self._check(app, {root_path, urlsplit(self.settings.public_url or "").path})

    def _check(self, app: object, root_paths: set[str]) -> None:
        found = complaints(self.settings.rules, app, root_paths)
        if self.settings.strict and found != []:
            raise ConfigError([*(found or [_UNREAD]), _STRICT])
        for complaint in found or ():
            _log.warning(complaint)
        self.paywall, self._checked = self._paywall, True

    def opened(self, app: object, host: str, port: int | str | None, root_path: str) -> SitePaywall:
        """Return the paywall at the first request, and at every one of a site that was not told its address.

        Args:
            app: what the paywall is around; `check` comes first.
            host: see `on_loopback`, as the others.
            port: of the server.
            root_path: where the application is mounted.
        """
        self.check(app, root_path)
        return self.paywall or self.on_loopback(host, port, root_path)

    def on_loopback(self, host: str, port: int | str | None, root_path: str) -> SitePaywall:
        """Return the paywall of a site on play money that was not told its address: the server's own, on loopback.

        Args:
            host: the Host header. Only which spelling of loopback is taken from it: cookies do not cross from one to
                another.
            port: of the server.
            root_path: where the application is mounted.
        """
        name = "[::1]" if host.startswith("[::1]") else "localhost" if host.partition(":")[0] == "localhost" else ""
        shown = "" if str(port) in {"80", "None", ""} else f":{port}"
        return self._at(f"http://{name or '127.0.0.1'}{shown}{root_path}")

    def _memory(self) -> Memory:
        settings = self.settings
        limits = settings.max_orders_per_client, settings.max_orders
        if settings.cache is None:
            # A payment is known for so much longer than it is believed.
            extra = max(0.0, settings.serve_known_for - settings.recheck_after)
            return Memory(MemoryCache(known_for=extra), limits=OrderLimits(*limits))
        store = self._redis(settings.cache, limits)
        return Memory(store, limits=store)

    def _redis(self, url: str, limits: tuple[int | None, int | None]) -> RedisStore:
        try:
            # An extra, which takes as long to load as the paywall itself.
            from taler_paywall.redis_store import AsyncRedisStore, BlockingRedisStore  # noqa: PLC0415
        except ImportError:
            raise ConfigError(["cache: Redis needs an extra, pip install 'taler-paywall[redis]'"]) from None
        settings = self.settings
        kind: type[RedisStore] = AsyncRedisStore if self._long_polls else BlockingRedisStore
        try:
            return kind(
                *(url, self._keys, f"{settings.public_url} {settings.backend_public_url}"),
                known_for=settings.serve_known_for,
                recheck_after=settings.recheck_after,
                limits=limits,
                tell=self._tell_of_cache,
            )
        except ValueError:
            # The reason could show a password.
            raise ConfigError(["cache is no address that Redis understands: redis://HOST:PORT/0"]) from None

    def _tell_of_cache(self, detail: str) -> None:
        self.events.tell(Event("cache-lost", detail=detail))

    def _probe(self) -> bool:
        """Ask whether the backend is there again, for both kinds of sites in a thread of its own.

        A sandbox that has ended is started again by asking for its token.
        """
        return self._prober.probe()

    def _tell_of_backend(self, change: Change) -> None:
        said = "answers again" if change == "backend-up" else "does not answer, and is not asked until it does"
        self.events.tell(Event(change, detail=f"{self.settings.backend} {said}"))

    def _open(self, public_url: str) -> SitePaywall:
        at_hand = self.memory.payments.get if isinstance(self.memory.payments, MemoryCache) else None
        return SitePaywall(
            *(self.settings, self._keys, public_url, self.events), long_polls=self._long_polls, at_hand=at_hand
        )
